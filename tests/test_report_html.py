"""The report page as a file: what is in it, that names stay text, which media it links to."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring import make_predictions, make_release, write_npz

from mimecurate.commands.evaluate import command
from mimecurate.curation.release_import import import_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.details import top_classes
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.matching import Policy
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.report_data import embedded_json, page_data
from mimecurate.evaluation.report_elements import element, markup, visible
from mimecurate.evaluation.report_figures import Axis, number
from mimecurate.evaluation.report_html import report_page, write_report
from mimecurate.evaluation.report_media import find_media, media_links
from mimecurate.schemas.release import Release, ReleasedClass, ReleasedClip
from mimecurate.schemas.versions import Version

if TYPE_CHECKING:
    from mimecurate.evaluation.report import Report

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(
    ["</script>", "<!--", "]]>", "a\u202eb", "\x00", "\ud800", "&amp;", "$data", "<svg/onload=x>"]
)


class Tags(HTMLParser):
    """Collects the elements of a page, with their attributes, and the text of scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


def data_of(page: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Tags(page).scripts[0])
    return found


@pytest.fixture(scope="module")
def report() -> Report:
    release = make_release(60, seed=5, splits=("test", "val"))
    a, b = (make_predictions(release, f"m{i}", seed=i, ways=20) for i in range(2))
    superclasses = {"archery": "sport", "bowling": "sport"}
    available = frozenset(clip.clip_id for clip in release.clips[:-5])
    b = Predictions("m1", b.clip_ids[:-5], b.class_names, b.scores[:-5])
    return build_report(
        [a, b], release, resamples=50, superclasses=superclasses, available=available
    )


# --- the file --------------------------------------------------------------------------------


def test_the_page_holds_all_it_needs(report: Report) -> None:
    page = report_page(report)
    tags = Tags(page)
    for tag, attributes in tags.found:
        assert "src" not in attributes, tag
        assert tag != "link" or attributes["href"] == "data:,"
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    hrefs = [a["href"] for tag, a in tags.found if tag == "a"]
    ids = {a["id"] for _, a in tags.found if "id" in a}
    assert all(href and href[0] == "#" and href[1:] in ids for href in hrefs)
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)", page)


def test_the_security_policy_lets_in_what_the_page_is_made_of(report: Report) -> None:
    def policy(links: dict[str, str] | None) -> str:
        tags = Tags(report_page(report, links)).found
        (found,) = [a["content"] for t, a in tags if t == "meta" and "http-equiv" in a]
        return found or ""

    assert policy(None).startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy({})
    assert "media-src" not in policy(None)
    assert "media-src 'self' file:" in policy({})


def test_the_same_report_gives_the_same_bytes(report: Report, tmp_path: Path) -> None:
    pages = []
    for name in "ab":
        write_report(report, tmp_path / name)
        pages.append((tmp_path / name).read_bytes())
    assert pages[0] == pages[1]


def test_everything_of_the_release_and_its_policies_is_said(report: Report) -> None:
    page = report_page(report)
    assert report.release.digest in page
    assert "missing clips count as wrong" in page
    assert "clustered by source video" in page
    for system in report.systems:
        assert system.sha256 in page
        for warning in system.warnings:
            assert markup(warning) in page
    for table in ("By split", "Ranked by superclass", "What the full release could have given"):
        assert table in page
    assert "not comparable with 400-way numbers" in page


def test_a_warning_of_all_systems_is_said_once(report: Report) -> None:
    page = report_page(report)
    assert page.count("20-way: clips are ranked") == 1
    assert "<strong>every system</strong>: 20-way" in page


@pytest.mark.parametrize("where", ["folder", "missing/report.html"])
def test_a_page_that_cannot_be_written_is_one_line(
    report: Report, tmp_path: Path, where: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(MimecurateError, match=r"can't be written: \w+") as error:
        write_report(report, tmp_path / where)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("clips", "ways", "limit_mb"), [(713, 400, 1), (4000, 50, 3)])
def test_the_page_is_small(clips: int, ways: int, limit_mb: int) -> None:
    release = make_release(clips, videos=clips)
    systems = [make_predictions(release, f"m{i}", seed=i, ways=ways) for i in range(3)]
    found = build_report(systems, release, resamples=0)
    links = {clip.clip_id: f"../clips/00/{clip.clip_id}.mp4" for clip in release.clips}
    assert len(report_page(found, links).encode()) < limit_mb * 1_000_000


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    release = make_release(20)
    lines = [
        f"{c.label},{c.video_id},{c.start_ms // 1000},{c.end_ms // 1000},{c.split}"
        for c in release.clips
    ]
    header = "label,youtube_id,time_start,time_end,split"
    (tmp_path / "list.csv").write_text("\n".join([header, *lines]) + "\n")
    with open_workspace(tmp_path / "ws") as workspace:
        import_release(
            workspace,
            tmp_path / "list.csv",
            format="kinetics",
            name="small",
            version=Version(1, 0, 0),
        )
    for i in range(2):
        write_npz(tmp_path / f"m{i}.npz", make_predictions(release, seed=i))
    media = touch(tmp_path / "clips" / f"{release.clips[0].clip_id}.mp4")
    page = tmp_path / "report.html"
    arguments = [str(tmp_path / "m0.npz"), str(tmp_path / "m1.npz"), "--html", str(page)]
    arguments += ["--release", "small@1.0.0", "-w", str(tmp_path / "ws"), "--resamples", "0"]
    done = CliRunner().invoke(command, [*arguments, "--clips", str(media.parent)])
    assert done.exit_code == 0, done.output
    data = data_of(page.read_text("utf-8"))
    assert [system["name"] for system in data["systems"]] == ["m0", "m1"]
    assert data["clips"]["media"] == [f"clips/{media.name}", *[None] * 19]


# --- the data --------------------------------------------------------------------------------


def test_the_data_says_what_each_system_said(report: Report) -> None:
    data = page_data(report)
    names = data["classes"]
    assert names[: len(report.targets.class_names)] == list(report.targets.class_names)
    for place, system in enumerate(report.systems):
        found = data["systems"][place]
        width = found["width"]
        for clip, top in enumerate(top_classes(system)):
            said = found["said"][clip * width : (clip + 1) * width]
            scores = found["scores"][clip * width : (clip + 1) * width]
            assert [names[s] for s in said if s >= 0] == [name for name, _ in top]
            assert scores[: len(top)] == pytest.approx([v for _, v in top], rel=1e-3)
        assert found["rank"] == system.matched.rank.tolist()
        assert [bit == "1" for bit in found["counted"]] == system.matched.counted.tolist()
        assert found["status"].count("u") == system.coverage.unavailable
    assert data["clips"]["media"] is None


def test_flags_and_subsets_are_a_letter_per_clip(report: Report) -> None:
    data = page_data(report)
    for key, flags in (
        ("mimeArtist", [c.mime_artist for c in report.targets.clips]),
        ("objectRelevant", [c.object_relevant for c in report.targets.clips]),
        ("sceneRelevant", [c.scene_relevant for c in report.targets.clips]),
    ):
        assert data["clips"][key] == "".join(str(flag)[0] if flag else "-" for flag in flags)
    shown = [inside for inside in report.targets.subsets.values() if inside.any()]
    for subset, inside in zip(data["subsets"], shown, strict=True):
        assert [bit == "1" for bit in subset["holds"]] == inside.tolist()


@pytest.mark.parametrize("ways", [2, 5])
def test_minus_infinity_and_few_classes_are_no_trouble(ways: int) -> None:
    names = [f"class {i}" for i in range(ways)]
    clip = ReleasedClip("v_000000_000001", "v", 0, 1000, names[0], "test")
    release = Release("r", "1.0.0", "0" * 64, (clip,), (ReleasedClass(names[0]),))
    scores = np.full((1, ways), -np.inf)
    scores[0, 0] = 0.25
    found = Predictions("m", (clip.clip_id,), tuple(names), scores)
    data = data_of(report_page(build_report([found], release, resamples=0)))
    assert data["systems"][0]["scores"] == [0.25] + [None] * (ways - 1)
    assert data["systems"][0]["width"] == ways


def test_no_scores_leave_empty_places() -> None:
    release = make_release(6)
    given = make_predictions(release, ways=10)
    scores = given.scores.copy()
    scores[1] = np.nan
    found = Predictions("m", given.clip_ids[:4], given.class_names, scores[:4])
    report = build_report([found], release, policy=Policy(nan="wrong"), resamples=0)
    (system,) = page_data(report)["systems"]
    assert system["status"] == "sissmm"
    assert system["said"][5:10] == [-1] * 5
    assert system["said"][20:] == [-1] * 10
    assert len(system["said"]) == len(system["scores"]) == 30


# --- names -----------------------------------------------------------------------------------


@given(NAMES)
def test_embedded_json_cannot_leave_its_script(text: str) -> None:
    shown = visible(text)
    embedded = embedded_json({"name": shown, shown: 1})
    assert "<" not in embedded
    assert json.loads(embedded)["name"] == shown


@given(NAMES)
def test_markup_keeps_names_as_text_and_in_their_attribute(text: str) -> None:
    written = markup(element("p", text, title=text), text, element("i"), text)
    tags = Tags(written)
    assert [tag for tag, _ in tags.found] == ["p", "i"]
    assert tags.found[0][1] == {"title": visible(text)}
    assert written.encode()


@given(NAMES)
def test_what_is_visible_is_printable_and_can_be_written(text: str) -> None:
    shown = visible(text)
    assert shown.isprintable()
    assert shown.encode()
    assert visible(shown) == shown


@settings(deadline=None, max_examples=40)
@given(NAMES, NAMES, NAMES)
def test_no_name_adds_an_element(one: str, two: str, three: str) -> None:
    def count(names: tuple[str, str, str]) -> list[str]:
        clip = ReleasedClip(names[0], "v", 0, 1000, names[1], "test")
        release = Release(names[2], names[0], names[1], (clip,), (ReleasedClass(names[1]),))
        columns = (names[1], names[1] + "x")
        found = Predictions(names[2], (names[0],), columns, np.eye(2)[:1], file=names[0])
        page = report_page(build_report([found], release, resamples=0), {names[0]: "a.mp4"})
        data = data_of(page)
        assert data["clips"]["id"] == [visible(names[0])]
        assert data["systems"][0]["name"] == visible(names[2])
        return [tag for tag, _ in Tags(page).found]

    assert count((one, two, three)) == count(("a", "b", "c"))


# --- figures ---------------------------------------------------------------------------------


@given(st.lists(st.floats(-100, 100), max_size=8))
def test_an_axis_holds_its_values_with_few_round_ticks(values: list[float]) -> None:
    axis = Axis.around(values)
    assert 2 <= len(axis.ticks) <= 7
    assert axis.ticks[0] <= min([0.0, *values])
    assert axis.ticks[-1] >= max([0.0, *values]) - 1e-9
    assert 0.0 in axis.ticks
    assert all(float(f"{tick:g}") == pytest.approx(tick) for tick in axis.ticks)
    places = [float(axis.place(value)[:-1]) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 100 for place in places)


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (None, None, "–"),  # noqa: RUF001
        (6.25, None, "6.2"),
        (-1.24, (-3.0, 0.5), "−1.2 [−3.0, 0.5]"),  # noqa: RUF001
        (100.0, (96.4, 100.0), "100.0 [96.4, 100.0]"),
    ],
)
def test_numbers_have_one_decimal(
    value: float | None, interval: tuple[float, float] | None, expected: str
) -> None:
    assert number(value, interval) == expected


# --- media -----------------------------------------------------------------------------------


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.mark.parametrize(
    "layout",
    [
        pytest.param("clips/0z/{}.mp4", id="workspace"),
        pytest.param("punching person (boxing)/{}.webm", id="folder per class"),
        pytest.param("{}.MP4", id="flat"),
        pytest.param("a/b/c/d/{}.mkv", id="deep"),
    ],
)
@pytest.mark.parametrize("clip_id", ["0zFbEjoGlhc_000006_000010", "-x_0000001.500_0000002.000"])
def test_media_are_found_in_any_layout(tmp_path: Path, layout: str, clip_id: str) -> None:
    path = touch(tmp_path / layout.format(clip_id))
    touch(tmp_path / layout.format("another"))
    assert find_media(tmp_path, [clip_id, "absent"]) == {clip_id: path}


def test_of_several_files_the_one_that_browsers_play_is_taken(tmp_path: Path) -> None:
    for name in ("a/x.mkv", "b/x.mp4", "c/x.mp4", "d/x.webm", "x.txt", "e/x.json"):
        touch(tmp_path / name)
    (tmp_path / "a" / "x.mp4").mkdir()
    (tmp_path / "0.mp4").symlink_to("nowhere")
    assert find_media(tmp_path, ["x", "0"]) == {"x": tmp_path / "b" / "x.mp4"}


def test_a_folder_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match="nowhere can't be read: No such file"):
        find_media(tmp_path / "nowhere", ["x"])


@pytest.mark.parametrize(
    ("file", "page", "expected"),
    [
        ("/a/clips/x.mp4", "/a/report.html", "clips/x.mp4"),
        ("/a/clips/x.mp4", "/a/b/c/report.html", "../../clips/x.mp4"),
        ("/a/javascript:x/x.mp4", "/a/report.html", "javascript%3Ax/x.mp4"),
        ("/a/http:/b/x.mp4", "/a/report.html", "http%3A/b/x.mp4"),
        ("/a/50% #1?.mp4", "/a/report.html", "50%25%20%231%3F.mp4"),
        ("/a/é \"'<>.mp4", "/a/report.html", "%C3%A9%20%22%27%3C%3E.mp4"),
    ],
)
def test_links_are_relative_and_quoted(file: str, page: str, expected: str) -> None:
    assert media_links({"x": Path(file)}, Path(page)) == {"x": expected}

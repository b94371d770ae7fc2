"""Importing published releases: the official Mimetics, Kinetics lists, ActivityNet's JSON."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from release_lists import kinetics_csv

from mimecurate.curation.release_freeze import ReleaseExistsError
from mimecurate.curation.release_import import import_release
from mimecurate.curation.release_read import find_release, load_release, show_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import InvalidInputError
from mimecurate.schemas.release import ObjectSize
from mimecurate.schemas.subsets import subset_clip_ids
from mimecurate.schemas.versions import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mimecurate.curation.workspace import Workspace

V1 = Version(1, 0, 0)
MIMETICS_DIGEST = "ff46316b9ea5017cd14d2b2a3e05ff0b444b363bfe40a5fddff05f7e16974a34"
ROW = "archery,0zFbEjoGlhc,6,10,test"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        yield opened


def _import_kinetics(workspace: Workspace, path: Path) -> None:
    import_release(workspace, path, format="kinetics", name="k", version=V1)


def _problems(workspace: Workspace, path: Path) -> list[str]:
    with pytest.raises(InvalidInputError) as caught:
        _import_kinetics(workspace, path)
    assert workspace.db.execute("SELECT count(*) FROM releases").fetchone() == (0,)
    assert workspace.db.execute("SELECT count(*) FROM clips").fetchone() == (0,)
    return [str(problem) for problem in caught.value.problems]


def test_mimetics_has_the_published_counts(workspace: Workspace, shared: Path) -> None:
    folder = shared / "mimetics-v1.0"
    begin = time.perf_counter()
    imported = import_release(workspace, folder, format="mimetics", name="mimetics", version=V1)
    assert time.perf_counter() - begin < 1.0
    assert imported.digest == MIMETICS_DIGEST
    shown = show_release(workspace.db, find_release(workspace.db, "mimetics@1.0.0"))
    subsets = shown["subsets"]
    assert (shown["clips"], shown["videos"], shown["classes"]) == (713, 560, 50)
    assert shown["splits"] == {"test": 713}
    assert subsets == {
        "all": 713,
        "mime_artist": 203,
        "not_mime_artist": 510,
        "object_relevant": 42,
        "no_relevant_object": 671,
        "scene_relevant": 69,
        "scene_not_relevant": 644,
        "no_relevant_object_and_scene_not_relevant": 610,
        "object_relevant_and_scene_relevant": 8,
        "object_none_or_small": 268,
        "object_medium_or_large": 445,
    }
    release = load_release("mimetics@1.0.0", workspace.root)
    assert {name: len(ids) for name, ids in subset_clip_ids(release).items()} == subsets
    sizes = [c.object_size for c in release.classes]
    assert sum(size in {ObjectSize.NONE, ObjectSize.SMALL} for size in sizes) == 19
    labels: dict[str, set[str]] = {}
    for clip in release.clips:
        labels.setdefault(clip.video_id, set()).add(clip.label)
    assert sum(len(found) > 1 for found in labels.values()) == 77


def test_importing_again_changes_nothing(workspace: Workspace, shared: Path) -> None:
    for was_there in (False, True):
        imported = import_release(
            workspace, shared / "mimetics-v1.0", format="mimetics", name="m", version=V1
        )
        assert imported.was_there is was_there
    assert workspace.db.execute("SELECT count(*) FROM releases").fetchone() == (1,)


def test_mimetics_names_every_problem(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "official"
    folder.mkdir()
    with pytest.raises(InvalidInputError, match=r"needs one file \*clsannot\*\.txt, and has 0"):
        import_release(workspace, folder, format="mimetics", name="m", version=V1)
    kinetics_csv(folder / "m.csv", [ROW, "tying tie,0zFbEjoGlhc,20,24,test"])
    (folder / "m_clsannot.txt").write_text("#label object scene\narchery huge yes\n")
    (folder / "m_objectsceneannot.txt").write_text(
        "#video object mime scene\n"
        "0zFbEjoGlhc_000006_000010.mp4 \tno \tmaybe \tno\n"
        "0zFbEjoGlhc_000099_000100.mp4 \tno \tno \tno\n"
    )
    with pytest.raises(InvalidInputError) as caught:
        import_release(workspace, folder, format="mimetics", name="m", version=V1)
    assert [str(p) for p in caught.value.problems] == [
        "m_clsannot.txt: line 2: 'huge' and 'yes' must be no, small, medium or large; yes or no",
        "m_objectsceneannot.txt: line 1: heading must be: #video object scene mime",
        "m_objectsceneannot.txt: line 2: 'maybe' must be yes or no",
        "m_objectsceneannot.txt: clip 0zFbEjoGlhc_000006_000010 has no flags",
        "m_objectsceneannot.txt: clip 0zFbEjoGlhc_000020_000024 has no flags",
        "m_objectsceneannot.txt: clip '0zFbEjoGlhc_000099_000100' is not in the list",
        "lists no clip",
    ]


def test_kinetics_lists_of_a_folder_are_one_release(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "k400"
    folder.mkdir()
    kinetics_csv(
        folder / "train.csv",
        ["playing_bass_guitar,AHMNZopmQBQ,71,81,train,1", ROW.replace("test", "train") + ",0"],
        "label,youtube_id,time_start,time_end,split,is_cc",
    )
    kinetics_csv(folder / "val.csv", ['"punching person (boxing)",GZWM9or9AhM,40.5,44,val'])
    _import_kinetics(workspace, folder)
    release = load_release("k@1.0.0", workspace.root)
    assert [(c.clip_id, c.label, c.split) for c in release.clips] == [
        ("0zFbEjoGlhc_000006_000010", "archery", "train"),
        ("AHMNZopmQBQ_000071_000081", "playing bass guitar", "train"),
        ("GZWM9or9AhM_000040.500_000044.000", "punching person (boxing)", "val"),
    ]
    assert [c.name for c in release.classes] == [
        "archery",
        "playing bass guitar",
        "punching person (boxing)",
    ]
    urls = workspace.db.execute("SELECT url FROM videos ORDER BY url").fetchall()
    assert urls[0] == ("https://www.youtube.com/watch?v=0zFbEjoGlhc",)


def test_a_clip_listed_twice_is_one_clip(workspace: Workspace, tmp_path: Path) -> None:
    _import_kinetics(workspace, kinetics_csv(tmp_path / "a.csv", [ROW, ROW]))
    assert len(load_release("k@1.0.0", workspace.root).clips) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(
            "archery,0zFbEjoGlhc,6,10,train",
            "a.csv, line 3: clip 0zFbEjoGlhc_000006_000010 is in two splits: test (a.csv, line 2)"
            " and train",
            id="two-splits",
        ),
        pytest.param(
            "drinking,0zFbEjoGlhc,6,10,test",
            "a.csv, line 3: clip 0zFbEjoGlhc_000006_000010 is listed twice with different "
            "contents: 'archery' in a.csv, line 2",
            id="two-labels",
        ),
        pytest.param(
            ",0zFbEjoGlhc,7,10,test",
            "line 3: label is missing; a release needs one for every clip",
            id="no-label",
        ),
        pytest.param(
            "archery,0zFbEjoGlhc,7,10,",
            "line 3: split is missing; give a column 'split', e.g. with test",
            id="no-split",
        ),
        pytest.param(
            "archery,0zFbEjoGlhc,7,10,../x",
            "line 3: split '../x' must be 1 to 32 letters, digits or '_'",
            id="split-is-a-path",
        ),
        pytest.param(
            "archery,0zFbEjoGlhc,,,test",
            "line 3: time_start and time_end are missing; a release needs both",
            id="no-times",
        ),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_imported(
    workspace: Workspace, tmp_path: Path, row: str, message: str
) -> None:
    assert _problems(workspace, kinetics_csv(tmp_path / "a.csv", [ROW, row])) == [message]


def test_all_problems_of_several_files_at_once(workspace: Workspace, tmp_path: Path) -> None:
    kinetics_csv(tmp_path / "a.csv", ["archery,x,6,10,test", "archery,0zFbEjoGlhc,9,3,test"])
    (tmp_path / "b.csv").write_bytes(
        b"label,youtube_id,time_start,time_end,split\ncaf\xe9,0zFbEjoGlhc,1,3,test\n"
    )
    found = _problems(workspace, tmp_path)
    assert len(found) == 4
    assert [text.partition(":")[0] for text in found] == [
        "a.csv",
        "a.csv",
        "b.csv",
        "lists no clip",
    ]
    assert "0xE9 is not UTF-8" in found[2]


def test_only_the_first_hundred_problems_are_kept(workspace: Workspace, tmp_path: Path) -> None:
    rows = [f"archery,0zFbEjoGlhc,{n},{n},test" for n in range(1000, 1250)]
    found = _problems(workspace, kinetics_csv(tmp_path / "a.csv", rows))
    assert len(found) == 101
    assert found[-1] == "and 151 more"


def test_other_contents_under_the_same_version_are_refused(
    workspace: Workspace, tmp_path: Path
) -> None:
    _import_kinetics(workspace, kinetics_csv(tmp_path / "a.csv", [ROW]))
    with pytest.raises(ReleaseExistsError, match=r"k@1\.0\.0 is frozen with the digest"):
        _import_kinetics(workspace, kinetics_csv(tmp_path / "b.csv", [ROW.replace("6", "7")]))


KINETICS_JSON = {
    "0zFbEjoGlhc": {
        "annotations": {"label": "archery", "segment": [6.0, 10.0]},
        "duration": 4.0,
        "subset": "test",
        "url": "https://www.youtube.com/watch?v=0zFbEjoGlhc",
    },
    "AHMNZopmQBQ": {
        "annotations": {"label": "tying_tie", "segment": [1, 2.5]},
        "subset": "test",
        "url": None,
    },
}


def test_the_json_of_kinetics(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "k.json").write_text(json.dumps(KINETICS_JSON))
    _import_kinetics(workspace, tmp_path / "k.json")
    clips = load_release("k@1.0.0", workspace.root).clips
    assert [(c.clip_id, c.label) for c in clips] == [
        ("0zFbEjoGlhc_000006_000010", "archery"),
        ("AHMNZopmQBQ_000001.000_000002.500", "tying tie"),
    ]


def test_the_json_of_activitynet_keeps_every_segment(workspace: Workspace, tmp_path: Path) -> None:
    video = {
        "annotations": [
            {"label": "Archery", "segment": [0.01, 3]},
            {"label": "Drinking", "segment": [5, 9.25]},
        ],
        "subset": "training",
        "url": "https://www.youtube.com/watch?v=0zFbEjoGlhc",
    }
    (tmp_path / "a.json").write_text(
        json.dumps({"database": {"0zFbEjoGlhc": video}, "version": "1.3"})
    )
    _import_kinetics(workspace, tmp_path)
    clips = load_release("k@1.0.0", workspace.root).clips
    assert [(c.start_ms, c.end_ms, c.label) for c in clips] == [
        (10, 3000, "Archery"),
        (5000, 9250, "Drinking"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param('{"a": ', "line 1, column 7: not JSON: Expecting value", id="cut-off"),
        pytest.param('{"a": NaN}', "NaN is no number of seconds", id="nan"),
        pytest.param('{"a": ' + "[" * 100_000, "not usable JSON", id="deep"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "not usable JSON", id="huge-number"),
        pytest.param('{"a": 1, "a": 1}', "key 'a' is there twice", id="twice"),
        pytest.param('{"database": []}', "must be an object of videos by id", id="list"),
        pytest.param('{"0zFbEjoGlhc": 1}', "video '0zFbEjoGlhc': must be an object", id="number"),
        pytest.param('{"x": {"subset": "a"}}', "url 'None' must be an http(s) link", id="no-url"),
        pytest.param(
            '{"x": {"subset": "a", "url": "file:///etc/passwd"}}',
            "url 'file:///etc/passwd' must be an http(s) link",
            id="file-url",
        ),
        pytest.param(
            '{"../x": {"subset": "a", "url": "https://e.org/v"}}', "video id '../x' must", id="path"
        ),
        pytest.param(
            '{"0zFbEjoGlhc": {"subset": "a", "annotations": {"label": "b", "segment": [true, 1]}}}',
            "time 'True' must be a number of seconds",
            id="bool-time",
        ),
        pytest.param(
            '{"0zFbEjoGlhc": {"subset": "a", "annotations": {"label": "b", "segment": [1, -1]}}}',
            "time -1 must be",
            id="negative-time",
        ),
        pytest.param(
            '{"0zFbEjoGlhc": {"subset": "a", "annotations": {"label": "b", '
            '"segment": [1e-999999999, 1e999999999]}}}',
            "time 1e+999999999 must be",
            id="exponents",
        ),
        pytest.param(
            '{"0zFbEjoGlhc": {"subset": "a", "annotations": {"label": "b", "segment": [1, 1]}}}',
            "segment 1000-1000 ms ends before it starts",
            id="empty",
        ),
        pytest.param(
            '{"0zFbEjoGlhc": {"subset": "a", "annotations": {"label": "b\\u0000", '
            '"segment": [1, 2]}}}',
            r"class 'b\x00' must be 1 to 100 printable characters",
            id="nul-label",
        ),
    ],
)
def test_json_that_is_wrong(workspace: Workspace, tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "k.json").write_text(text)
    assert any(message in found for found in _problems(workspace, tmp_path / "k.json"))

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from scoring import make_predictions, make_release

from mimecurate.errors import InvalidInputError
from mimecurate.evaluation.available import available_in_workspace, read_available
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.subset_file import read_subsets
from mimecurate.schemas.release import Flag, ObjectSize

if TYPE_CHECKING:
    from pathlib import Path

RELEASE = make_release(40)
IDS = [clip.clip_id for clip in RELEASE.clips]


def chosen(tmp_path: Path, text: str) -> dict[str, list[str]]:
    """Read a subset file and list what is in each subset."""
    path = tmp_path / "subsets"
    path.write_text(text)
    sizes = RELEASE.object_sizes
    return {
        name: [c.clip_id for c in RELEASE.clips if holds(c, sizes[c.label])]
        for name, holds in read_subsets(path).items()
    }


def test_values_lists_negation_and_ranges(tmp_path: Path) -> None:
    found = chosen(
        tmp_path,
        """
        [mimes]
        mime_artist = "yes"

        [two_classes]
        label = ["archery", "playing_bass_guitar"]

        [no_bowling]
        label = { not = "bowling" }

        [early]
        start_s = { max = 9.5 }
        end_s = { min = 4, max = 100 }

        [small]
        object_size = ["none", "small"]
        split = "test"
        """,
    )
    clips = RELEASE.clips
    assert found["mimes"] == [c.clip_id for c in clips if c.mime_artist is Flag.YES]
    assert found["two_classes"] == [
        c.clip_id for c in clips if c.label in {"archery", "playing bass guitar"}
    ]
    assert found["no_bowling"] == [c.clip_id for c in clips if c.label != "bowling"]
    assert found["early"] == [c.clip_id for c in clips if 1000 <= c.start_ms <= 9500]
    sizes = RELEASE.object_sizes
    assert found["small"] == [
        c.clip_id for c in clips if sizes[c.label] in {ObjectSize.NONE, ObjectSize.SMALL}
    ]
    assert all(0 < len(ids) < 40 for ids in found.values())


def test_tables_of_one_name_are_alternatives(tmp_path: Path) -> None:
    text = '[[either]]\nlabel = "archery"\n[[either]]\nlabel = "drinking"\nstart_s = {max = 20}\n'
    assert chosen(tmp_path, text)["either"] == [
        c.clip_id
        for c in RELEASE.clips
        if c.label == "archery" or (c.label == "drinking" and c.start_ms <= 20_000)
    ]


def test_what_was_never_annotated_equals_nothing(tmp_path: Path) -> None:
    found = chosen(tmp_path, '[no]\nmime_artist="no"\n[not_no]\nmime_artist={not="no"}\n')
    unknown = [c.clip_id for c in RELEASE.clips if c.mime_artist is None]
    assert unknown
    assert set(found["no"]) | set(found["not_no"]) == set(IDS) - set(unknown)


def test_json_means_the_same(tmp_path: Path) -> None:
    document = {"early": {"start_s": {"max": 9.5}}, "either": [{"label": "archery"}]}
    assert chosen(tmp_path, json.dumps(document)) == chosen(
        tmp_path, '[early]\nstart_s = { max = 9.5 }\n[[either]]\nlabel = "archery"\n'
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no subset"),
        ("[a", "neither TOML nor JSON"),
        ("{", "neither TOML nor JSON"),
        ("a = 1", "[a] must be a table of comparisons"),
        ("[a]", "[a] must be a table of comparisons"),
        ("a = []", "[a] must be a table of comparisons"),
        ("[a]\nfoo = 1", "[a] 'foo' is no field"),
        ("[a]\nmime_artist = true", "[a] mime_artist must be a value"),
        ("[a]\nmime_artist = {min = 1}", "[a] mime_artist must be a value"),
        ("[a]\nduration_s = {min = 'x'}", "[a] duration_s must be a value"),
        ("[a]\nduration_s = {over = 1}", "[a] duration_s must be a value"),
        ("[a]\nlabel = []", "[a] label must be a value"),
        ("[a]\nlabel = 2020-01-01", "[a] label must be a value"),
        ("[a]\nduration_s = {min = 1" + 400 * "0" + "}", "[a] duration_s must be a value"),
        ("[a]\nmime_artist = 'ja'", "[a] mime_artist is never 'ja'; it is yes, no, unsure"),
        ("[a]\nobject_size = {not = ['huge']}", "never 'huge'; it is none, small, medium, large"),
        ('["a\\u001b"]\nlabel = "x"', "is no name"),
        ('[""]\nlabel = "x"', "is no name"),
        ('{"a":' * 5000, "neither TOML nor JSON"),
    ],
)
def test_files_that_are_wrong(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as raised:
        chosen(tmp_path, text)
    assert words in str(raised.value)


def test_a_subset_without_clips_is_warned_of() -> None:
    predicates = {"none": lambda clip, size: False, "every": lambda clip, size: True}
    report = build_report([make_predictions(RELEASE)], RELEASE, predicates=predicates, resamples=0)
    assert "no clip is in 'none': look at the comparisons" in report.systems[0].warnings


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError) as raised:
        chosen(tmp_path, "[a]\nfoo = 1\nbar = 2\n[b]\nlabel = []\n")
    assert len(raised.value.problems) == 3
    assert "Fields: clip_id, video_id, label" in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(IDS[:3]) + "\nunknown\n",
        "clip_id,url\n" + "".join(f"{clip_id},x\n" for clip_id in IDS[:3]),
        json.dumps([*IDS[:3], "unknown"]),
    ],
    ids=["lines", "csv", "json"],
)
def test_every_form_of_the_list_of_available_clips(text: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_text(text)
    assert read_available(tmp_path / "f", RELEASE) == set(IDS[:3])


def test_what_fetch_prints_says_which_clips_are_gone(tmp_path: Path) -> None:
    clips = [
        {"clip_id": IDS[0], "status": "fetched", "reason": None},
        {"clip_id": IDS[1], "status": "failed", "reason": "removed"},
        {"clip_id": IDS[2], "status": "failed", "reason": "rate_limited"},
        {"clip_id": IDS[3], "status": "failed", "reason": "private"},
        {"clip_id": IDS[4], "status": "failed", "reason": "made up"},
    ]
    (tmp_path / "f").write_text(json.dumps({"requested": 5, "clips": clips}))
    assert set(IDS) - read_available(tmp_path / "f", RELEASE) == {IDS[1], IDS[3]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing\nof ours\n", r"names no clip of small@1\.0\.0"),
        (b"[", "is no JSON"),
        (b"{}", "must be a list of clip ids"),
        (b'{"clips": [1]}', "must be a list of clip ids"),
        (b"[1, 2]", "must be a list of clip ids"),
        (b"\xff\xff", "not UTF-8"),
    ],
)
def test_lists_that_are_wrong(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InvalidInputError, match=words):
        read_available(tmp_path / "f", RELEASE)


def test_a_workspace_knows_what_could_not_be_fetched(tmp_path: Path) -> None:
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(tmp_path) as workspace:
        db = workspace.db
        assert available_in_workspace(db, RELEASE) is None
        for clip in RELEASE.clips[:5]:
            row = {"video_id": clip.video_id, "added_at": "x"}
            db.table("videos").insert(row, ignore=True)
            db.table("clips").insert(
                {
                    "clip_id": clip.clip_id,
                    "video_id": clip.video_id,
                    "start_ms": clip.start_ms,
                    "end_ms": clip.end_ms,
                    "added_at": "x",
                }
            )
        db.table("runs").insert(
            {"run_id": 1, "command": "fetch", "version": "1", "settings": "", "started_at": "x"}
        )
        for place, reason in ((0, "network"), (0, "removed"), (1, "private"), (2, "timeout")):
            clip = RELEASE.clips[place]
            db.table("attempts").insert(
                {
                    "run_id": 1,
                    "video_id": clip.video_id,
                    "clip_id": clip.clip_id,
                    "at": "x",
                    "status": "failed",
                    "reason": reason,
                }
            )
        assert available_in_workspace(db, RELEASE) == frozenset(IDS[2:])

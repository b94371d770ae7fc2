"""Contamination of a release against training lists."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from release_lists import CLIPS, release

from mimecurate.commands.root import cli
from mimecurate.curation.contamination import Contamination, find_contamination
from mimecurate.curation.url_list import read_url_list
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import InvalidInputError
from mimecurate.schemas.release import ReleasedClip

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "label,youtube_id,time_start,time_end,split\n"
A, B = "aaaaaaaaaaa", "bbbbbbbbbbb"
RELEASED = [
    ReleasedClip(f"{A}_000010_000020", A, 10_000, 20_000, "archery", "test"),
    ReleasedClip(f"{A}_000030_000035", A, 30_000, 35_000, "bowling", "test"),
    ReleasedClip(f"{B}_000000_000005", B, 0, 5_000, "bowling", "test"),
]


def look(*texts: str) -> Contamination:
    lists = [(f"l{i}", io.BytesIO(text.encode())) for i, text in enumerate(texts)]
    return find_contamination(
        RELEASED, ((name, read_url_list(stream, name=name)) for name, stream in lists)
    )


@pytest.mark.parametrize(
    ("start", "end", "shared_ms"),
    [(0, 10, 0), (0, 11, 1_000), (12, 14, 2_000), (19, 29, 1_000), (20, 30, 0), (5, 25, 10_000)],
)
def test_intervals_are_half_open(start: int, end: int, shared_ms: int) -> None:
    found = look(f"{HEADER}archery,{A},{start},{end},train\n")
    overlap = next(o for o in found.overlaps if o.label == "archery")
    assert (overlap.overlap_ms, overlap.same_seconds) == (shared_ms, shared_ms > 0)
    counts = found.per_class["archery"]
    assert counts.clips_of_seen_videos == 1
    assert counts.clips_seen == counts.clips_seen_as_this_class == int(shared_ms > 0)
    assert found.per_class["bowling"].clips_of_seen_videos == 1, "the other clip of that video"


def test_classes_and_lists_are_counted_apart() -> None:
    found = look(
        f"{HEADER}archery,{A},10,20,train\nbowling,{A},10,20,train\nx,{'c' * 11},0,5,train\n",
        f"{B}\n",
    )
    assert found.train_rows == 4
    assert [(o.clip_id[0], o.train_list, o.line, o.overlap_ms) for o in found.overlaps] == [
        ("a", "l0", 2, 10_000),
        ("a", "l0", 3, 10_000),
        ("a", "l0", 2, 0),
        ("a", "l0", 3, 0),
        ("b", "l1", 1, 5_000),
    ]
    overall = found.overall
    assert (overall.clips, overall.videos) == (3, 2)
    assert (overall.clips_of_seen_videos, overall.clips_seen) == (3, 2)
    assert overall.clips_seen_as_this_class == 1


def test_a_clean_release_and_a_wrong_list() -> None:
    found = look(f"{HEADER}archery,{'c' * 11},0,10,train\n")
    assert found.overlaps == []
    assert found.overall.clips_of_seen_videos == 0
    with pytest.raises(InvalidInputError, match="line 2"):
        look(f"{HEADER}archery,{A},10,9,train\n")


def test_the_command(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "w") as space:
        release(space.db, "m@1.0.0")
    train = tmp_path / "train.csv"
    clip = CLIPS[0]
    overlapping = (
        f"url,start,end,label,video_id\nhttps://example.org/x,{clip.start_ms / 1000},"
        f"{clip.end_ms / 1000},{clip.label},{clip.video_id}\n"
    )
    where = ["-w", str(tmp_path / "w")]
    folder = str(tmp_path / "bundle")
    export = ["release", "export", "m@1.0.0", "--format", "bundle", "--out", folder, *where]
    assert CliRunner().invoke(cli, export).exit_code == 0
    for name in ("m@1.0.0", folder):
        line = ["release", "check", name, "--train-list", str(train), *where]
        train.write_text(overlapping)
        done = CliRunner().invoke(cli, line)
        assert done.exit_code == 3, done.output
        assert clip.clip_id in done.stdout
        assert ("is whole" in done.stderr) is (name == folder)
        shown = json.loads(CliRunner().invoke(cli, [*line, "--json"]).stdout)
        assert shown.get("ok") is (True if name == folder else None)
        shown = shown["contamination"]
        assert shown["overall"]["clips_seen_as_this_class"] == 1
        assert shown["per_class"][clip.label]["clips_seen"] == 1
        train.write_text("ccccccccccc\n")
        assert CliRunner().invoke(cli, line).exit_code == 0
    alone = CliRunner().invoke(cli, ["release", "check", "m@1.0.0", *where])
    assert alone.exit_code == 2
    assert "--train-list" in alone.stderr
    train.write_text("label,youtube_id,time_start,time_end,split\nx,ccccccccccc,9,1,train\n")
    wrong = CliRunner().invoke(cli, [*line, "--json"])
    assert (wrong.exit_code, json.loads(wrong.stdout)["ok"]) == (1, False)
    (tmp_path / "bundle" / "clips.csv").write_text("broken")
    assert CliRunner().invoke(cli, line).exit_code == 1


def test_mimetics_has_no_video_of_its_own_twice(shared: Path, tmp_path: Path) -> None:
    official = shared / "mimetics-v1.0/mimetics_v1.0.csv"
    with official.open("rb") as stream:
        entries = list(read_url_list(stream, name="x"))
    clips = [
        ReleasedClip(f"{e.video_id}_{e.line}", e.video_id, e.start_ms, e.end_ms, e.label, "test")  # type: ignore[union-attr, arg-type]
        for e in entries
        if hasattr(e, "video_id")
    ]
    with official.open("rb") as stream:
        found = find_contamination(clips, [("itself", read_url_list(stream, name="x"))])
    assert (found.overall.clips, found.overall.videos) == (713, 560)
    assert found.overall.clips_seen_as_this_class == 713

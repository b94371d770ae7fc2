"""What the workspace tells of its clips: lists, duplicates, exports, rechecks, contact sheets."""

from __future__ import annotations

import csv
import io
import json
import struct
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from mimecurate.commands.root import cli
from mimecurate.curation.clip_export import Exported, class_folder, export_kinetics
from mimecurate.curation.clips import ClipFilter, find_clips
from mimecurate.curation.contact_sheet import contact_sheet, evenly_spaced_frames
from mimecurate.curation.duplicates import find_duplicates
from mimecurate.curation.media_store import media_path, publish, unfinished_path
from mimecurate.curation.recheck import file_sha256, recheck_clips
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.verify import MediaFacts, verify_clip
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import ClipError, MimecurateError
from mimecurate.schemas.database import now
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed import SampleMaker

SPEC = VideoSpec(seconds=2, width=96, height=96)


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as workspace:
        yield workspace


def add(
    space: Workspace,
    video_id: str,
    start_ms: int,
    end_ms: int,
    *,
    media: Path | None = None,
    label: str | None = "archery",
    hashes: tuple[int, ...] | None = None,
) -> str:
    """Put a clip into the workspace, with a copy of ``media`` if given."""
    name = clip_id(video_id, start_ms, end_ms)
    with space.db.atomic():
        space.db.execute(
            "INSERT OR IGNORE INTO videos (video_id, url, added_at) VALUES (?, 'http://x.y/z', ?)",
            [video_id, now()],
        )
        space.db.execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, added_at) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [name, video_id, start_ms, end_ms, label, now()],
        )
    if media is not None:
        unfinished = unfinished_path(space.unfinished_dir)
        unfinished.write_bytes(media.read_bytes())
        facts = verify_clip(unfinished)
        publish(unfinished, space.root / media_path(name))
        _insert(space, name, facts, hashes or facts.frame_hashes)
    return name


def _insert(space: Workspace, name: str, facts: MediaFacts, hashes: tuple[int, ...]) -> None:
    row = [
        name, media_path(name).as_posix(), facts.sha256, facts.bytes, facts.duration_ms,
        facts.width, facts.height, facts.fps, facts.frames, facts.video_codec, facts.audio_codec,
        "smart", 0, None, "", struct.pack(">8Q", *hashes), now(), now(),
    ]  # fmt: skip
    with space.db.atomic():
        space.db.execute(f"INSERT INTO media VALUES ({','.join('?' * len(row))})", row)


def run(space: Workspace, *arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, [*arguments, "-w", str(space.root)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_filters_choose_clips(space: Workspace, sample: SampleMaker) -> None:
    add(space, "a", 0, 2000, media=sample(SPEC).path)
    add(space, "b", 0, 2000, label="juggling balls")
    found = [c["clip_id"] for c in find_clips(space.db, ClipFilter(label="juggling balls"))]
    assert found == ["b_000000_000002"]
    assert [c["video_id"] for c in find_clips(space.db, ClipFilter(status="fetched"))] == ["a"]
    assert [c["video_id"] for c in find_clips(space.db, ClipFilter(), limit=1)] == ["a"]
    with pytest.raises(MimecurateError, match="'nope'"):
        list(find_clips(space.db, ClipFilter(clip_ids=("nope",))))


def test_list_prints_json_csv_and_a_table(space: Workspace) -> None:
    add(space, "a", 0, 2000, label="=HYPERLINK(1)")
    assert json.loads(run(space, "clips", "list", "--json")[1])[0]["label"] == "=HYPERLINK(1)"
    rows = list(csv.DictReader(io.StringIO(run(space, "clips", "list", "--csv")[1])))
    assert rows[0]["label"] == "'=HYPERLINK(1)"
    assert "a_000000_000002" in run(space, "clips", "list")[1]


def test_a_hostile_label_cannot_steer_the_terminal(space: Workspace) -> None:
    add(space, "a", 0, 2000, label="\x1b[31mred\x1b]0;title\x07")
    assert "\x1b" not in run(space, "clips", "list")[1]


def test_export_links_clips_into_class_folders(space: Workspace, sample: SampleMaker) -> None:
    name = add(space, "a", 0, 2000, media=sample(SPEC).path, label="../../escape")
    out = space.root / "out"
    assert export_kinetics(space, out, ClipFilter()) == Exported(1, 0, ())
    (link,) = out.rglob("*.mp4")
    assert link.relative_to(out).as_posix() == f"{class_folder('../../escape')}/{name}.mp4"
    assert class_folder("../../escape").startswith(".._.._escape-")
    assert link.stat().st_ino == (space.root / media_path(name)).stat().st_ino
    assert export_kinetics(space, out, ClipFilter()) == Exported(0, 1, ())


def test_export_goes_on_without_a_clip_that_is_gone(
    space: Workspace, sample: SampleMaker, tmp_path: Path
) -> None:
    gone = add(space, "a", 0, 2000, media=sample(SPEC).path)
    add(space, "b", 0, 2000, media=sample(SPEC).path)
    (space.root / media_path(gone)).unlink()
    status, out, _ = run(space, "clips", "export", "--out", str(tmp_path / "out"), "--json")
    report = json.loads(out)
    assert (status, report["linked"], len(report["problems"])) == (3, 1, 1)
    assert gone in report["problems"][0]


def test_different_classes_have_different_folders() -> None:
    names = ["a/b", "a:b", "a_b", ".", "..", "", "深" * 150, "深" * 151]
    assert len({class_folder(name) for name in names}) == len(names)
    assert all(len(class_folder(name).encode()) <= 255 for name in names)


@pytest.mark.parametrize("label", ["..", ".", "", None, "/", "a/../b", "c\0d", "x" * 500])
def test_a_class_folder_is_one_folder(label: str | None, tmp_path: Path) -> None:
    folder = tmp_path / class_folder(label)
    folder.mkdir()
    assert folder.parent == tmp_path
    assert folder.resolve().parent == tmp_path.resolve()


def test_the_same_file_overlaps_and_near_duplicates_are_told_apart(
    space: Workspace, sample: SampleMaker
) -> None:
    path, other = sample(SPEC).path, sample(replace(SPEC, first_number=900, gop=10)).path
    scattered = tuple(0x123456789ABCDEF * (i + 1) % 2**64 for i in range(8))
    close = tuple(h ^ 0b101 for h in scattered)
    far = tuple(h ^ 0xFFFF for h in scattered)
    add(space, "a", 0, 2000, media=path, hashes=scattered)
    add(space, "b", 0, 2000, media=path, hashes=far)
    add(space, "c", 0, 2000, media=other, hashes=close)
    add(space, "c", 1000, 4000, media=sample(replace(SPEC, gop=7)).path, hashes=far[::-1])
    kinds = {(p.first[0], p.second[0], p.kind, p.same_video) for p in find_duplicates(space.db)}
    assert kinds == {
        ("a", "b", "same file", False),
        ("a", "c", "near-duplicate", False),
        ("c", "c", "overlapping times", True),
        ("b", "c", "near-duplicate", False),
    }
    (near,) = [p for p in find_duplicates(space.db) if (p.first[0], p.second[0]) == ("a", "c")]
    assert near.distance == 2.0


def test_frames_without_content_do_not_make_duplicates(
    space: Workspace, sample: SampleMaker
) -> None:
    add(space, "a", 0, 2000, media=sample(SPEC).path, hashes=(0,) * 8)
    add(space, "b", 0, 2000, media=sample(replace(SPEC, gop=9)).path, hashes=(0,) * 8)
    assert find_duplicates(space.db) == []


def test_a_reencoded_copy_is_found_and_another_video_is_not(
    space: Workspace, sample: SampleMaker
) -> None:
    add(space, "a", 0, 2000, media=sample(SPEC).path)
    add(space, "b", 0, 2000, media=sample(replace(SPEC, gop=5, bframes=0, grain=4)).path)
    pairs = find_duplicates(space.db)
    assert [(p.first[0], p.second[0], p.kind) for p in pairs] == [("a", "b", "near-duplicate")]


def test_recheck_finds_what_is_missing_or_damaged(space: Workspace, sample: SampleMaker) -> None:
    names = [add(space, v, 0, 2000, media=sample(SPEC).path) for v in "abc"]
    whole, missing, damaged = (space.root / media_path(n) for n in names)
    missing.unlink()
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 0xFF
    damaged.write_bytes(data)
    found = {r.clip_id: r.problem for r in recheck_clips(space, ClipFilter())}
    assert found[names[0]] == ""
    assert found[names[1]] == "its file is gone"
    assert "checksum" in found[names[2]]
    assert whole.is_file()
    states = dict(space.db.execute("SELECT clip_id, status FROM clip_status").fetchall())
    assert states == {names[0]: "fetched", names[1]: "failed", names[2]: "failed"}


def test_verify_exits_3_when_a_clip_is_not_whole(space: Workspace, sample: SampleMaker) -> None:
    name = add(space, "a", 0, 2000, media=sample(SPEC).path)
    status, out, _ = run(space, "clips", "verify", "--json")
    assert (status, json.loads(out)) == (0, {"checked": 1, "whole": 1, "problems": []})
    assert run(space, "clips", "verify", "--video", "other")[0] == 0
    (space.root / media_path(name)).write_bytes(b"")
    status, out, _ = run(space, "clips", "verify", "--fast", "--json")
    assert status == 3
    assert json.loads(out)["problems"][0]["clip_id"] == name


def test_verify_strikes_nothing_where_the_disk_is_not_mounted(
    space: Workspace, sample: SampleMaker
) -> None:
    name = add(space, "a", 0, 2000, media=sample(SPEC).path)
    (space.root / media_path(name)).unlink()
    status, _, err = run(space, "clips", "verify")
    assert (status, "is its disk mounted?" in err) == (1, True)
    assert space.db["media"].count == 1


def test_ids_stay_as_they_are_in_csv(space: Workspace) -> None:
    name = add(space, "-abcdefghij", 0, 2000)
    rows = list(csv.DictReader(io.StringIO(run(space, "clips", "list", "--csv")[1])))
    assert (rows[0]["clip_id"], rows[0]["video_id"]) == (name, "-abcdefghij")


def test_a_contact_sheet_keeps_the_display_aspect(sample: SampleMaker) -> None:
    path = sample(replace(SPEC, sample_aspect_ratio=Fraction(2))).path
    frames = evenly_spaced_frames(path, 4, height=48)
    assert [f.size for f in frames] == [(96, 48)] * 4
    sheet = contact_sheet([("a caption", frames)], height=48)
    assert sheet.width == 4 * 98
    assert len({f.tobytes() for f in frames}) == 4


def test_a_contact_sheet_of_a_broken_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"nothing")
    with pytest.raises(ClipError, match=r"broken\.mp4"):
        evenly_spaced_frames(path, 4, height=48)


def test_show_writes_a_png_where_there_is_no_terminal(
    space: Workspace, sample: SampleMaker, tmp_path: Path
) -> None:
    name = add(space, "a", 0, 2000, media=sample(SPEC).path)
    status, out, _ = run(space, "clips", "show", name, "--png", str(tmp_path / "sheet"))
    assert status == 0
    assert (tmp_path / "sheet").read_bytes()[:4] == b"\x89PNG"
    assert "archery" in out
    status, _, err = run(space, "clips", "show", "nope", "nor-this")
    assert (status, "no clip 'nope', 'nor-this'" in err, "mimecurate clips list" in err) == (
        1,
        1,
        1,
    )


def test_what_the_system_says_is_said_without_numbers(
    space: Workspace, sample: SampleMaker, tmp_path: Path
) -> None:
    gone, odd, _ = (add(space, v, 0, 2000, media=sample(SPEC).path) for v in "abc")
    (space.root / media_path(gone)).unlink()
    (space.root / media_path(odd)).unlink()
    (space.root / media_path(odd)).mkdir()
    status, _, err = run(space, "clips", "show", gone, "--png", str(tmp_path / "sheet"))
    assert (status, err) == (1, f"Error: {gone}.mp4: No such file or directory\n")
    status, _, err = run(space, "clips", "verify", "--fast")
    assert (status, f"{odd}: could not be checked: Is a directory" in err) == (3, True)


def test_numbers_of_one_are_singular(space: Workspace, sample: SampleMaker) -> None:
    add(space, "a", 0, 2000, media=sample(SPEC).path)
    assert "1 clip\n" in run(space, "clips", "list")[2]
    assert "1 of 1 clip is whole" in run(space, "clips", "verify")[2]
    assert "0 pairs among 1 clip\n" in run(space, "clips", "duplicates")[2]
    out = str(space.root / "out")
    assert "1 clip laid out" in run(space, "clips", "export", "--out", out)[2]


def test_a_file_s_checksum(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_sha256(tmp_path / "x").startswith("ba7816bf8f01cfea")

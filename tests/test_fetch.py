"""`mimecurate fetch`, as its user runs it, against a real server on loopback."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import av
import pytest
from fetching import command, counters, everything_in_the_database_is_there, fetch

from mimecurate.curation.sample_files import make_hls
from mimecurate.curation.samples import VideoSpec

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.loopback import LoopbackServer

SPEC = VideoSpec(seconds=8, width=128, height=96, gop=30, bframes=2, audio="mono")
FORMS = {
    "progressive": (SPEC, ".mp4"),
    "moov_at_end": (replace(SPEC, layout="moov_at_end"), ".mp4"),
    "fragmented": (replace(SPEC, layout="fragmented", start_offset_frames=2), ".mp4"),
    "variable_rate": (replace(SPEC, variable_rate=True), ".mp4"),
    "webm": (replace(SPEC, codec="vp9", audio=None, seconds=4), ".webm"),
    "mpegts": (replace(SPEC, audio=None), ".ts"),
}
COLUMNS = {
    "clip_id", "status", "reason", "path", "sha256", "bytes", "duration_ms", "width", "height",
    "fps", "frames",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", ["smart", "encode"])
def test_clips_hold_exactly_the_frames_of_the_interval(
    form: str, cut: str, sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    spec, suffix = FORMS[form]
    source = sample(spec, suffix)
    (loopback.root / f"a{suffix}").symlink_to(source.path)
    urls = tmp_path / "list.txt"
    urls.write_text(
        "".join(f"{loopback.url(f'a{suffix}')} {t}\n" for t in ("1.1 3.3", "0 1", "2 4"))
    )
    done = fetch(tmp_path / "w", urls, "--cut", cut)
    assert (done.status, done.report["fetched"]) == (0, 3), done.stderr
    for clip in done.report["clips"]:
        *_, start, end = clip["clip_id"].split("_")
        expected = source.numbers_between(int(float(start) * 1000), int(float(end) * 1000))
        assert counters(tmp_path / "w" / clip["path"]) == expected
        assert clip["frames"] == len(expected)
        assert set(clip) >= COLUMNS


def test_the_report_has_the_form_of_the_interface(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    urls = tmp_path / "list.csv"
    urls.write_text(
        f"url,start,end,label\n{loopback.url('a.mp4')},1,3,archery\n"
        f"{loopback.url('none.mp4')},1,3,archery\n"
    )
    done = fetch(tmp_path / "w", urls)
    assert done.status == 3
    assert {k: done.report[k] for k in ("requested", "fetched", "skipped", "failed")} == {
        "requested": 2, "fetched": 1, "skipped": 0, "failed": 1,
    }  # fmt: skip
    assert done.report["by_reason"] == {"unavailable": 1}
    good, bad = done.report["clips"]
    assert (good["status"], good["width"], good["height"]) == ("fetched", 128, 96)
    assert (good["duration_ms"], good["fps"], good["frames"]) == (2000, 30.0, 60)
    assert good["path"] == f"clips/{good['clip_id'][:2]}/{good['clip_id']}.mp4"
    assert (bad["status"], bad["path"]) == ("failed", None)


def test_a_second_run_does_only_what_is_left(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    (loopback.root / "b.mp4").symlink_to(sample(SPEC).path)
    urls = tmp_path / "list.txt"
    urls.write_text("".join(f"{loopback.url(n)} 1 3\n" for n in ("a.mp4", "b.mp4", "gone.mp4")))
    fetch(tmp_path / "w", urls)
    loopback.reset()
    again = fetch(tmp_path / "w", urls)
    assert (again.status, again.report["skipped"], again.report["failed"]) == (3, 2, 1)
    assert loopback.stats().requests == 0
    assert sorted(c["status"] for c in again.report["clips"]) == ["failed", "present", "present"]
    (loopback.root / "gone.mp4").symlink_to(sample(SPEC).path)
    third = fetch(tmp_path / "w", urls, "--retry-failed")
    assert (third.status, third.report["fetched"], third.report["skipped"]) == (0, 1, 2)


def test_one_video_is_asked_for_once_however_many_clips(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    urls = tmp_path / "list.txt"
    urls.write_text("".join(f"{loopback.url('a.mp4')} {s} {s + 1}\n" for s in range(7)))
    done = fetch(tmp_path / "w", urls)
    assert done.report["fetched"] == 7
    heads = [r for r in loopback.requests("a.mp4") if (r.range or (None,))[0] in (0, None)]
    assert len(heads) == 1
    assert done.report["bytes_downloaded"] <= 1.05 * sample(SPEC).path.stat().st_size


def test_whole_videos_and_the_longest_that_is_taken(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    source = sample(SPEC)
    (loopback.root / "a.mp4").symlink_to(source.path)
    urls = tmp_path / "list.txt"
    urls.write_text(f"{loopback.url('a.mp4')}\n")
    refused = fetch(tmp_path / "w", urls, "--max-duration", "5")
    assert refused.report["by_reason"] == {"unsupported": 1}
    done = fetch(tmp_path / "w", urls, "--retry-failed")
    (clip,) = done.report["clips"]
    assert clip["clip_id"].endswith("_000000_000008")
    assert counters(tmp_path / "w" / clip["path"]) == source.numbers_between(0, 8000)
    assert fetch(tmp_path / "w", urls).report["skipped"] == 1


@pytest.mark.parametrize("how", ["no_range", "hls"])
def test_a_source_without_byte_ranges_is_read_whole_and_says_so(
    how: str, sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    source = sample(replace(SPEC, audio=None))
    urls = tmp_path / "list.txt"
    if how == "hls":
        make_hls(source.path, loopback.root / "hls")
        playlist = next((loopback.root / "hls").glob("*.m3u8"))
        urls.write_text(f"{loopback.url(f'hls/{playlist.name}')} 1.5 3.5\n")
    else:
        (loopback.root / "a.mp4").symlink_to(source.path)
        urls.write_text(f"{loopback.url('a.mp4', fault='no_range')} 1.5 3.5\n")
    done = fetch(tmp_path / "w", urls)
    assert done.status == 0, done.report
    (clip,) = done.report["clips"]
    assert counters(tmp_path / "w" / clip["path"]) == source.numbers_between(1500, 3500)
    db = sqlite3.connect(tmp_path / "w/mimecurate.db")
    assert "read whole" in db.execute("SELECT notes FROM media").fetchone()[0]
    db.close()


def test_max_height_scales_down_when_everything_is_encoded(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    source = sample(replace(SPEC, width=256, height=192))
    (loopback.root / "a.mp4").symlink_to(source.path)
    urls = tmp_path / "list.txt"
    urls.write_text(f"{loopback.url('a.mp4')} 1 2\n")
    done = fetch(tmp_path / "w", urls, "--cut", "encode", "--max-height", "96")
    (clip,) = done.report["clips"]
    assert (clip["width"], clip["height"], clip["frames"]) == (128, 96, 30)


def test_copy_records_where_the_clip_really_starts(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    urls = tmp_path / "list.txt"
    urls.write_text(f"{loopback.url('a.mp4')} 1.5 3\n")
    done = fetch(tmp_path / "w", urls, "--cut", "copy")
    assert done.status == 0, done.report
    db = sqlite3.connect(tmp_path / "w/mimecurate.db")
    assert db.execute("SELECT cut, start_ms FROM media").fetchone() == ("copy", 1000)
    db.close()


def test_dry_run_tells_the_plan_and_asks_nobody(loopback: LoopbackServer, tmp_path: Path) -> None:
    urls = tmp_path / "list.txt"
    urls.write_text(f"{loopback.url('a.mp4')} 1 3\n" * 2 + f"{loopback.url('a.mp4')} 5 25\n")
    done = fetch(tmp_path / "w", urls, "--dry-run")
    expected = {"dry_run": True, "requested": 2, "videos": 1, "duplicates": 1, "to_fetch": 2}
    assert {k: done.report[k] for k in expected} == expected
    assert done.report["notices"] == 1
    assert loopback.stats().requests == 0
    assert not (tmp_path / "w").exists()


def test_a_wrong_list_is_refused_with_every_line_and_nothing_is_fetched(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    urls = tmp_path / "list.csv"
    urls.write_text(
        f"url,start,end\n{loopback.url('a.mp4')},1,3\nfile:///etc/passwd,1,3\n--exec=id,1,3\n"
        f"{loopback.url('a.mp4')},9,4\n"
    )
    done = fetch(tmp_path / "w", urls)
    assert (done.status, done.report) == (1, {})
    assert all(f"line {n}, column" in done.stderr for n in (3, 4, 5))
    assert loopback.stats().requests == 0
    went_on = fetch(tmp_path / "w", urls, "--skip-invalid")
    assert (went_on.status, went_on.report["fetched"], went_on.report["failed"]) == (3, 1, 3)
    assert went_on.report["requested"] == 4
    assert [c.get("line") for c in went_on.report["clips"]] == [None, 3, 4, 5]


def test_strict_length_refuses_what_is_else_only_noted(tmp_path: Path) -> None:
    urls = tmp_path / "list.txt"
    urls.write_text("http://127.0.0.1:9/a.mp4 0 60\n")
    assert fetch(tmp_path / "w", urls, "--dry-run").status == 0
    assert fetch(tmp_path / "w", urls, "--dry-run", "--strict-length").status == 1


def test_local_files_only_when_allowed(sample: SampleMaker, tmp_path: Path) -> None:
    source = sample(SPEC)
    urls = tmp_path / "list.txt"
    urls.write_text(f"{source.path} 1 2\n")
    assert fetch(tmp_path / "w", urls).status == 1
    done = fetch(tmp_path / "w", urls, "--allow-files")
    assert done.report["fetched"] == 1, done.stderr
    (clip,) = done.report["clips"]
    assert counters(tmp_path / "w" / clip["path"]) == source.numbers_between(1000, 2000)


def test_a_list_from_standard_input(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    done = subprocess.run(
        [sys.executable, "-m", "mimecurate", "fetch", "--urls", "-", "-w", tmp_path, "--json"],
        input=f"{loopback.url('a.mp4')} 1 2\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["fetched"] == 1, done.stderr


def test_a_second_run_on_the_same_workspace_is_refused(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    (loopback.root / "a.mp4").symlink_to(sample(SPEC).path)
    urls = tmp_path / "list.txt"
    urls.write_text(f"{loopback.url('a.mp4', fault='stall', seconds=5)} 1 2\n")
    first = subprocess.Popen(
        [str(p) for p in command(tmp_path / "w", urls, "--timeout", "10")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not loopback.stats().requests and first.poll() is None:
        pass
    second = fetch(tmp_path / "w", urls)
    first.kill()
    first.wait()
    assert second.status == 1
    assert f"another run is busy here (mimecurate fetch, process {first.pid})" in second.stderr


def test_a_missing_list_and_cookies_are_named(tmp_path: Path) -> None:
    missing = fetch(tmp_path / "w", tmp_path / "none.csv")
    assert (missing.status, "none.csv: No such file" in missing.stderr) == (1, True)
    urls = tmp_path / "list.txt"
    urls.write_text("http://127.0.0.1:9/a.mp4 0 5\n")
    cookies = fetch(tmp_path / "w", urls, "--cookies", str(tmp_path / "none.txt"))
    assert (cookies.status, "none.txt" in cookies.stderr) == (1, True)


def test_a_full_disk_loses_nothing_and_the_rest_comes_later(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    from killing import small_disk

    source = sample(replace(SPEC, seconds=4, width=320, height=240, grain=12))
    urls = tmp_path / "list.txt"
    names = [f"{i}.mp4" for i in range(4)]
    for name in names:
        (loopback.root / name).symlink_to(source.path)
    urls.write_text("".join(f"{loopback.url(n)} 1 3\n" for n in names))
    with small_disk(40_000_000) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(38_500_000))
        done = fetch(disk / "w", urls)
        assert done.status in {1, 3}, done.stderr
        assert "disk" in done.stderr
        kept = everything_in_the_database_is_there(disk / "w")
        assert kept < 4
        ballast.unlink()
        rest = fetch(disk / "w", urls)
        assert (rest.status, rest.report["skipped"], rest.report["fetched"]) == (0, kept, 4 - kept)
        assert everything_in_the_database_is_there(disk / "w") == 4


def test_aac_sound_is_copied_from_a_remote_file(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    source = sample(replace(SPEC, audio="stereo")).path
    (loopback.root / "a.mp4").symlink_to(source)
    urls = tmp_path / "list.txt"
    urls.write_text(f"{loopback.url('a.mp4')} 2.5 5\n")
    (clip,) = fetch(tmp_path / "w", urls).report["clips"]
    with av.open(str(source)) as container:
        packets = {bytes(packet) for packet in container.demux(audio=0) if packet.size}
    with av.open(str(tmp_path / "w" / clip["path"])) as container:
        kept = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert len(kept) > 100
    assert set(kept) <= packets

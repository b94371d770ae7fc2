"""Everything that can go wrong on the way, in one run; and the same, killed again and again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from fetching import command, counters, everything_in_the_database_is_there, fetch
from killing import run_until_done

from mimecurate.curation.sample_files import disguised, truncated
from mimecurate.curation.samples import Sample, VideoSpec

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.loopback import LoopbackServer

SPEC = VideoSpec(seconds=6, width=112, height=96, gop=25, bframes=2)
OPTIONS = ("--retries", "3", "--timeout", "1.5", "--workers", "4")

PASSING: dict[str, tuple[str, dict[str, Any]]] = {
    "429_in_seconds": ("429", {"times": 2, "retry_after": 1}),
    "429_as_a_date": ("429", {"times": 1, "retry_after": 1, "date": True}),
    "429_bare": ("429", {"times": 1}),
    "503_twice": ("503", {"times": 2}),
    "500_once": ("500", {"times": 1}),
    "reset_at_once": ("reset", {"times": 2}),
    "reset_midway": ("reset", {"times": 2, "after_bytes": 3000}),
    "truncated_answer": ("truncate", {"times": 2}),
    "stalls_once": ("stall", {"times": 1, "after_bytes": 2000, "seconds": 30}),
    "too_long_a_length": ("length", {"times": 2, "delta": 500}),
    "403_once_then_fine": ("403", {"times": 1, "skip": 1}),
    "no_byte_ranges": ("no_range", {}),
    "slow": ("slow", {"rate": 300_000}),
}
"""Faults that pass: the clip is fetched all the same."""

LASTING: dict[str, tuple[str, dict[str, Any], str]] = {
    "gone": ("404", {}, "unavailable"),
    "gone_for_good": ("410", {}, "removed"),
    "forbidden": ("403", {}, "login_required"),
    "unauthorised": ("401", {}, "login_required"),
    "banned_here": ("451", {}, "geo_blocked"),
    "always_429": ("429", {"retry_after": 0.2}, "rate_limited"),
    "always_503": ("503", {}, "network"),
    "always_reset": ("reset", {}, "network"),
    "always_stalls": ("stall", {"seconds": 30}, "timeout"),
    "lying_about_ranges": ("lying_range", {}, "network"),
    "a_web_page": ("html", {}, "unsupported"),
    "to_a_metadata_server": ("redirect", {"location": "http://169.254.169.254/x"}, "unsupported"),
    "to_a_file": ("redirect", {"location": "file:///etc/passwd"}, "unsupported"),
}
"""Faults that last, and the reason they must give."""

FILES = {
    "cut_off": "corrupt",
    "nothing": "no_video",
    "garbage": "no_video",
    "playlist_of_files": "unsupported",
    "concat_script": "unsupported",
}
"""Files that are not what they seem."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A list with every fault, and what must come of each video."""

    urls: Path
    source: Sample
    good: set[str]
    bad: dict[str, str]


def _serve_faults(server: LoopbackServer, source: Sample, folder: Path, plain: int) -> Setting:
    root = server.root
    for index in range(plain):
        (root / f"plain{index}.mp4").symlink_to(source.path)
    good = {f"plain{index}" for index in range(plain)}
    bad: dict[str, str] = {}
    for name, (fault, options) in PASSING.items():
        (root / f"{name}.mp4").symlink_to(source.path)
        server.misbehave(f"{name}.mp4", fault, **options)
        good.add(name)
    for name, (fault, options, reason) in LASTING.items():
        (root / f"{name}.mp4").symlink_to(source.path)
        server.misbehave(f"{name}.mp4", fault, **options)
        bad[name] = reason
    truncated(source.path, root / "cut_off.mp4", keep=0.5)
    disguised(root / "nothing.mp4", "empty")
    disguised(root / "garbage.mp4", "garbage")
    disguised(root / "playlist_of_files.mp4", "m3u8")
    disguised(root / "concat_script.mp4", "ffconcat")
    bad |= FILES
    names = [*good, *bad]
    rows = [f"{server.url(f'{n}.mp4')},3,5,archery,{n}" for n in sorted(names)]
    urls = folder / "list.csv"
    urls.write_text("url,start,end,label,video_id\n" + "\n".join(rows) + "\n")
    return Setting(urls, source, good, bad)


def _check(setting: Setting, workspace: Path) -> None:
    db = sqlite3.connect(workspace / "mimecurate.db")
    rows = db.execute("SELECT video_id, status, reason, message, path FROM clip_status").fetchall()
    db.close()
    found = {video: (status, reason) for video, status, reason, _, _ in rows}
    expected: dict[str, tuple[str, str | None]] = {n: ("fetched", None) for n in setting.good}
    expected |= {name: ("failed", reason) for name, reason in setting.bad.items()}
    assert found == expected, [row for row in rows if row[1:3] != expected[row[0]]]
    assert all(message for _, status, _, message, _ in rows if status == "failed")
    frames = setting.source.numbers_between(3000, 5000)
    assert all(counters(workspace / path) == frames for *_, path in rows if path)
    files = {p.relative_to(workspace).as_posix() for p in (workspace / "clips").rglob("*.mp4")}
    assert files == {path for *_, path in rows if path}


def test_every_fault_ends_in_the_clip_or_in_its_reason(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    setting = _serve_faults(loopback, sample(SPEC), tmp_path, plain=4)
    done = fetch(tmp_path / "w", setting.urls, *OPTIONS, timeout_s=240)
    assert done.status == 3
    _check(setting, tmp_path / "w")


def test_nobody_is_asked_while_the_site_wants_a_pause(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    for name in "abcd":
        (loopback.root / f"{name}.mp4").symlink_to(sample(SPEC).path)
    loopback.misbehave("a.mp4", "429", times=1, retry_after=3)
    urls = tmp_path / "list.txt"
    urls.write_text("".join(f"{loopback.url(f'{n}.mp4')} 1 3\n" for n in "abcd"))
    done = fetch(tmp_path / "w", urls, "--workers", "1")
    assert done.report["fetched"] == 4
    requests = loopback.requests()
    (refused,) = [r for r in requests if r.status == 429]
    after = [r.time_s - refused.time_s for r in requests if r.time_s > refused.time_s]
    assert min(after) >= 3


@pytest.mark.slow
def test_two_hundred_clips_with_every_fault(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    plain = 200 - len(PASSING) - len(LASTING) - len(FILES)
    setting = _serve_faults(loopback, sample(SPEC), tmp_path, plain=plain)
    done = fetch(tmp_path / "w", setting.urls, *OPTIONS, timeout_s=600)
    assert (done.report["requested"], done.status) == (200, 3)
    _check(setting, tmp_path / "w")


def test_killed_again_and_again_it_still_gets_everything(
    sample: SampleMaker, loopback: LoopbackServer, tmp_path: Path
) -> None:
    for index in range(24):
        (loopback.root / f"{index}.mp4").symlink_to(sample(SPEC).path)
    loopback.misbehave("7.mp4", "404")
    urls = tmp_path / "list.txt"
    urls.write_text("".join(f"{loopback.url(f'{i}.mp4')} 1 3\n" for i in range(24)))
    workspace = tmp_path / "w"

    def after_more_clips(number: int) -> bool:
        return len(list((workspace / "clips").rglob("*-url_*.mp4"))) >= number

    strikes = [lambda n=n: after_more_clips(n) for n in (1, 3, 4, 9, 15, 20)]
    runs = run_until_done(command(workspace, urls, *OPTIONS), [0.4, *strikes], timeout_s=120)
    assert len(runs) >= 5
    assert runs[-1].returncode == 3
    assert everything_in_the_database_is_there(workspace) == 23
    assert len(list((workspace / "clips").rglob("*-url_*.mp4"))) == 23
    left = [p for p in (workspace / "clips/.unfinished").iterdir()]
    assert left == []

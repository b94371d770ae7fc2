"""Runs that are told to wait, that nobody answers, or that would never end."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from fetching import fetch as fetch_by_command

from mimecurate.curation import fetch as fetch_module
from mimecurate.curation import fetch_queue
from mimecurate.curation.fetch import fetch
from mimecurate.curation.fetch_plan import ClipJob, VideoJob
from mimecurate.curation.fetch_video import FetchOptions, fetch_video
from mimecurate.curation.pacing import Pacer
from mimecurate.curation.samples import Sample, VideoSpec
from mimecurate.curation.sources import SourceOptions, make_pacer
from mimecurate.curation.url_list import read_url_list
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.fetch import FetchReport
    from mimecurate.curation.loopback import LoopbackServer

SOURCE = SourceOptions(retries=2, backoff_s=0.05, backoff_max_s=0.1, timeout_s=5)


@pytest.fixture
def source(sample: SampleMaker, loopback: LoopbackServer) -> Sample:
    made = sample(VideoSpec(seconds=3, width=96, height=96, gop=15))
    for name in "abcdef":
        (loopback.root / f"{name}.mp4").symlink_to(made.path)
    return made


@dataclass
class Done:
    report: FetchReport
    notes: list[str]
    when: dict[str, float] = field(default_factory=dict)
    """Seconds after the start at which each video's clip was done."""
    states: dict[str, str] = field(default_factory=dict)


def run(tmp_path: Path, urls: dict[str, str], source: SourceOptions = SOURCE, **more: Any) -> Done:
    rows = "".join(f"{url},0,1,,{name}\n" for name, url in urls.items())
    (tmp_path / "list.csv").write_text("url,start,end,label,video_id\n" + rows)
    notes: list[str] = []
    when: dict[str, float] = {}
    began = time.monotonic()
    with open_workspace(tmp_path / "w") as space, (tmp_path / "list.csv").open("rb") as stream:
        report = fetch(
            space,
            read_url_list(stream, name="list"),
            FetchOptions(space.clips_dir, source, "smart", None, 600_000),
            pacer=make_pacer(source),
            on_note=notes.append,
            on_result=lambda r: when.update({r.video_id: time.monotonic() - began}),
            **more,
        )
        rows_of = space.db.execute("SELECT video_id, status FROM clip_status").fetchall()
    return Done(report, notes, when, dict(rows_of))


def _on_another_host(loopback: LoopbackServer, path: str) -> str:
    return loopback.url(path).replace("127.0.0.1", "localhost")


def test_a_site_s_pause_does_not_hold_the_workers(
    source: Sample, loopback: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fetch_queue, fetch_module):
        monkeypatch.setattr(module, "SIT_OUT_S", 0.2)
    loopback.misbehave("a.mp4", "429", times=1, retry_after=4)
    urls = {name: loopback.url(f"{name}.mp4") for name in "abc"}
    urls |= {name: _on_another_host(loopback, f"{name}.mp4") for name in "def"}
    done = run(tmp_path, urls, workers=1)
    assert done.report.fetched == 6
    assert max(done.when[name] for name in "def") < min(done.when[name] for name in "abc")
    (line,) = done.notes
    assert "waiting for 127.0.0.1 until" in line
    asked = [r.time_s for r in loopback.requests() if r.headers["host"].startswith("127")]
    refused = next(r.time_s for r in loopback.requests() if r.status == 429)
    assert min(t for t in asked if t > refused) - refused >= 4


def test_too_long_a_pause_ends_as_rate_limited(
    source: Sample, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("a.mp4", "429", retry_after=600)
    urls = {name: loopback.url(f"{name}.mp4") for name in "ab"}
    urls["c"] = _on_another_host(loopback, "c.mp4")
    done = run(tmp_path, urls, workers=1, max_wait_s=60)
    assert (done.report.fetched, dict(done.report.by_reason)) == (1, {Reason.RATE_LIMITED: 2})
    assert len(loopback.requests("b.mp4")) == 0


def test_a_video_that_is_always_refused_is_not_put_aside_for_ever(
    source: Sample, loopback: LoopbackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (fetch_queue, fetch_module):
        monkeypatch.setattr(module, "SIT_OUT_S", 0.01)
    loopback.misbehave("a.mp4", "429", retry_after=0.3)
    done = run(tmp_path, {"a": loopback.url("a.mp4")})
    assert dict(done.report.by_reason) == {Reason.RATE_LIMITED: 1}
    assert len(loopback.requests("a.mp4")) == 1 + SOURCE.retries
    assert len(done.notes) == SOURCE.retries


def test_a_site_that_does_not_answer_is_left_for_the_next_run(
    source: Sample, loopback: LoopbackServer, tmp_path: Path
) -> None:
    dead = {f"dead{n:02d}": f"http://localhost:1/{n}.mp4" for n in range(40)}
    good = {name: loopback.url(f"{name}.mp4") for name in "abc"}
    for failed_before in (0, 1):
        done = run(tmp_path, dead | good, workers=2, give_up_after=5)
        assert done.report.failed <= 5 + 2 * 2
        assert done.report.not_tried == 40 - done.report.failed
        assert "localhost did not answer for 5 videos in a row" in done.notes[0]
        assert (done.report.fetched, done.report.skipped) == (3, 0)[:: 1 - 2 * failed_before]
    open_clips = [name for name, state in done.states.items() if state == "open"]
    assert len(open_clips) == 40 - 2 * done.report.failed  # the second run asked for others


def test_without_a_network_the_command_says_so_once_and_exits_3(
    source: Sample, loopback: LoopbackServer, tmp_path: Path
) -> None:
    urls = tmp_path / "list.txt"
    hosts = ("http://127.0.0.1:1", "http://localhost:1")
    urls.write_text("".join(f"{hosts[n % 2]}/{n}.mp4 0 1\n" for n in range(60)))
    options = ("--retries", "0", "--give-up-after", "4", "--workers", "2")
    fetch_by_command(tmp_path / "w", urls, *options)
    done = fetch_by_command(tmp_path / "w", urls, *options)
    assert done.status == 3
    assert done.report["failed"] + done.report["not_tried"] == 60
    assert done.report["failed"] <= 4 + 2 * 2
    said = [line for line in done.stderr.splitlines() if "is there a network?" in line]
    assert len(said) == 1
    assert [c["status"] for c in done.clips.values()].count("open") == done.report["not_tried"]


def test_a_server_that_drips_is_dropped(
    source: Sample, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("a.mp4", "slow", rate=3000)
    drip = SourceOptions(retries=0, timeout_s=0.5, min_rate=4096)
    done = run(tmp_path, {"a": loopback.url("a.mp4")}, drip)
    assert dict(done.report.by_reason) == {Reason.TIMEOUT: 1}
    assert done.when["a"] < 4


def test_a_clip_takes_only_so_long(
    source: Sample, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("a.mp4", "slow", rate=6000)
    options = FetchOptions(tmp_path / "clips", SOURCE, "smart", None, 600_000, max_clip_s=0.7)
    video = VideoJob("a", loopback.url("a.mp4"), (ClipJob("x", 0, 1000), ClipJob("y", 1000, 2000)))
    began = time.monotonic()
    results = list(fetch_video(video, options=options, pacer=Pacer(), check_stopped=lambda: None))
    assert time.monotonic() - began < 4
    assert [r.reason for r in results] == [Reason.TIMEOUT] * 2
    assert "--clip-timeout" in results[0].message

"""What the tests of `fetch` share: run it as its user does, and read off which frames came."""

from __future__ import annotations

import json
import sqlite3
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import av
from killing import run_and_strike

from mimecurate.curation.sample_frames import read_counter

if TYPE_CHECKING:
    from pathlib import Path

FAST = ("--backoff", "0.05", "--backoff-max", "0.2", "--timeout", "2")
"""Retries without the waiting that real sites deserve."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """How a run of `mimecurate fetch --json` ended."""

    status: int
    report: dict[str, Any]
    stderr: str
    clips: dict[str, dict[str, Any]] = field(default_factory=dict)


def command(workspace: Path, urls: Path, *options: str) -> list[str | Path]:
    """Spell out the command line."""
    program = (sys.executable, "-m", "mimecurate", "fetch", "--json", "--urls")
    return [*program, urls, "-w", workspace, *FAST, *options]


def fetch(workspace: Path, urls: Path, *options: str, timeout_s: float = 120) -> Fetched:
    """Run the command in a process of its own."""
    run = run_and_strike(command(workspace, urls, *options), timeout_s=timeout_s)
    assert "Traceback" not in run.stderr, run.stderr
    report = json.loads(run.stdout) if run.stdout else {}
    clips = {c["clip_id"]: c for c in report.get("clips", [])}
    return Fetched(run.returncode, report, run.stderr, clips)


def counters(path: Path) -> list[int]:
    """Read the number that is drawn into each frame of a clip."""
    with av.open(str(path)) as container:
        return [
            read_counter(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)
        ]


def everything_in_the_database_is_there(workspace: Path) -> int:
    """Check each file that the database names by its decoded frames; return how many there are."""
    db = sqlite3.connect(workspace / "mimecurate.db")
    rows = db.execute("SELECT path, frames, bytes FROM media").fetchall()
    db.close()
    for path, frames, size in rows:
        assert (workspace / path).stat().st_size == size
        assert len(counters(workspace / path)) == frames
    return len(rows)

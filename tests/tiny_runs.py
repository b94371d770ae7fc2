"""Runs of the tiny model on a few made clips, for the tests of `baseline run`."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from testbed import REPOSITORY

from mimecurate import baselines
from mimecurate.curation.samples import VideoSpec

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.baselines.run_model import RunResult

RELEASE = "small@1.0.0"
TINY = REPOSITORY / "tests" / "tiny_baseline.py"


def made_media(sample: SampleMaker) -> list[Path]:
    """Clips of other lengths and sizes, one of them shorter than a view."""
    specs = [
        VideoSpec(seconds=2, fps=25),
        VideoSpec(seconds=0.2, fps=25, width=120, height=160),
        VideoSpec(seconds=1, fps=30, variable_rate=True),
        VideoSpec(seconds=1, fps=25, rotation=90),
        VideoSpec(seconds=3, fps=24, width=64, height=48),
    ]
    return [sample(spec).path for spec in specs]


def run(workspace: Path, out: str = "p.parquet", **options: Any) -> RunResult:
    """Run it from Python."""
    chosen: dict[str, Any] = {"weights": "random", "batch_size": 4, "workers": 2} | options
    return baselines.run(
        "tiny", release=RELEASE, workspace=workspace, out=workspace / out, **chosen
    )


def command(workspace: Path, *more: str, out: str = "p.parquet") -> list[str | Path]:
    """Give the command line that runs it in a process of its own."""
    return [
        *(sys.executable, TINY, "baseline", "run", "tiny", "--release", RELEASE),
        *("-w", workspace, "--out", workspace / out, "--weights", "random", "--batch-size", "3"),
        *more,
    ]


def manifest_of(path: Path) -> dict[str, Any]:
    """Read the manifest of a Parquet file."""
    import pyarrow.parquet as pq

    found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"mimecurate_manifest"])
    return found

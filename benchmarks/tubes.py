"""Measure the linking of tubes on made-up people.

Run: python benchmarks/tubes.py [--frames 10000] [--people 5] [--runs 3]

Each case is linked a few times in one process; the median of the processor time counts. The naive
reference of the tests is run on a few frames of the same kind, and its links are compared.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.baselines.people import People
from mimecurate.baselines.tubes import link_tubes

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tubes_reference import naive_links

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 1.0
NAIVE_FRAMES = 150
CASES: dict[str, dict[str, float]] = {
    "apart": {"missed": 0.0, "space": 4000.0},
    "a tenth missed": {"missed": 0.1, "space": 4000.0},
    "a third missed": {"missed": 0.33, "space": 4000.0},
    "crowded": {"missed": 0.1, "space": 150.0},
    "on top of each other": {"missed": 0.1, "space": 20.0},
    "scattered": {"missed": 0.0, "space": 4000.0, "pace": 4000.0},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    slow = []
    for name, how in CASES.items():
        few = made(NAIVE_FRAMES, arguments.people, **how)
        links = [t.detection[t.detection >= 0].tolist() for t in link_tubes(few)]
        if links != naive_links(few):
            raise SystemExit(f"{name}: other links than the naive reference's")
        ratio = seconds(lambda few=few: naive_links(few), 1) / seconds(  # type: ignore[misc]
            lambda few=few: link_tubes(few),  # type: ignore[misc]
            arguments.runs,
        )
        people = made(arguments.frames, arguments.people, **how)
        took = seconds(lambda people=people: link_tubes(people), arguments.runs)  # type: ignore[misc]
        tubes = len(link_tubes(people))
        print(
            f"{name:21} {len(people.frame):7,} detections {tubes:7,} tubes {took:7.3f} s; "
            f"naive / this, {NAIVE_FRAMES} frames: {ratio:5.0f}"
        )
        if took > LIMIT_S:
            slow.append(name)
    if slow:
        raise SystemExit(f"over {LIMIT_S} s: {', '.join(slow)}")


def made(frames: int, count: int, *, missed: float, space: float, pace: float = 3.0) -> People:
    """Make people who walk at random in a square of ``space`` pixels, some detections missed."""
    rng = np.random.default_rng(0)
    start = rng.uniform(0, space, (count, 2))
    walk = np.cumsum(rng.normal(0, pace, (frames, count, 2)), axis=0)
    centres = np.abs((start + walk) % (2 * space) - space)
    boxes = np.concatenate([centres, centres + np.array([60, 150])], axis=2)
    kept = rng.random((frames, count)) >= missed
    n = int(kept.sum())
    return People(
        clip_id="made",
        frames=frames,
        width=int(space) + 60,
        height=int(space) + 150,
        fps=25.0,
        layout="coco17",
        frame=np.nonzero(kept)[0].astype(np.int32),
        boxes=boxes[kept].astype(np.float32),
        scores=rng.random(n, np.float32),
        joints=rng.random((n, 17, 2), np.float32),
        joint_scores=rng.random((n, 17), np.float32),
    )


def seconds(what: Callable[[], object], runs: int) -> float:
    """Median processor time: others may use the machine."""
    times = []
    for _ in range(runs):
        started = time.process_time()
        what()
        times.append(time.process_time() - started)
    return statistics.median(times)


if __name__ == "__main__":
    main()

"""Measure releases of a large workspace: freeze, diff, show, import.

Run: python benchmarks/release.py [--clips 1000000] [--mimetics FOLDER]

Makes a workspace with that many synthetic clips and decisions, freezes them, freezes a second
release that shares 99 % with the first, compares the two, and shows one. Every step runs in a
process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_compare import compare_releases
from mimecurate.curation.release_create import Recipe, create_release
from mimecurate.curation.release_import import import_release
from mimecurate.curation.release_read import find_release, load_release, show_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLASSES = 700
CLIPS_PER_VIDEO = 2
LIMITS = {
    "freeze": (60.0, 1024),
    "freeze again, 1 % changed": (60.0, 1024),
    "diff": (10.0, 1024),
    "show": (0.5, 1024),
    "import of 713 clips": (1.0, 1024),
}
"""Seconds and MiB that each step may take at 1,000,000 clips."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--mimetics", type=Path, help="folder of the official v1.0 files")
    parser.add_argument("--folder", type=Path, help="where to make the workspace")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder)
        fill(root, arguments.clips)
        size = sum(path.stat().st_size for path in root.glob("*.db*")) / 2**20
        print(f"{arguments.clips:,} clips in the workspace, {size:,.0f} MiB")
        steps: dict[str, tuple[Callable[..., object], tuple[Any, ...]]] = {
            "freeze": (freeze, (root, Version(1, 0, 0))),
            "freeze again, 1 % changed": (freeze_changed, (root, arguments.clips)),
            "diff": (diff, (root,)),
            "show": (show, (root,)),
            "load": (load, (root,)),
        }
        if arguments.mimetics:
            steps["import of 713 clips"] = (import_mimetics, (root, arguments.mimetics))
        for name, (function, values) in steps.items():
            report(name, *measure(function, values))


def report(name: str, seconds: float, cpu: float, mebibytes: float, result: object) -> None:
    limit = LIMITS.get(name)
    words = f"(limit {limit[0]:g} s, {limit[1]} MiB)" if limit else ""
    numbers = f"{seconds:8.2f} s {cpu:8.2f} s CPU {mebibytes:6.0f} MiB"
    print(f"{name:26} {numbers}  {words} {result}", flush=True)


def measure(
    function: Callable[..., object], values: tuple[Any, ...]
) -> tuple[float, float, float, object]:
    """Run a function in a fresh process; return its seconds, CPU seconds, peak MiB and result."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, function, values))
    process.start()
    outcome: tuple[float, float, float, object] = receiver.recv()
    process.join()
    return outcome


def _measured(sender: Any, function: Callable[..., object], values: tuple[Any, ...]) -> None:
    begin = time.perf_counter()
    result = function(*values)
    seconds, cpu = time.perf_counter() - begin, time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sender.send((seconds, cpu, peak, result))


def fill(root: Path, clips: int) -> None:
    """Make a workspace with ``clips`` clips, media and decisions."""
    with open_workspace(root) as workspace, workspace.db.atomic():
        execute = workspace.db.conn.executemany
        execute(
            "INSERT INTO classes (name, object_size, scene) VALUES (?, 'small', 1)",
            ((f"class {number:03d}",) for number in range(CLASSES)),
        )
        execute(
            "INSERT INTO videos (video_id, url, added_at) VALUES (?, ?, 'x')",
            (
                (video, f"https://www.youtube.com/watch?v={video}")
                for video in map(video_id, range(-(-clips // CLIPS_PER_VIDEO)))
            ),
        )
        execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, split, added_at) "
            "VALUES (?, ?, ?, ?, ?, 'test', 'x')",
            rows(clips),
        )
        workspace.db.execute(
            "INSERT INTO media SELECT clip_id, clip_id, '', 1, 1, 1, 1, 1.0, 1, 'h264', NULL, "
            "'smart', 0, NULL, '', x'00', 'x', 'x' FROM clips"
        )
        workspace.db.execute(
            "INSERT INTO decisions (clip_id, verdict, mime_artist, object_relevant, "
            "scene_relevant, method, decided_by, decided_at) SELECT clip_id, 'yes', "
            "CASE rowid % 3 WHEN 0 THEN 'yes' ELSE 'no' END, 'no', 'no', 'rule', 'x', 'x' "
            "FROM clips"
        )


def video_id(number: int) -> str:
    """Spread ids as YouTube's are spread, so that no index is filled in order."""
    return f"{number * 2654435761 % 2**32:08x}{number % 997:03d}"


def rows(clips: int) -> Iterator[tuple[str, str, int, int, str]]:
    for number in range(clips):
        video, start = video_id(number // CLIPS_PER_VIDEO), number % CLIPS_PER_VIDEO * 10
        name = f"{video}_{start:06d}_{start + 10:06d}"
        yield name, video, start * 1000, (start + 10) * 1000, f"class {number % CLASSES:03d}"


def freeze(root: Path, version: Version) -> object:
    with open_workspace(root) as workspace:
        return create_release(workspace, "big", version, Recipe()).digest[:12]


def freeze_changed(root: Path, clips: int) -> object:
    """Change 1 % of the labels, and freeze again."""
    with open_workspace(root) as workspace:
        workspace.db.execute(
            "INSERT INTO decisions (clip_id, verdict, label, mime_artist, object_relevant, "
            "scene_relevant, method, decided_by, decided_at) SELECT clip_id, 'yes', 'class 000', "
            "'no', 'no', 'no', 'adjudicated', 'x', 'x' FROM clips WHERE rowid <= ?",
            [clips // 100],
        )
    return freeze(root, Version(2, 0, 0))


def diff(root: Path) -> object:
    found = compare_releases("big@1.0.0", "big@2.0.0", root)
    return f"{found.same:,} same, {len(found.relabelled):,} relabelled"


def show(root: Path) -> object:
    with open_workspace(root, read_only=True) as workspace:
        shown = show_release(workspace.db, find_release(workspace.db, "big@2.0.0"))
    return f"{len(json.dumps(shown)):,} bytes"


def load(root: Path) -> object:
    return f"{len(load_release('big@2.0.0', root).clips):,} clips"


def import_mimetics(root: Path, folder: Path) -> object:
    with open_workspace(root) as workspace:
        made = import_release(
            workspace, folder, format="mimetics", name="mimetics", version=Version(1, 0, 0)
        )
    return made.digest[:12]


if __name__ == "__main__":
    main()

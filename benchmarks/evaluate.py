"""Measure scoring: ranks and metrics, readers, bootstrap, the whole command, memory.

Run: python benchmarks/evaluate.py [--runs 5] [--large] [--folder FOLDER]

Times are medians of a few runs in one process; ratios are of these medians. ``--large`` also
scores 200,000 clips of 700 classes (560 MB, once as .npz and once as Parquet), each in a process
of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.curation.release_edition import load_edition
from mimecurate.curation.release_export import export_release
from mimecurate.curation.release_import import import_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.evaluation.bootstrap import bootstrap, metric_statistic, percentile_interval
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.metrics import Hits, score, score_classes
from mimecurate.evaluation.predictions import Predictions, load_predictions
from mimecurate.evaluation.ranks import rank_true_class
from mimecurate.evaluation.targets import Targets
from mimecurate.schemas.release import Flag, ObjectSize, Release, ReleasedClass, ReleasedClip
from mimecurate.schemas.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

LIMITS = {
    "metrics / np.max": 25.0,
    "argsort reference / metrics": 30.0,
    "10,000 resamples, 11 subsets, 5 metrics, seconds": 0.5,
    "whole command, three systems, seconds": 2.0,
    "peak memory / matrix": 1.5,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to write the score files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        ranking(arguments.runs)
        resampling(arguments.runs)
        reading(Path(folder), arguments.runs)
        whole_command(Path(folder), arguments.runs)
        if arguments.large:
            memory(Path(folder))


def ranking(runs: int) -> None:
    release, predictions = made(20_000, 400, videos=20_000, classes=400)
    targets = Targets.from_release(release)
    scores = predictions.scores
    columns = targets.labels

    def metrics() -> None:
        hits = Hits.from_ranks(rank_true_class(scores, columns).rank)
        for inside in targets.subsets.values():
            score(hits, targets.labels, targets.videos, inside)
        score_classes(hits, targets.labels, targets.subsets["all"], targets.class_names)

    one_pass = median(lambda: np.max(scores), runs)
    ours = median(metrics, runs)
    matched = median(lambda: build_report([predictions], release, resamples=0), runs)
    reference = median(lambda: argsort_reference(scores, columns), min(runs, 3))
    print(f"20,000 x 400: np.max {ms(one_pass)}, metrics of 11 subsets {ms(ours)}, "
          f"with matching {ms(matched)}, argsort reference {ms(reference)}")  # fmt: skip
    limit("metrics / np.max", ours / one_pass)
    limit("argsort reference / metrics", reference / ours, at_least=True)


def argsort_reference(scores: NDArray[Any], labels: NDArray[Any]) -> list[float]:
    """Compute top-k, mean class accuracy and mAP as mmaction2 does: a sort for each."""
    found = []
    for k in (1, 5):
        best = np.argsort(scores, axis=1)[:, -k:]
        found.append(float((best == labels[:, None]).any(axis=1).mean()))
    matrix = np.zeros((scores.shape[1], scores.shape[1]))
    for true, predicted in zip(labels, scores.argmax(axis=1), strict=True):
        matrix[true, predicted] += 1
    found.append(float((matrix.diagonal() / matrix.sum(axis=1)).mean()))
    areas = [area_under_curve(column, labels == c) for c, column in enumerate(scores.T)]
    found.append(float(np.mean(areas)))
    return found


def area_under_curve(scores: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """Compute the area under the step-wise precision-recall curve of one class."""
    order = np.argsort(scores, kind="stable")[::-1]
    scores, right = scores[order], right[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    hits = np.cumsum(right)[ends]
    precision, recall = hits / (1 + ends), hits / hits[-1]
    return float((np.diff(recall, prepend=0) * precision).sum())


def resampling(runs: int) -> None:
    release, predictions = made(713, 400, videos=560, classes=50)
    targets = Targets.from_release(release)
    hits = Hits.from_ranks(rank_true_class(predictions.scores, targets.labels).rank)

    def resample() -> None:
        statistic = metric_statistic(
            [hits], targets.labels, targets.videos, targets.num_videos,
            list(targets.subsets.values()),
        )  # fmt: skip
        samples = bootstrap([statistic], targets.num_videos, resamples=10_000, seed=0)
        percentile_interval(samples[0])

    limit("10,000 resamples, 11 subsets, 5 metrics, seconds", median(resample, runs))


def reading(folder: Path, runs: int) -> None:
    _, predictions = made(20_000, 400, videos=20_000, classes=50)
    for path in write(folder, predictions, "twenty"):
        seconds = median(lambda path=path: load_predictions(path), min(runs, 3))  # type: ignore[misc]
        print(f"read 20,000 x 400 {path.name}: {ms(seconds)}, {path.stat().st_size / 1e6:.0f} MB")


def whole_command(folder: Path, runs: int) -> None:
    release, _ = made(713, 400, videos=560, classes=50)
    bundle = exported(folder, release)
    paths = []
    for seed in range(3):
        _, predictions = made(713, 400, videos=560, classes=50, seed=seed)
        paths.append(write(folder, predictions, f"system{seed}")[1])
    words = [sys.executable, "-m", "mimecurate", "evaluate", *map(str, paths)]

    def command() -> None:
        subprocess.run(
            [*words, "--release", str(bundle)], check=True, capture_output=True, cwd=folder
        )

    limit("whole command, three systems, seconds", median(command, runs))


def memory(folder: Path) -> None:
    release, predictions = made(200_000, 700, videos=200_000, classes=400)
    paths = write(folder, predictions, "large")[:2]
    matrix = predictions.scores.nbytes
    del predictions
    context = multiprocessing.get_context("spawn")
    for path in paths:
        with context.Pool(1) as pool:
            before, after, seconds = pool.apply(peak, (path, release))
        print(f"{path.name}: {matrix / 2**20:.0f} MiB matrix, {seconds:.1f} s")
        limit("peak memory / matrix", (after - before) / matrix)


def peak(path: Path, release: Release) -> tuple[int, int, float]:
    before = peak_bytes()
    begin = time.perf_counter()
    build_report([load_predictions(path)], release, resamples=0)
    return before, peak_bytes(), time.perf_counter() - begin


def peak_bytes() -> int:
    """Return this process's peak memory; `ru_maxrss` would be the parent's where that is more."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmHWM in /proc/self/status: peak memory is measured on Linux only")


def made(
    clips: int, ways: int, *, videos: int, classes: int, seed: int = 0
) -> tuple[Release, Predictions]:
    """Make a release with flags, and scores with some skill."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {i:03d}" for i in range(ways))
    of_video = np.concatenate([np.arange(videos), rng.integers(0, videos, clips - videos)])
    flags = np.where(rng.random((clips, 3)) < (0.28, 0.06, 0.1), Flag.YES, Flag.NO)
    rows = tuple(
        ReleasedClip(
            f"v{of_video[i]:010d}_{i:06d}_{i + 5:06d}", f"v{of_video[i]:010d}", 1000 * i,
            1000 * i + 5000, names[i % classes], "test", *(Flag(flag) for flag in flags[i]),
        )
        for i in range(clips)
    )  # fmt: skip
    rows = tuple(sorted(rows, key=lambda row: row.clip_id))
    sizes = list(ObjectSize)
    release = Release(
        "made", "1.0.0", "0" * 64, rows,
        tuple(ReleasedClass(name, sizes[i % 4]) for i, name in enumerate(names[:classes])),
    )  # fmt: skip
    scores = np.random.default_rng(seed).standard_normal((clips, ways), dtype=np.float32)
    number = {name: i for i, name in enumerate(names)}
    scores[np.arange(clips), [number[row.label] for row in rows]] += 1.5
    return release, Predictions(f"m{seed}", tuple(r.clip_id for r in rows), names, scores)


def write(folder: Path, predictions: Predictions, stem: str) -> list[Path]:
    """Write .npz, Parquet with a column per class, Parquet with one list, and CSV if not large."""
    import json

    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    names, ids = list(predictions.class_names or ()), list(predictions.clip_ids)
    scores = predictions.scores
    paths = [folder / f"{stem}{end}" for end in (".npz", ".parquet", ".list.parquet", ".csv")]
    with paths[0].open("wb") as file:
        np.savez(file, clip_ids=np.array(ids), class_names=np.array(names), scores=scores)
    table = pa.table({"clip_id": ids, **{n: scores[:, i] for i, n in enumerate(names)}})
    pq.write_table(table, paths[1])
    if scores.nbytes > 1 << 28:
        return paths[:2]
    pc.write_csv(table, paths[3])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(scores.ravel()), len(names))
    one = pa.table({"clip_id": ids, "scores": lists})
    pq.write_table(one.replace_schema_metadata({"class_names": json.dumps(names)}), paths[2])
    return paths


def exported(folder: Path, release: Release) -> Path:
    """Import a release into a workspace, as the official Mimetics files, and export it."""
    source = folder / "list"
    source.mkdir()
    clips = ["label,youtube_id,time_start,time_end,split"]
    flags = ["#video object scene mime"]
    for c in release.clips:
        clips.append(f"{c.label},{c.video_id},{c.start_ms // 1000},{c.end_ms // 1000},test")
        flags.append(f"{c.clip_id}.mp4 {c.object_relevant} {c.scene_relevant} {c.mime_artist}")
    classes = ["#label object scene"]
    for one in release.classes:
        size = "no" if one.object_size is ObjectSize.NONE else one.object_size
        classes.append(f"{one.name.replace(' ', '_')} {size} yes")
    for name, lines in (
        ("a.csv", clips),
        ("objectsceneannot.txt", flags),
        ("clsannot.txt", classes),
    ):
        (source / name).write_text("\n".join(lines) + "\n", "utf-8")
    with open_workspace(folder / "workspace") as workspace:
        import_release(workspace, source, format="mimetics", name="made", version=Version(1, 0, 0))
    out = folder / "made.zip"
    export_release(load_edition("made@1.0.0", folder / "workspace"), "bundle", out)
    return out


def median(call: Callable[[], object], runs: int) -> float:
    seconds = []
    for _ in range(max(1, runs)):
        begin = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))


def ms(seconds: float) -> str:
    return f"{1000 * seconds:.1f} ms"


def limit(name: str, value: float, *, at_least: bool = False) -> None:
    kept = value >= LIMITS[name] if at_least else value <= LIMITS[name]
    sign = ">=" if at_least else "<="
    print(f"{name}: {value:.2f} (wanted {sign} {LIMITS[name]:g}){'' if kept else '  MISSED'}")


if __name__ == "__main__":
    main()

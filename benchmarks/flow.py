"""Measure TV-L1 in torch against OpenCV's, and the forms in which flow could be stored.

Run: python benchmarks/flow.py CLIPS [--pairs 8] [--runs 3] [--device cuda] [--compile]

CLIPS is a folder of videos. Differences are end-point differences in pixels, over all pixels of
the pairs. The yardstick is OpenCV against itself after noise of 0.00001 grey levels on the first
frame: TV-L1 answers rounding with other flow where there is no texture. OpenCV runs on one core;
torch on one thread, or on the device. Times are medians of --runs.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from PIL import Image

from mimecurate.baselines.decode import open_video
from mimecurate.baselines.flow_clip import grey, set_threads, shrink
from mimecurate.baselines.flow_store import (
    FlowManifest,
    flow_path,
    quantise,
    read_flow,
    write_flow,
)
from mimecurate.baselines.opencv_flow import make_opencv, opencv_flow
from mimecurate.baselines.tvl1 import TvL1, tvl1_flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

NOISE = 1e-5
BATCH = 64
WANTED_RATIO = 20.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--pairs", type=int, default=8, help="of each clip, evenly spread")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--short-side", type=int, default=256)
    arguments = parser.parse_args()
    set_threads(1)
    device = torch.device(arguments.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "one CPU thread"
    print(f"OpenCV {cv2.__version__} on one core; torch {torch.__version__} on {name}")
    paths = sorted(p for p in arguments.clips.iterdir() if p.suffix == ".mp4")
    clips = {p.stem: read_pairs(p, arguments.pairs, arguments.short_side) for p in paths}
    first, second = difference(clips, device, arguments.compile)
    speed(first, second, device, arguments.compile, arguments.runs)
    storage(paths[0], arguments.short_side)


def read_pairs(path: Path, pairs: int, short_side: int) -> tuple[Tensor, Tensor]:
    with open_video(path) as video:
        at = np.linspace(0, video.frames - 2, pairs).astype(int)
        first, second = video.read(at.tolist()), video.read((at + 1).tolist())
    return grey(shrink(first, short_side)), grey(shrink(second, short_side))


def difference(
    clips: dict[str, tuple[Tensor, Tensor]], device: torch.device, compiled: bool
) -> tuple[Tensor, Tensor]:
    """Print how far torch is from OpenCV, and OpenCV from itself; give the last clip's pairs."""
    print(f"{'end-point difference':24} {'mean':>9} {'p50':>9} {'p90':>9} {'p99':>9} {'max':>9}")
    ours, yardstick = [], []
    for name, (first, second) in clips.items():
        reference = opencv_flow(first.numpy(), second.numpy())
        found = tvl1_flow(first.to(device), second.to(device), compiled=compiled).cpu().numpy()
        ours.append(end_point_difference(found, reference))
        yardstick.append(end_point_difference(noisy_opencv(first, second), reference))
        speed_px = float(np.hypot(reference[:, 0], reference[:, 1]).mean())
        print_row(f"{name}, moves {speed_px:.2f}", ours[-1])
    print_row("all clips", np.concatenate(ours))
    print_row("OpenCV with noise", np.concatenate(yardstick))
    return first, second


def noisy_opencv(first: Tensor, second: Tensor) -> NDArray[np.float32]:
    compute, rng = make_opencv(), np.random.default_rng(0)
    flows = []
    for a, b in zip(first.numpy(), second.numpy(), strict=True):
        noise = rng.normal(scale=NOISE, size=a.shape)
        a, b = ((x / 255).astype(np.float32) for x in (a + noise, b))
        flows.append(compute.calc(a, b, None).transpose(2, 0, 1))
    return np.stack(flows)


def end_point_difference(
    one: NDArray[np.float32], other: NDArray[np.float32]
) -> NDArray[np.float32]:
    apart: NDArray[np.float32] = np.hypot(*(one - other).swapaxes(0, 1)).ravel()
    return apart


def print_row(name: str, values: NDArray[np.float32]) -> None:
    shares = [values.mean(), *np.percentile(values, [50, 90, 99]), values.max()]
    print(f"{name:24} " + " ".join(f"{value:9.5f}" for value in shares))


def speed(first: Tensor, second: Tensor, device: torch.device, compiled: bool, runs: int) -> None:
    """Print times of a pair, with OpenCV's own stopping and with equally many iterations."""
    equal = TvL1(epsilon=0, outer_iterations=1, inner_iterations=30)
    on_gpu = device.type == "cuda"
    repeats = -(-BATCH // len(first)) if on_gpu else 1
    a, b = (frames.repeat(repeats, 1, 1) for frames in (first, second))
    a, b = (frames[: BATCH if on_gpu else 1].to(device) for frames in (a, b))
    for name, settings in (("as OpenCV stops", TvL1()), ("750 iterations", equal)):
        theirs = median_s(
            partial(opencv_flow, first[:1].numpy(), second[:1].numpy(), settings), device, runs
        )
        ours = median_s(partial(tvl1_flow, a, b, settings, compiled=compiled), device, runs)
        ours /= len(a)
        ratio = theirs / ours
        wanted = f"; wanted on a GPU: {WANTED_RATIO:.0f}"
        print(
            f"{name}: OpenCV {theirs * 1000:.0f} ms a pair, torch {ours * 1000:.1f} ms "
            f"(batch {len(a)}): {ratio:.2f} times as fast"
            + (wanted + (": MISSED" if ratio < WANTED_RATIO else "") if on_gpu else "")
        )


def median_s(work: Callable[[], object], device: torch.device, runs: int) -> float:
    seconds = []
    for _ in range(runs + 1):  # the first warms up
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds[1:])


def storage(path: Path, short_side: int) -> None:
    """Print size and time of the forms in which a second of flow could be kept."""
    with open_video(path) as video:
        frames = grey(shrink(video.read(range(31)), short_side))
    flow = tvl1_flow(frames[:-1], frames[1:], TvL1(warps=1, outer_iterations=1)).numpy()
    stored = quantise(flow)
    for name, write, read in FORMS:
        began = time.perf_counter()
        data = write(flow)
        written = time.perf_counter()
        back = read(data, stored.shape)
        took = time.perf_counter() - written
        worst = int(np.abs(back.astype(int) - stored).max())
        per_pair = 1000 / len(flow)
        print(
            f"{name:26} {len(data) / len(flow):7.0f} bytes a pair, "
            f"write {(written - began) * per_pair:.2f} ms, read {took * per_pair:.2f} ms, "
            f"off by {worst} of 255"
        )


def write_ffv1(flow: NDArray[np.float32]) -> bytes:
    pairs, _, height, width = flow.shape
    manifest = FlowManifest("clip", "0" * 64, "tvl1", {}, pairs, width, height, "0")
    with tempfile.TemporaryDirectory() as folder:
        with write_flow(Path(folder), manifest) as out:
            out.append(flow)
        return flow_path(Path(folder), "clip").read_bytes()


def read_ffv1(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with tempfile.TemporaryDirectory() as folder:
        path = flow_path(Path(folder), "clip")
        path.parent.mkdir()
        path.write_bytes(data)
        return read_flow(Path(folder), "clip")


def write_npz(flow: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, flow=quantise(flow))
    return file.getvalue()


def read_npz(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    found: NDArray[np.uint8] = np.load(io.BytesIO(data))["flow"]
    return found


def write_pictures(flow: NDArray[np.float32], kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for i, plane in enumerate(quantise(flow).reshape(-1, *flow.shape[2:])):
            picture = io.BytesIO()
            Image.fromarray(plane).save(picture, kind, **options)
            archive.writestr(f"{i:06d}", picture.getvalue())
    return file.getvalue()


def read_pictures(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        planes = [np.asarray(Image.open(archive.open(name))) for name in sorted(archive.namelist())]
    return np.stack(planes).reshape(shape)


FORMS = (
    ("FFV1 in Matroska (stored)", write_ffv1, read_ffv1),
    ("zip of JPEG, quality 95", lambda f: write_pictures(f, "JPEG", quality=95), read_pictures),
    ("zip of PNG", lambda f: write_pictures(f, "PNG"), read_pictures),
    ("npz, deflated", write_npz, read_npz),
)

if __name__ == "__main__":
    main()

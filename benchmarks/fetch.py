"""What fetching one 10 s clip from a 10-minute 720p video costs, against the usual ways.

    python benchmarks/fetch.py [--media DIR] [--rounds 3]

Every method runs in a process of its own against a loopback server in another; CPU is that of the
method with its children, less what Python and yt-dlp take to be ready for their first clip; bytes
are counted by the server.
The source is made on the spot: 600 s at 1280x720, x264, 5 s groups of pictures, stereo AAC,
progressive and fragmented. Machines are noisy: read the ratios, not the seconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import METHODS

from mimecurate.curation.mp4_boxes import iter_boxes
from mimecurate.curation.samples import VideoSpec, make_video

if TYPE_CHECKING:
    from collections.abc import Iterator

START_S, END_S = 302.4, 312.4
SPEC = VideoSpec(
    seconds=20, width=1280, height=720, grain=4, crf=23, gop=150, audio="stereo", repeats=30
)
LAYOUTS = {"progressive": "faststart", "fragmented": "fragmented"}
HERE = Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--media", type=Path, help="keep the sources here")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        media = arguments.media or Path(temporary)
        media.mkdir(exist_ok=True, parents=True)
        make_sources(media)
        with serve(media) as address:
            compare(address, media, arguments.rounds)
            throttled(address)
            throughput(address, media)
            memory(address, Path(temporary))


def make_sources(media: Path) -> None:
    from dataclasses import replace

    for name, layout in LAYOUTS.items():
        path = media / f"{name}.mp4"
        if not path.exists():
            print(f"making {path.name} …", file=sys.stderr)
            make_video(path, replace(SPEC, layout=layout))  # type: ignore[arg-type]


def compare(address: str, media: Path, rounds: int) -> None:
    for name in LAYOUTS:
        needed = needed_bytes(media / f"{name}.mp4")
        size = (media / f"{name}.mp4").stat().st_size
        print(f"\n{name}: {size / 1e6:.1f} MB, needed for the clip: {needed / 1e6:.2f} MB")
        url = f"{address}/{name}.mp4"
        costs = costs_of(url, address, rounds)
        ours = costs["mimecurate smart"]
        print(f"{'method':34} {'CPU s':>7} {'MB':>7} {'CPU x':>7} {'bytes x':>7}")
        for method, (cpu_s, sent) in costs.items():
            times = f"{cpu_s / ours[0]:7.1f} {sent / ours[1]:7.1f}"
            print(f"{method:34} {cpu_s:7.2f} {sent / 1e6:7.2f} {times}")
        print(f"bytes over what is needed: {ours[1] / needed:.3f} x")


def costs_of(url: str, address: str, rounds: int) -> dict[str, tuple[float, float]]:
    """Return the median CPU seconds and bytes of each method; they take turns."""
    seen: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    for _ in range(rounds):
        for method, costs in seen.items():
            read_stats(address)
            cpu_s = float(run_method(method, url)["cpu_s"])
            costs.append((cpu_s, float(read_stats(address)["bytes_sent"])))
    return {
        method: (statistics.median(c for c, _ in costs), statistics.median(b for _, b in costs))
        for method, costs in seen.items()
    }


def run_method(method: str, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, HERE / "methods.py", method, *arguments, str(START_S), str(END_S)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{method}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def throttled(address: str) -> None:
    """A server that slows every response over 10 MiB down to 32 KiB/s."""
    plain = run_method("mimecurate smart", f"{address}/progressive.mp4")["wall_s"]
    slow = run_method("mimecurate smart", f"{address}/progressive.mp4?fault=throttle")["wall_s"]
    print(f"\nresponses over 10 MiB throttled: {slow / plain:.2f} x the time ({slow:.2f} s)")


def throughput(address: str, media: Path) -> None:
    """Many clips of many videos through the command itself, its decode check included."""
    with tempfile.TemporaryDirectory() as folder:
        urls = Path(folder) / "list.txt"
        count = 40
        starts = [10 + 13.7 * i for i in range(count)]
        lines = [f"{s:.2f} {s + 2 + i % 9:.2f}" for i, s in enumerate(starts)]
        links = [f"{address}/progressive.mp4?n={i}" for i in range(count)]
        urls.write_text("".join(f"{u} {t}\n" for u, t in zip(links, lines, strict=True)))
        report = run_fetch(urls, Path(folder) / "w", "--workers", "2")
        print(
            f"\n{count} clips of 2-10 s from {count} links, 2 workers: "
            f"{report['fetched'] / report['seconds']:.2f} clips/s, {report['failed']} failed"
        )


def memory(address: str, folder: Path) -> None:
    """Peak memory of a run over a short and a long list; every link is dead."""
    peaks = {}
    for count in (1_000, 10_000):
        urls = folder / f"{count}.txt"
        urls.write_text("".join(f"{address}/none{i}.mp4 1 3\n" for i in range(count)))
        began = time.monotonic()
        peaks[count] = float(run_method("peak memory", str(urls))["peak_mib"])
        print(
            f"{count:,} dead links: peak {peaks[count]:.0f} MiB, {time.monotonic() - began:.0f} s"
        )
    print(f"memory at 10,000 entries: {peaks[10_000] / peaks[1_000]:.2f} x that at 1,000")


def run_fetch(urls: Path, workspace: Path, *options: str) -> dict[str, Any]:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mimecurate",
            "fetch",
            "--json",
            "--urls",
            urls,
            "-w",
            workspace,
            *list(options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def needed_bytes(path: Path) -> int:
    """Count the index, and the stretch of the file that holds the overlapping GOPs."""
    import av

    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        tick = video.time_base or Fraction(1)
        origin = (video.start_time or 0) * tick
        first = last = None
        container.seek(int((START_S + float(origin)) / tick), stream=video)
        for packet in container.demux(video, audio):
            if packet.pts is None or packet.pos is None:
                continue
            time_s = float(packet.pts * packet.time_base - origin)
            if packet.stream is video and time_s >= END_S and packet.is_keyframe:
                break
            if time_s < END_S:
                first = packet.pos if first is None else min(first, packet.pos)
                last = max(last or 0, packet.pos + packet.size)
    data = path.read_bytes()
    index = sum(
        box.stop - box.start
        for box in iter_boxes(data, 0, len(data))
        if box.type in {b"ftyp", b"moov", b"sidx"}
    )
    return index + (last or 0) - (first or 0)


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    server = subprocess.Popen(
        [sys.executable, "-m", "mimecurate.curation.loopback", folder],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield server.stdout.readline().split()[-1].rstrip("/")
    finally:
        server.terminate()
        server.wait()


def read_stats(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}/__stats?reset=1") as response:
        stats: dict[str, Any] = json.load(response)
        return stats


if __name__ == "__main__":
    main()

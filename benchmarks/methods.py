"""The ways to get one clip that `fetch.py` compares. Run as a program, one method a process.

    python benchmarks/methods.py METHOD URL START_S END_S

The last line of its output is JSON: CPU seconds of this process and its children, wall seconds.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

    from mimecurate.curation.cut_plan import CutMode


def crawler(url: str, start_s: float, end_s: float, folder: Path) -> None:
    """Download the whole video, then decode from its beginning: what the Kinetics crawlers do."""
    whole = folder / "whole.mp4"
    urllib.request.urlretrieve(url, whole)
    cut = ("-ss", str(start_s), "-t", str(end_s - start_s))
    coding = ("-c:v", "libx264", "-c:a", "copy", "-threads", "1")
    _ffmpeg("-i", whole, *cut, *coding, folder / "clip.mp4")


def yt_dlp_sections(url: str, start_s: float, end_s: float, folder: Path) -> None:
    """yt-dlp's own sections, with keyframes forced at the cuts."""
    import yt_dlp
    from yt_dlp.postprocessor.ffmpeg import FFmpegPostProcessor

    FFmpegPostProcessor._ffmpeg_location.set(str(_ffmpeg_program()))
    options = {
        "quiet": True,
        "outtmpl": str(folder / "clip.%(ext)s"),
        "download_ranges": yt_dlp.utils.download_range_func(None, [(start_s, end_s)]),
        "force_keyframes_at_cuts": True,
    }
    with yt_dlp.YoutubeDL(options) as downloader:
        downloader.download([url])


def ffmpeg_on_the_link(url: str, start_s: float, end_s: float, folder: Path) -> None:
    """The ffmpeg program reads the link and encodes with x264's veryfast preset."""
    arguments = ["-ss", str(start_s), "-i", url, "-t", str(end_s - start_s)]
    _ffmpeg(*arguments, "-c:v", "libx264", "-preset", "veryfast", "-crf", "18", folder / "clip.mp4")


def mimecurate(mode: CutMode) -> Callable[[str, float, float, Path], None]:
    """Resolve, read by ranges, cut, decode to the end, hash: what `mimecurate fetch` does."""

    def run(url: str, start_s: float, end_s: float, folder: Path) -> None:
        from mimecurate.curation.fetch_plan import ClipJob, VideoJob
        from mimecurate.curation.fetch_video import FetchOptions, fetch_video
        from mimecurate.curation.sources import SourceOptions, make_pacer

        source = SourceOptions()
        options = FetchOptions(folder / "clips", source, mode, None, 600_000)
        clip = ClipJob("x", round(start_s * 1000), round(end_s * 1000))
        (result,) = fetch_video(
            VideoJob("x", url, (clip,)),
            options=options,
            pacer=make_pacer(source),
            check_stopped=lambda: None,
        )
        if result.reason:
            raise RuntimeError(result.message)

    return run


METHODS: dict[str, Callable[[str, float, float, Path], None]] = {
    "mimecurate smart": mimecurate("smart"),
    "mimecurate encode": mimecurate("encode"),
    "mimecurate copy": mimecurate("copy"),
    "whole download, re-encode": crawler,
    "yt-dlp sections, forced keyframes": yt_dlp_sections,
    "ffmpeg on the link, veryfast": ffmpeg_on_the_link,
}


def peak_memory(urls: str) -> float:
    """Run `mimecurate fetch` over a list and return its peak memory in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [
                sys.executable,
                "-m",
                "mimecurate",
                "fetch",
                "--urls",
                urls,
                "-w",
                folder,
                "--retries",
                "0",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def warm_up(method: str, url: str, start_s: float, end_s: float) -> None:
    """Get the clip once, unmeasured, where the method runs in this process.

    So modules are loaded and extractors ready, as for every clip of a list but its first.
    """
    if method.startswith(("mimecurate", "yt-dlp")):
        with tempfile.TemporaryDirectory() as folder:
            METHODS[method](url, start_s, end_s, Path(folder))
        forget_sent = urlsplit(url)._replace(path="/__stats", query="reset=1").geturl()
        urllib.request.urlopen(forget_sent).close()


def main() -> None:
    method, *arguments = sys.argv[1:]
    if method == "peak memory":
        print(json.dumps({"peak_mib": peak_memory(arguments[0])}))
        return
    url, start_s, end_s = arguments
    warm_up(method, url, float(start_s), float(end_s))
    with tempfile.TemporaryDirectory() as folder:
        cpu_before, began = _cpu_s(), time.monotonic()
        METHODS[method](url, float(start_s), float(end_s), Path(folder))
        print()
        print(json.dumps({"cpu_s": _cpu_s() - cpu_before, "wall_s": time.monotonic() - began}))


def _ffmpeg_program() -> Path:
    """Give imageio's ffmpeg the name that other programs look for."""
    import imageio_ffmpeg

    link = Path(tempfile.mkdtemp()) / "ffmpeg"
    link.symlink_to(imageio_ffmpeg.get_ffmpeg_exe())
    return link


def _ffmpeg(*arguments: str | Path) -> None:
    command = [_ffmpeg_program(), "-v", "error", "-nostdin", "-y", *arguments]
    subprocess.run(command, check=True)


def _cpu_s() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


if __name__ == "__main__":
    main()

"""What other readers see of a clip: each must find the frames that PyAV and OpenCV find."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from cut_checks import cut_file
from testbed import need

from mimecurate.curation.samples import VideoSpec, audio_time, read_counter

if TYPE_CHECKING:
    from testbed import SampleMaker

    from mimecurate.curation.cut import CutMode

SPEC = VideoSpec(seconds=4, bframes=3, audio="stereo", grain=2)
START_MS, END_MS = 500, 3350  # with head and tail
NUMBERS = list(range(15, 101))
LIBRARIES = ("avutil", "avcodec", "avformat", "avdevice", "avfilter", "swscale", "swresample")


@pytest.fixture(params=["smart", "encode"])
def clip(request: pytest.FixtureRequest, sample: SampleMaker, tmp_path: Path) -> Path:
    mode: CutMode = request.param
    path = tmp_path / "clip.mp4"
    cut, _ = cut_file(sample(SPEC).path, START_MS, END_MS, path, mode=mode)
    assert cut.mode == mode
    assert cut.frames == len(NUMBERS)
    return path


# --- a browser

_IN_BROWSER = """
async ([clip, times]) => {
    const bytes = Uint8Array.from(atob(clip), c => c.charCodeAt(0));
    const blob = new Blob([bytes], {type: 'video/mp4'});
    const video = document.createElement('video');
    const happens = name => new Promise((resolve, reject) => {
        video.addEventListener(name, resolve, {once: true});
        video.addEventListener('error', () => reject(video.error.message), {once: true});
    });
    const loaded = happens('loadeddata');
    video.muted = true;
    video.src = URL.createObjectURL(blob);
    await loaded;
    const canvas = document.createElement('canvas');
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    const frames = [];
    for (const time of times) {
        const shown = new Promise(resolve => video.requestVideoFrameCallback(resolve));
        const sought = happens('seeked');
        video.currentTime = time;
        await sought;
        await shown;
        context.drawImage(video, 0, 0);
        const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
        let green = '';
        for (let i = 1; i < pixels.length; i += 4) green += String.fromCharCode(pixels[i]);
        frames.push(btoa(green));
    }
    video.currentTime = 0;
    video.playbackRate = 4;
    const ended = happens('ended');
    await video.play();
    await ended;
    const audio = new OfflineAudioContext(1, 48000, 48000);
    const sound = (await audio.decodeAudioData(bytes.buffer)).getChannelData(0);
    return {
        duration: video.duration,
        size: [video.videoWidth, video.videoHeight],
        frames: frames,
        sound: Array.from(sound.slice(0, 24000)),
    };
}
"""


@pytest.mark.parametrize("clip", ["smart"], indirect=True)
def test_chromium_shows_every_frame_and_plays_to_the_end(clip: Path, chromium: str) -> None:
    need("playwright", find_spec("playwright"), "playwright is not installed")
    from playwright.sync_api import sync_playwright

    times = [(number + 0.5) / 30 for number in range(len(NUMBERS))]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        seen = page.evaluate(
            _IN_BROWSER, [base64.b64encode(clip.read_bytes()).decode("ascii"), times]
        )
        browser.close()
    assert seen["size"] == [160, 120]
    assert seen["duration"] == pytest.approx(len(NUMBERS) / 30, abs=1e-3)
    pictures = [base64.b64decode(frame) for frame in seen["frames"]]
    numbers = [read_counter(np.frombuffer(p, np.uint8).reshape(120, 160)) for p in pictures]
    assert numbers == NUMBERS
    assert audio_time(np.array(seen["sound"]), 48_000) == pytest.approx(0.5, abs=0.025)


# --- readers of training pipelines

_BUNDLE = Path(av.__file__).parent.parent / "av.libs"

_TORCHCODEC = """
import json, sys
from torchcodec.decoders import VideoDecoder
from mimecurate.curation.samples import read_counter
seen = {}
for mode in ("exact", "approximate"):
    decoder = VideoDecoder(sys.argv[1], seek_mode=mode)
    number = lambda i: read_counter(decoder[i].numpy()[1])
    shuffled = sorted(range(len(decoder)), key=lambda i: i * 7919 % 101)
    seen[mode] = {
        "len": len(decoder),
        "in_order": [number(i) for i in range(len(decoder))],
        "shuffled": [n for _, n in sorted((i, number(i)) for i in shuffled)],
        "ends_at": decoder.metadata.end_stream_seconds,
    }
print(json.dumps(seen))
"""

_DECORD = """
import json, sys
import decord
from mimecurate.curation.samples import read_counter
reader = decord.VideoReader(sys.argv[1])
number = lambda i: read_counter(reader[i].asnumpy()[..., 1])
shuffled = sorted(range(len(reader)), key=lambda i: i * 7919 % 101)
print(json.dumps({
    "len": len(reader),
    "in_order": [number(i) for i in range(len(reader))],
    "shuffled": [n for _, n in sorted((i, number(i)) for i in shuffled)],
    "times": [float(t) for t in reader.get_frame_timestamp(range(len(reader)))[:, 0]],
}))
"""


def in_other_process(
    script: str, clip: Path, library_path: Path | None = None
) -> dict[str, object]:
    """Run a reader apart from PyAV, whose libraries it would clash with."""
    environment = dict(os.environ)
    if library_path is not None:
        environment["LD_LIBRARY_PATH"] = f"{library_path}:{_BUNDLE}"
    done = subprocess.run(
        [sys.executable, "-c", script, str(clip)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return seen


def shared_ffmpeg(folder: Path) -> Path:
    """Give PyAV's FFmpeg libraries the names that others look for."""
    for name in LIBRARIES:
        for library in _BUNDLE.glob(f"lib{name}-*.so.*"):
            version = library.name.split(".so.")[1].split(".")[0]
            (folder / f"lib{name}.so.{version}").symlink_to(library)
    return folder


def test_torchcodec_reads_every_frame(clip: Path, tmp_path: Path) -> None:
    installed = find_spec("torch") and find_spec("torchcodec")
    need("torch", installed, "torch and torchcodec are not both installed")
    libraries = tmp_path / "ffmpeg"
    libraries.mkdir()
    seen = in_other_process(_TORCHCODEC, clip, shared_ffmpeg(libraries))
    for mode in ("exact", "approximate"):
        reading = seen[mode]
        assert isinstance(reading, dict)
        assert reading["len"] == len(NUMBERS)
        assert reading["in_order"] == reading["shuffled"] == NUMBERS
        assert reading["ends_at"] == pytest.approx(len(NUMBERS) / 30, abs=1e-3)


def test_decord_reads_every_frame(clip: Path) -> None:
    need("decord", find_spec("decord"), "decord is not installed")
    seen = in_other_process(_DECORD, clip)
    assert seen["len"] == len(NUMBERS)
    assert seen["in_order"] == seen["shuffled"] == NUMBERS
    assert seen["times"] == pytest.approx([i / 30 for i in range(len(NUMBERS))], abs=1e-3)

"""Cuts samples and reads the clips back, with more than one reader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from testbed import frames_read

from mimecurate.curation.cut import cut_clip
from mimecurate.curation.media_source import MediaSource, open_media
from mimecurate.curation.samples import audio_time, read_counter
from mimecurate.curation.verify import MediaFacts, verify_clip

if TYPE_CHECKING:
    from fractions import Fraction
    from pathlib import Path

    from mimecurate.curation.cut import Cut, CutMode
    from mimecurate.curation.samples import Sample

Pixels = npt.NDArray[np.uint8]
IN_STEP_S = 0.004  # what the clock sound is read to, and a little
PIECE_S = 0.3


def opened(path: Path, *, need_video: bool = True) -> MediaSource:
    return open_media(path.open("rb"), name=path.name, need_video=need_video)


def cut_file(
    path: Path, start_ms: int, end_ms: int, out: Path, *, mode: CutMode = "smart", **options: Any
) -> tuple[Cut, MediaFacts]:
    """Cut a local file and verify the clip."""
    with opened(path) as source:
        cut = cut_clip(source, None, start_ms, end_ms, out, mode=mode, **options)
    return cut, verify_clip(out, cut)


def cut_sample(
    sample: Sample,
    start_ms: int,
    end_ms: int,
    out: Path,
    *,
    mode: CutMode = "smart",
    **options: Any,
) -> Cut:
    """Cut a sample, verify the clip, and compare its frames with the sample's."""
    cut, facts = cut_file(sample.path, start_ms, end_ms, out, mode=mode, **options)
    check_frames(sample, start_ms, end_ms, out, cut)
    assert facts.video_codec == (sample.spec.codec if mode == "copy" else "h264")
    return cut


def check_frames(sample: Sample, start_ms: int, end_ms: int, out: Path, cut: Cut) -> None:
    """PyAV and OpenCV must see exactly the frames of the interval, at the sample's distances."""
    if cut.mode == "copy":
        expected = [(n, t) for n, t in sample.frames if cut.start <= t < cut.start + cut.duration]
        asked = sample.numbers_between(start_ms, end_ms)
        assert {asked[0], asked[-1]} <= {number for number, _ in expected}
    else:
        expected = [(n, t) for n, t in sample.frames if start_ms <= t * 1000 < end_ms]
    numbers = [number for number, _ in expected]
    assert cut.frames == len(numbers)
    assert cut.start == expected[0][1]
    if sample.spec.rotation:
        turned = luma_frames(out)
        quarter_turns = 0 if cut.mode == "copy" else sample.spec.rotation // 90
        assert [read_counter(np.rot90(luma, quarter_turns)) for luma in turned] == numbers
        return
    read = frames_read(out)
    assert [number for number, _ in read] == numbers
    first = expected[0][1]
    for (_, time), (_, in_source) in zip(read, expected, strict=True):
        assert time == in_source - first
    if cut.mode != "copy" or sample.spec.codec == "h264":
        assert opencv_numbers(out) == (numbers, len(numbers))


def luma_frames(path: Path) -> list[Pixels]:
    """Decode every frame's brightness with PyAV."""
    with av.open(path) as container:
        return [luma(frame) for frame in container.decode(video=0)]


def luma(frame: av.VideoFrame) -> Pixels:
    """Return the Y plane as it was coded."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width].copy()


def opencv_numbers(path: Path) -> tuple[list[int], int]:
    """Read every frame's number with OpenCV, and how many frames it announces."""
    capture = cv2.VideoCapture(str(path))
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    numbers = []
    while (read := capture.read())[0]:
        numbers.append(read_counter(cv2.cvtColor(read[1], cv2.COLOR_BGR2GRAY)))
    capture.release()
    return numbers, announced


def psnr_db(first: Pixels, second: Pixels) -> float:
    """Peak signal-to-noise ratio of two pictures."""
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def sound_of(path: Path) -> tuple[npt.NDArray[np.float32], int, Fraction]:
    """Decode the left channel: samples, their rate, and the time of the first in seconds."""
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    first = frames[0]
    assert first.pts is not None
    assert first.time_base is not None
    return samples, first.sample_rate, first.pts * first.time_base


def check_in_step(path: Path, cut: Cut) -> None:
    """Every piece of the sound must tell its own time, from the first to the last."""
    samples, rate, first_s = sound_of(path)
    assert cut.has_audio
    assert first_s == 0
    duration_s = float(cut.duration)
    assert len(samples) / rate == pytest.approx(duration_s, abs=0.025)
    for at_s in np.linspace(0, duration_s - PIECE_S - 0.05, 4):
        begin = int(at_s * rate)
        piece = samples[begin : begin + int(PIECE_S * rate)]
        expected = float(cut.start) + begin / rate
        assert audio_time(piece, rate) == pytest.approx(expected, abs=IN_STEP_S)


def only_sound(path: Path, target: Path) -> Path:
    """Copy the sound of a file into one of its own."""
    with av.open(path) as whole, av.open(target, "w") as alone:
        stream = alone.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.size:
                packet.stream = stream
                alone.mux(packet)
    return target

"""Small real videos whose every frame is known, made on the spot.

Each frame carries its number (`read_counter`), and the sound tells the time (`audio_time`), so
that a test can say exactly which frames a clip holds and whether its sound is in step.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, cycle, islice
from typing import TYPE_CHECKING, Literal, cast

import av
import numpy as np

from mimecurate.curation.sample_frames import COUNTERS, Scenery, read_counter
from mimecurate.curation.sample_sound import MAX_SECONDS, MIN_SAMPLE_RATE, audio_time, clock_sound

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.stream import VideoStream

__all__ = ["ColourTags", "Sample", "VideoSpec", "audio_time", "make_video", "read_counter"]

_ENCODERS = {"h264": "libx264", "hevc": "libx265", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
_FORMATS = {".mp4": "mp4", ".webm": "webm", ".ts": "mpegts", ".mkv": "matroska"}
_MOVFLAGS = {
    "faststart": "+faststart",
    "moov_at_end": "-faststart",
    "fragmented": (
        "+frag_keyframe+empty_moov+delay_moov+default_base_moof+dash+global_sidx+skip_trailer"
    ),
}
_IRREGULAR_STEPS = (4, 4, 7, 3, 4, 9, 4, 2, 4, 4, 5, 13)  # in quarters of a frame's duration
_SOUND_CHUNK_S = 0.25


@dataclass(frozen=True, slots=True)
class ColourTags:
    """Colour as a stream declares it, in the numbers of ITU-T H.273."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool = False

    @classmethod
    def hdr10(cls) -> ColourTags:
        """BT.2020 primaries and matrix with the PQ curve."""
        return cls(primaries=9, transfer=16, matrix=9)

    @classmethod
    def bt709(cls) -> ColourTags:
        """What nearly every HD video declares."""
        return cls(primaries=1, transfer=1, matrix=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSpec:
    """What a sample video should be like. The container follows from the file's suffix."""

    seconds: float = 5
    fps: Fraction | int = 30
    width: int = 160
    height: int = 120
    codec: Literal["h264", "hevc", "vp9", "av1"] = "h264"
    pix_fmt: str = "yuv420p"
    gop: int = 30
    """Most frames from one key frame to the next; there are none at scene cuts."""
    bframes: int = 2
    """In a row. For h264 and hevc; the others reorder as they like."""
    open_gop: bool = False
    audio: Literal["mono", "stereo"] | None = None
    """The right channel is the left at half its level."""
    sample_rate: int = 48_000
    layout: Literal["faststart", "moov_at_end", "fragmented"] = "faststart"
    """Of .mp4: fragmented has one fragment per GOP and an index in front, as in DASH."""
    start_offset_frames: int = 0
    """The video starts so many frames after the sound, which is silent until then."""
    variable_rate: bool = False
    rotation: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise that a player turns the picture, in .mp4."""
    sample_aspect_ratio: Fraction | int = 1
    colour: ColourTags | None = None
    grain: float = 0
    """Standard deviation of the noise in 8-bit levels: 0 is tiny, 6 costs what real video does."""
    crf: int = 24
    first_number: int = 0
    """The number drawn into the first frame."""
    picture: Literal["moving", "frozen", "black"] = "moving"
    """Frozen shows the first frame throughout; black shows no number."""
    repeats: int = 1
    """How often the ``seconds`` of pictures, numbers included, come in a row. They are encoded
    once, which makes long videos cheap; the sound goes on telling the time."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample video and what is in it."""

    path: Path
    spec: VideoSpec
    frames: tuple[tuple[int, Fraction], ...]
    """Number and presentation time of each frame, in seconds from the stream's first frame."""

    def numbers_between(self, start_ms: int, end_ms: int) -> list[int]:
        """List the frames that the half-open interval ``[start_ms, end_ms)`` holds."""
        return [number for number, time in self.frames if start_ms <= time * 1000 < end_ms]


def make_video(path: Path, spec: VideoSpec) -> Sample:
    """Make a video. The same ``spec`` and suffix give the same pictures and sound.

    Args:
        path: the file to write; .mp4, .webm, .ts or .mkv.
        spec: what it should be like.

    Returns:
        The sample, with times as the file's own time base holds them.

    Raises:
        ValueError: the suffix is none of these, or the spec asks for what can't be told apart
            (over 65536 frames, sound over 960 s or under 16 kHz).
        av.error.FFmpegError: this combination can't be encoded or stored.
    """
    _check(path, spec)
    ticks, tick = _presentation_ticks(spec)
    options = {"movflags": _MOVFLAGS[spec.layout]} if path.suffix == ".mp4" else {}
    with av.open(path, "w", format=_FORMATS[path.suffix], options=options) as output:
        video = _add_video(output, spec, tick)
        sound = None
        if spec.audio:
            sound = _Sound(output, spec, "libopus" if path.suffix == ".webm" else "aac")
        for packet in _repeated(_encode(video, spec, ticks, tick), video, spec, len(ticks)):
            if sound and packet.pts is not None:
                sound.write_until(float(packet.pts * packet.time_base))
            output.mux(packet)
        round_s = tick * (ticks[-1] - ticks[0]) + 1 / Fraction(spec.fps)
        if sound:
            sound.finish(float(tick * ticks[0] + round_s * spec.repeats))
    once = [tick * (t - ticks[0]) for t in ticks]
    intended = [round_s * turn + time for turn in range(spec.repeats) for time in once]
    return Sample(path, spec, _frames_in(path, spec, intended))


def _check(path: Path, spec: VideoSpec) -> None:
    """Refuse what can't be stored or told apart later."""
    if path.suffix not in _FORMATS:
        raise ValueError(f"suffix {path.suffix!r} must be one of {', '.join(_FORMATS)}")
    if spec.audio and (
        spec.seconds * spec.repeats > MAX_SECONDS or spec.sample_rate < MIN_SAMPLE_RATE
    ):
        raise ValueError(f"sound must be at most {MAX_SECONDS} s, at {MIN_SAMPLE_RATE} Hz or more")
    if spec.repeats > 1 and (spec.variable_rate or spec.open_gop):
        raise ValueError("only a constant rate and closed GOPs can be repeated")


def _encode(
    video: VideoStream, spec: VideoSpec, ticks: list[int], tick: Fraction
) -> Iterator[av.Packet[VideoStream]]:
    """Draw and encode the frames, in coding order."""
    scenery = Scenery(spec.width, spec.height, subsampled=_drawn_subsampled(spec), grain=spec.grain)
    for number, now, then in zip(
        _numbers(spec, len(ticks)), ticks, [*ticks[1:], 2 * ticks[-1] - ticks[-2]], strict=True
    ):
        frame = _draw(scenery, number, spec)
        frame.pts, frame.time_base, frame.duration = now, tick, then - now
        yield from video.encode(frame)
    yield from video.encode(None)


def _repeated(
    packets: Iterator[av.Packet[VideoStream]], video: VideoStream, spec: VideoSpec, count: int
) -> Iterator[av.Packet[VideoStream]]:
    """Give the packets of ``count`` frames as often as the spec says, each time later."""
    if spec.repeats == 1:
        yield from packets
        return
    once = [(bytes(p), p.pts, p.dts, p.is_keyframe, p.duration, p.time_base) for p in packets]
    for turn in range(spec.repeats):
        for data, pts, dts, is_keyframe, duration, time_base in once:
            packet = cast("av.Packet[VideoStream]", av.Packet(data))
            later = int(turn * count / Fraction(spec.fps) / time_base)
            packet.stream, packet.time_base = video, time_base
            packet.pts, packet.dts = (pts or 0) + later, (dts or 0) + later
            packet.is_keyframe, packet.duration = is_keyframe, duration or 0
            yield packet


def _numbers(spec: VideoSpec, count: int) -> list[int]:
    """List the numbers that the frames show."""
    if spec.picture == "frozen":
        return [spec.first_number] * count
    if spec.first_number + count > COUNTERS:
        raise ValueError(f"{spec.first_number + count} frames; their numbers end at {COUNTERS}")
    return list(range(spec.first_number, spec.first_number + count))


def _presentation_ticks(spec: VideoSpec) -> tuple[list[int], Fraction]:
    """Presentation times in ticks, and a tick in seconds."""
    fps = Fraction(spec.fps)
    count = round(spec.seconds * fps)
    if count < 2:
        raise ValueError(f"{spec.seconds} s at {fps} frames a second is under two frames")
    if not spec.variable_rate:
        return [spec.start_offset_frames + i for i in range(count)], 1 / fps
    steps = islice(cycle(_IRREGULAR_STEPS), count - 1)
    return list(accumulate(steps, initial=4 * spec.start_offset_frames)), 1 / (4 * fps)


def _add_video(output: OutputContainer, spec: VideoSpec, tick: Fraction) -> VideoStream:
    """Add the video stream, its encoder set up as the spec says."""
    stream = cast(
        "VideoStream",
        output.add_stream(
            _ENCODERS[spec.codec], rate=Fraction(spec.fps), options=_encoder_options(spec)
        ),
    )
    stream.width, stream.height, stream.pix_fmt = spec.width, spec.height, spec.pix_fmt
    context = stream.codec_context
    context.time_base = tick
    context.gop_size = spec.gop
    context.thread_count = 1 if spec.height < 480 else 0
    if spec.codec in {"h264", "hevc"}:
        context.max_b_frames = spec.bframes
    context.sample_aspect_ratio = Fraction(spec.sample_aspect_ratio)
    if spec.colour:
        context.color_primaries = spec.colour.primaries
        context.color_trc = spec.colour.transfer
        context.colorspace = spec.colour.matrix
        context.color_range = 2 if spec.colour.full_range else 1
    if spec.rotation:
        stream.set_display_rotation(-spec.rotation)
    return stream


def _encoder_options(spec: VideoSpec) -> dict[str, str]:
    """Fast, repeatable, and with key frames only where the GOP length puts them.

    x264's macroblock tree gives other bits from run to run (seen with AVX-512 code), so it is off.
    """
    crf = str(spec.crf)
    open_gop = int(spec.open_gop)
    if spec.codec == "h264":
        params = f"scenecut=0:mbtree=0:b-adapt=0:open-gop={open_gop}"
        return {"preset": "veryfast", "crf": crf, "x264-params": params}
    if spec.codec == "hevc":
        params = (
            f"log-level=none:pools=none:frame-threads=1:scenecut=0:b-adapt=0:open-gop={open_gop}"
        )
        return {"preset": "ultrafast", "crf": crf, "x265-params": params}
    if spec.codec == "vp9":
        return {"deadline": "realtime", "cpu-used": "8", "crf": crf, "b": "0"}
    os.environ.setdefault("SVT_LOG", "1")  # errors only; it writes to stderr by itself
    return {"preset": "8", "crf": crf, "svtav1-params": "lp=1:scd=0:enable-tf=0"}


def _drawn_subsampled(spec: VideoSpec) -> bool:
    return "420" in spec.pix_fmt and spec.width % 2 == 0 and spec.height % 2 == 0


def _draw(scenery: Scenery, number: int, spec: VideoSpec) -> av.VideoFrame:
    drawn = "yuv420p" if _drawn_subsampled(spec) else "yuv444p"
    planes = scenery.black() if spec.picture == "black" else scenery.planes(number)
    frame = av.VideoFrame.from_ndarray(planes, format=drawn)
    return frame if spec.pix_fmt == drawn else frame.reformat(format=spec.pix_fmt)


class _Sound:
    """The clock sound of a video, written a little ahead of its pictures."""

    def __init__(self, output: OutputContainer, spec: VideoSpec, encoder: str) -> None:
        self._output = output
        self._spec = spec
        self._rate = spec.sample_rate
        self._stream = cast("AudioStream", output.add_stream(encoder, rate=self._rate))
        self._stream.layout = spec.audio or "mono"
        self._offset_s = spec.start_offset_frames / Fraction(spec.fps)
        self._done = 0

    def write_until(self, time_s: float) -> None:
        while self._done < time_s * self._rate:
            self._write(int(_SOUND_CHUNK_S * self._rate))

    def finish(self, end_s: float) -> None:
        """Write to the end of the video, or nothing where a chunk reached beyond it."""
        self._write(max(0, round(end_s * self._rate) - self._done))
        self._output.mux(self._stream.encode(None))

    def _write(self, count: int) -> None:
        if not count:
            return
        start_s = float(Fraction(self._done, self._rate) - self._offset_s)
        planes = clock_sound(start_s, count, self._rate)[np.newaxis]
        if self._spec.audio == "stereo":
            planes = np.concatenate([planes, planes / 2])
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._spec.audio or "mono")
        frame.sample_rate, frame.pts = self._rate, self._done
        frame.time_base = Fraction(1, self._rate)
        self._output.mux(self._stream.encode(frame))
        self._done += count


def _frames_in(
    path: Path, spec: VideoSpec, intended: list[Fraction]
) -> tuple[tuple[int, Fraction], ...]:
    """Read the times back as stored: containers round them, and must do nothing more."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        base = cast("Fraction", stream.time_base)
        stored = sorted(p.pts for p in container.demux(stream) if p.pts is not None)
    times = [(pts - stored[0]) * base for pts in stored]
    if len(times) != len(intended) or any(
        abs(is_ - should) > base for is_, should in zip(times, intended, strict=True)
    ):
        raise RuntimeError(f"{path.name}: the container did not keep the frames' times")
    return tuple(zip(_numbers(spec, len(times) // spec.repeats) * spec.repeats, times, strict=True))

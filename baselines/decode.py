"""Frames of a video by their numbers: torchcodec where it runs, PyAV where it doesn't.

Frame i is the i-th in order of presentation, whichever decoder gives it, at constant or variable
rate: the packets' times are read first (an *exact* seek; times computed from the average rate
would miss frames), by the same guarded reader that cuts clips. Frames come upright, as the file's
display matrix says.
"""

from __future__ import annotations

import bisect
import functools
import importlib
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from av.error import FFmpegError
from av.video.reformatter import VideoReformatter

from mimecurate.curation.media_source import open_media
from mimecurate.curation.open_container import demux, tick_of
from mimecurate.errors import ClipError, MimecurateError, Reason, plain_words
from mimecurate.schemas.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from os import PathLike

    from av import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    from mimecurate.curation.media_source import MediaSource

Decoder = Literal["auto", "torchcodec", "pyav"]

MAX_CALL_BYTES = 2 << 30
"""A single `Video.read` may fill so much; `Video.chunks` and smaller reads serve larger frames."""
_SKIP_FRAMES = 8
"""A gap this long is worth seeking over, where a key frame lies in it."""


class Video(Closing):
    """An open video: ``frames`` of ``height`` x ``width`` pixels, upright.

    Attributes:
        frames: how many there are, at least 1.
        width: in pixels.
        height: in pixels.
        fps: frames per second, the mean over the video.
        decoder: ``torchcodec`` or ``pyav``.
    """

    frames: int
    width: int
    height: int
    fps: float
    decoder: str

    @abstractmethod
    def read(self, indices: Sequence[int]) -> torch.Tensor:
        """Decode frames.

        Args:
            indices: frame numbers from 0, in any order, repeated or not.

        Returns:
            uint8[T, 3, H, W], RGB, on the video's device; its memory may be laid out as
            [T, H, W, 3].

        Raises:
            ClipError: ``CORRUPT``: they can't be decoded.
            IndexError: there is no such frame.
            ValueError: over `MAX_CALL_BYTES`.
        """

    def chunks(self, frames: int) -> Iterator[torch.Tensor]:
        """Decode all, ``frames`` at a time and the rest; as `read`."""
        for first in range(0, self.frames, frames):
            yield self.read(range(first, min(first + frames, self.frames)))

    @abstractmethod
    def close(self) -> None:
        """Close the file."""

    def _check(self, indices: Sequence[int]) -> None:
        wrong = next((i for i in indices if not 0 <= i < self.frames), None)
        if wrong is not None:
            raise IndexError(f"frame {wrong} of a video of {self.frames} frames")
        wanted = 3 * self.width * self.height * len(indices)
        if wanted > MAX_CALL_BYTES:
            raise ValueError(f"{len(indices)} frames at once are {wanted} bytes: read fewer")


def open_video(
    path: str | PathLike[str],
    *,
    device: str | torch.device = "cpu",
    decoder: Decoder = "auto",
) -> Video:
    """Open a video file, whatever it holds.

    Args:
        path: the file.
        device: where frames are wanted. On CUDA torchcodec decodes there, where its build and the
            video's codec allow; else frames are decoded by the CPU and copied.
        decoder: ``auto``: torchcodec, and PyAV for what it can't open.

    Raises:
        ClipError: ``UNAVAILABLE``: there is no such file; ``NO_VIDEO``, ``UNSUPPORTED``: no video
            that can be decoded; ``CORRUPT``: broken or cut off.
        MimecurateError: torchcodec was asked for, and does not run here.
    """
    path = Path(path)
    if decoder == "torchcodec" and (problem := torchcodec_problem()):
        raise MimecurateError(f"torchcodec does not run here: {problem}")
    try:
        file = path.open("rb")
    except OSError as error:
        raise ClipError(Reason.UNAVAILABLE, f"{path.name}: {plain_words(error)}") from error
    source = open_media(file, name=path.name)
    try:
        table = _read_times(source, path.name)
        if settled_decoder(decoder) == "pyav":
            return _PyavVideo(source, table, path.name, torch.device(device))
        try:
            video = _TorchcodecVideo(path, source.video.index, table, torch.device(device))
        except ClipError:
            if decoder == "torchcodec":
                raise
            return _PyavVideo(source, table, path.name, torch.device(device))
    except BaseException:
        source.close()
        raise
    source.close()
    return video


def settled_decoder(decoder: Decoder) -> Literal["torchcodec", "pyav"]:
    """Say what ``auto`` is here."""
    if decoder == "auto":
        return "pyav" if torchcodec_problem() else "torchcodec"
    return decoder


def ffmpeg_version(decoder: str) -> str:
    """Say which FFmpeg a decoder decodes with: of torchcodec the major version alone is known."""
    if decoder == "pyav":
        return str(importlib.import_module("av").ffmpeg_version_info)
    return str(importlib.import_module("torchcodec").ffmpeg_major_version)


@functools.cache
def torchcodec_problem() -> str | None:
    """Say in a line why torchcodec does not run here; ``None`` if it does."""
    try:
        decoders = importlib.import_module("torchcodec.decoders")
    except (ImportError, RuntimeError, OSError) as error:
        return _first_line(error)
    try:
        decoders.VideoDecoder(b"no video")
    except (RuntimeError, ValueError, OSError) as error:
        if "libtorchcodec" in str(error):
            return "it finds no FFmpeg libraries of versions 4 to 9, or was built for another torch"
    return None


@dataclass(frozen=True, slots=True)
class _Times:
    """When frames are shown and where decoding can begin, in ticks."""

    shown: list[int]
    """Of every frame, in order."""
    keys: list[tuple[int, int]]
    """Of every key frame: shown, decoded."""
    fps: float


def _read_times(source: MediaSource, name: str) -> _Times:
    shown: list[int] = []
    keys: list[tuple[int, int]] = []
    stream, hidden = source.video, 0
    try:
        for packet in demux(source.container, stream):
            time = packet.pts if packet.pts is not None else packet.dts
            if not packet.size:
                continue
            if packet.is_corrupt:
                raise ClipError(Reason.CORRUPT, f"{name}: frame {len(shown)} is broken")
            if time is None:
                raise ClipError(Reason.UNSUPPORTED, f"{name}: its frames have no times")
            if packet.is_keyframe:
                keys.append((time, time if packet.dts is None else packet.dts))
            if packet.is_discard:
                hidden += 1
            else:
                shown.append(time)
    except FFmpegError as error:
        raise ClipError(Reason.CORRUPT, f"{name}: {error.strerror}") from error
    if source.container.format.name.startswith("mov") and len(shown) + hidden < stream.frames:
        raise ClipError(
            Reason.CORRUPT,
            f"{name}: cut off: {len(shown) + hidden} of {stream.frames} frames are there",
        )
    if not shown:
        raise ClipError(Reason.CORRUPT, f"{name}: holds no frame")
    shown.sort()
    keys.sort()
    span = (shown[-1] - shown[0]) * tick_of(stream)
    return _Times(shown, keys, float(_rate(stream, len(shown) - 1, span)))


def _rate(stream: VideoStream, steps: int, span: Fraction) -> Fraction:
    """Give the rate by the times, or the container's own where it differs by their rounding alone.

    Times in whole milliseconds (Matroska, WebM) make 30 frames per second a little more or less.
    """
    if span <= 0:
        return stream.average_rate or Fraction(25)
    for told in (stream.average_rate, stream.guessed_rate):
        if told and abs(steps / told - span) <= tick_of(stream):
            return told
    return steps / span


class _TorchcodecVideo(Video):
    decoder = "torchcodec"

    def __init__(self, path: Path, stream: int, times: _Times, device: torch.device) -> None:
        self._path, self._stream, self._device = path, stream, device
        self._decoder = self._open(device)
        found = self._decoder.metadata
        self.frames, self.fps = len(times.shown), times.fps
        if len(self._decoder) != self.frames:
            raise ClipError(
                Reason.CORRUPT,
                f"{path.name}: {len(self._decoder)} frames by torchcodec, {self.frames} by PyAV",
            )
        if not found.width or not found.height:
            raise ClipError(Reason.CORRUPT, f"{path.name}: its frames have no size")
        self.width, self.height = found.width, found.height

    def read(self, indices: Sequence[int]) -> torch.Tensor:
        self._check(indices)
        if not len(indices):
            return torch.empty((0, 3, self.height, self.width), dtype=torch.uint8)
        try:
            data = self._decoder.get_frames_at(list(indices)).data
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError) as error:
            raise ClipError(Reason.CORRUPT, f"{self._path.name}: {_first_line(error)}") from error
        frames: torch.Tensor = data.to(self._device, non_blocking=True)
        return frames

    def close(self) -> None:
        self._decoder = None

    def _open(self, device: torch.device) -> Any:
        """Make a decoder on the device; where it can't be had there, on the CPU."""
        make = functools.partial(
            importlib.import_module("torchcodec.decoders").VideoDecoder,
            self._path,
            stream_index=self._stream,
        )
        try:
            if device.type == "cuda":
                decoder = make(device=str(device))
                decoder.get_frame_at(0)  # only decoding tells whether the codec is known there
                return decoder
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError, IndexError):
            pass  # the CPU's decoder tells whether it is the file
        try:
            return make(device="cpu")
        except (RuntimeError, ValueError, IndexError) as error:
            raise ClipError(Reason.CORRUPT, f"{self._path.name}: {_first_line(error)}") from error


class _PyavVideo(Video):
    decoder = "pyav"

    def __init__(self, source: MediaSource, times: _Times, name: str, device: torch.device) -> None:
        self._source, self._times, self._name, self._device = source, times, name, device
        self._reformatter = VideoReformatter()
        self._places = {time: i for i, time in reversed(list(enumerate(times.shown)))}
        self.frames, self.fps = len(times.shown), times.fps
        source.video.codec_context.thread_count = 1  # clips are decoded beside one another
        _, first = next(self._decode([0]))
        self._turns = int(first.rotation // 90) % 4
        self._size = first.width, first.height
        self.width, self.height = self._size if self._turns % 2 == 0 else self._size[::-1]

    def read(self, indices: Sequence[int]) -> torch.Tensor:
        self._check(indices)
        wanted = sorted({self._place(i) for i in indices})
        row_of = {place: row for row, place in enumerate(wanted)}
        frames: NDArray[np.uint8] = np.empty((len(wanted), self.height, self.width, 3), np.uint8)
        for place, frame in self._decode(wanted):
            frames[row_of[place]] = self._pixels(frame)
        rows = [row_of[self._place(i)] for i in indices]
        if rows != list(range(len(wanted))):
            frames = frames[rows]
        return torch.from_numpy(frames).permute(0, 3, 1, 2).to(self._device, non_blocking=True)

    def close(self) -> None:
        self._source.close()

    def _place(self, index: int) -> int:
        """Find the first frame that is shown at the same time."""
        return self._places[self._times.shown[index]]

    def _pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        width, height = self._size
        try:
            picture = self._reformatter.reformat(frame, width, height, "rgb24", threads=1)
            pixels: NDArray[np.uint8] = np.asarray(picture.to_ndarray(), np.uint8)
        except (FFmpegError, ValueError) as error:
            raise self._corrupt(error) from error
        return np.rot90(pixels, self._turns) if self._turns else pixels

    def _decode(self, wanted: Sequence[int]) -> Iterator[tuple[int, VideoFrame]]:
        """Yield the frames of places that rise, each once."""
        shown, at = self._times.shown, 0
        from_start = False
        while at < len(wanted):
            key = self._key_before(shown[wanted[at]])
            decoding = self._frames_from(None if from_start else key)
            before = at
            for place, frame in decoding:
                if at < len(wanted) and place == wanted[at]:
                    yield place, frame
                    at += 1
                if at == len(wanted) or place > wanted[at]:
                    break
                if wanted[at] - place > _SKIP_FRAMES and not from_start:
                    next_key = self._key_before(shown[wanted[at]])
                    if next_key and next_key[0] > shown[place]:
                        break
            if at == before:
                if from_start:
                    raise ClipError(
                        Reason.CORRUPT, f"{self._name}: frame {wanted[at]} can't be decoded"
                    )
                from_start = True  # the container can't be sought in as its times say

    def _key_before(self, time: int) -> tuple[int, int] | None:
        found = bisect.bisect_right(self._times.keys, time, key=lambda key: key[0])
        return self._times.keys[found - 1] if found else None

    def _frames_from(self, key: tuple[int, int] | None) -> Iterator[tuple[int, VideoFrame]]:
        stream, container = self._source.video, self._source.container
        first = min(self._times.shown[0], *(decoded for _, decoded in self._times.keys[:1]), 0)
        try:
            container.seek(first if key is None else key[1], stream=stream)
            for packet in demux(container, stream):
                for frame in packet.decode():
                    place = None if frame.pts is None else self._places.get(frame.pts)
                    if place is not None:
                        yield place, frame
        except FFmpegError as error:
            raise self._corrupt(error) from error

    def _corrupt(self, error: Exception) -> ClipError:
        return ClipError(Reason.CORRUPT, f"{self._name}: {plain_words(error)}")


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__

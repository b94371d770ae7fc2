"""Decode a clip's packets on their way into the file, instead of out of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import av

from mimecurate.curation.cut_decode import corrupt_if_broken
from mimecurate.curation.frame_looks import FrameLooks
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from av import VideoFrame
    from av.video.codeccontext import VideoCodecContext


@dataclass(frozen=True, slots=True)
class CheckedPackets:
    """The video packets of a clip, every one of them decoded."""

    digests: tuple[bytes, ...]
    """Of each packet's data, in the order of the file."""
    frame_hashes: tuple[int, ...]
    """As `mimecurate.curation.frame_looks.FrameLooks.hashes`."""
    warnings: tuple[str, ...]
    """What is odd about the pictures."""


def packet_digest(data: bytes | memoryview) -> bytes:
    """Tell a packet's data from any other's."""
    return hashlib.blake2b(data, digest_size=16).digest()


class PacketCheck:
    """Decodes what is written, in its order, and looks at the frames.

    A file that holds these packets needs no second decoding: `mimecurate.curation.verify` compares
    them. The decoder is also at the right place to give the frames that follow those copied.
    """

    def __init__(self, header: bytes, ticks: Sequence[int]) -> None:
        """Begin a clip.

        Args:
            header: of the file's video stream: ``avcC``, lengths of 4 bytes.
            ticks: presentation times of all its frames, rising.
        """
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = header
        decoder.thread_count = 1
        self._decoder: VideoCodecContext = decoder
        self._numbers = {tick: number for number, tick in enumerate(ticks)}
        self._written: set[int] = set()
        self._digests: list[bytes] = []
        self._looks = FrameLooks(len(ticks))
        self._seen = 0

    def write(self, data: bytes, tick: int) -> bytes:
        """Decode a packet that is written, and return it.

        Raises:
            ClipError: ``CORRUPT``: it doesn't decode, or a frame before it didn't.
        """
        self._digests.append(packet_digest(data))
        self._written.add(tick)
        for _ in self._shown(self._decode(data, tick)):
            pass
        return data

    def read_on(self, packets: Iterable[tuple[bytes, int]]) -> Iterator[tuple[int, VideoFrame]]:
        """Decode packets that are not written, and yield their frames with their times.

        What is written next must begin anew, with an IDR picture.

        Raises:
            ClipError: ``CORRUPT``: as `write`.
        """
        for data, tick in packets:
            yield from self._shown(self._decode(data, tick))
        yield from self._shown(self._decode(None, 0))
        self._decoder.flush_buffers()

    def finish(self) -> CheckedPackets:
        """Say what was written.

        Raises:
            ClipError: ``CORRUPT``: a frame is missing.
        """
        for _ in self._shown(self._decode(None, 0)):
            pass
        if self._seen != len(self._numbers):
            raise _corrupt(f"{self._seen} of its {len(self._numbers)} frames decode")
        looks = self._looks
        return CheckedPackets(tuple(self._digests), tuple(looks.hashes), looks.warnings(self._seen))

    def _decode(self, data: bytes | None, tick: int) -> list[VideoFrame]:
        packet = None
        if data is not None:
            packet = av.Packet(data)
            packet.pts = tick
        with corrupt_if_broken("the clip"):
            return self._decoder.decode(packet)

    def _shown(self, frames: Iterable[VideoFrame]) -> Iterator[tuple[int, VideoFrame]]:
        """Look at the clip's frames; yield those that aren't written."""
        for frame in frames:
            tick = frame.pts
            if frame.is_corrupt or tick is None:
                raise _corrupt("a frame is damaged")
            if tick not in self._written:
                yield tick, frame
                continue
            self._looks.at(self._numbers[tick], frame)
            self._seen += 1


def _corrupt(what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"the clip is not whole: {what}")

"""What some frames of a clip look like, taken while it is decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import imagehash
import numpy as np
from av.video.reformatter import VideoReformatter
from PIL import Image

if TYPE_CHECKING:
    import numpy.typing as npt
    from av import VideoFrame

HASHES = 8
"""Perceptual hashes of a clip, of frames at equal distances."""

_LOOKS_A_HASH = 3
_LOOKS = HASHES * _LOOKS_A_HASH
_SIDE = 64  # pixels; every frame that is looked at is shrunk to a square
_BLACK_BELOW = 24  # of 255
_BLOCKS = 16  # to a side, whose means tell whether anything moves
_STILL_BELOW = 10  # of 255; coding alone changes them by up to 9, the slowest tai chi by 14


class FrameLooks:
    """Looks at frames at equal distances, in small."""

    def __init__(self, frames: int) -> None:
        """Choose the frames to look at.

        Args:
            frames: how many the clip has.
        """
        self.hashes: list[int] = []
        """64-bit perceptual hashes (DCT), as unsigned integers."""
        self._numbers = [(2 * look + 1) * frames // (2 * _LOOKS) for look in range(_LOOKS)]
        self._reformatter = VideoReformatter()
        self._first: npt.NDArray[np.floating] | None = None
        self._is_black = self._is_still = True

    def at(self, number: int, frame: VideoFrame) -> None:
        """Look at a frame if it is one of the chosen.

        Args:
            number: counted from 0 in order of presentation; rises from call to call.
            frame: the picture.
        """
        looks = [look for look, at in enumerate(self._numbers) if at == number]
        if not looks:
            return
        small = self._reformatter.reformat(
            frame, _SIDE, _SIDE, "gray", interpolation="AREA", threads=1
        ).to_ndarray()
        self._compare(small.reshape(_BLOCKS, -1, _BLOCKS, _SIDE // _BLOCKS).mean((1, 3)))
        hashed = [look for look in looks if look % _LOOKS_A_HASH == _LOOKS_A_HASH // 2]
        if hashed:
            value = int(str(imagehash.phash(Image.fromarray(small))), 16)
            self.hashes += [value] * len(hashed)

    def warnings(self, frames: int) -> tuple[str, ...]:
        """Say what is odd about the pictures of a clip of so many frames."""
        if self._is_black:
            return ("black throughout",)
        return ("frozen throughout",) if self._is_still and frames > 1 else ()

    def _compare(self, small: npt.NDArray[np.floating]) -> None:
        if self._first is None:
            self._first = small
        still = bool(np.abs(small - self._first).max() < _STILL_BELOW)
        self._is_still = self._is_still and still
        self._is_black = self._is_black and bool(small.max() < _BLACK_BELOW)

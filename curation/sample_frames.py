"""Numbered pictures: a moving background, a frame number for machines and one for people.

The number is drawn as a block of 6 x 4 black and white cells in the top left: 16 bits, most
significant first, and a CRC-8 of them. Cells lie at fixed fractions of the picture's width and
height, so the number survives re-encoding and scaling down to about 96 lines.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.uint8]

COUNTERS = 1 << 16
"""How many different numbers a frame can carry."""

_COLUMNS, _ROWS = 6, 4
_LEFT, _TOP, _CELL_WIDTH, _CELL_HEIGHT = 0.04, 0.05, 0.07, 0.10  # fractions of the picture
_BLACK, _WHITE = 16, 235
_MIN_CONTRAST = 0.4  # of the brightest cell
_MAX_GREY = 0.35  # how far a cell may lie from black or white, as a part of the contrast
_DIGITS = (  # 3 x 5 cells each, row by row
    "111101101101111",
    "010110010010111",
    "111001111100111",
    "111001111001111",
    "101101111001001",
    "111100111001111",
    "111100111101111",
    "111001001001001",
    "111101111101111",
    "111101111001111",
)


def read_counter(luma: npt.NDArray[Any]) -> int:
    """Read the number drawn into a frame.

    Args:
        luma: ``(height, width)`` brightness in any range and depth, rotation undone.

    Returns:
        The number, in [0, 65536).

    Raises:
        ValueError: there is none: a black, blended, badly damaged or foreign picture.
    """
    height, width = luma.shape
    xs, ys = _edges(width, height)
    cells = np.empty((_ROWS, _COLUMNS))
    for row, (top, bottom) in enumerate(pairwise(ys)):
        for column, (left, right) in enumerate(pairwise(xs)):
            trim_x, trim_y = (right - left) // 4, (bottom - top) // 4
            cells[row, column] = luma[
                top + trim_y : bottom - trim_y, left + trim_x : right - trim_x
            ].mean()
    low, high = cells.min(), cells.max()
    if high - low < _MIN_CONTRAST * high or high == 0:
        raise ValueError("no frame number: the picture has no black and white cells")
    levels = (cells - low) / (high - low)
    if (np.abs(levels - levels.round()) > _MAX_GREY).any():
        raise ValueError("no frame number: some cells are neither black nor white")
    code = int("".join("1" if level > 0.5 else "0" for level in levels.flat), 2)
    number, check = code >> 8, code & 0xFF
    if _crc8(number) != check:
        raise ValueError(f"no frame number: {number} does not match its check sum")
    return number


class Scenery:
    """Draws numbered frames of one size.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        subsampled: whether chroma has half the width and height (4:2:0), else full (4:4:4).
        grain: standard deviation of the noise laid over the background, in 8-bit levels.
    """

    def __init__(self, width: int, height: int, *, subsampled: bool, grain: float = 0) -> None:
        """Prepare what all frames share."""
        self._size = height, width
        self._chroma_step = 2 if subsampled else 1
        rng = np.random.default_rng(20210516)
        self._panorama = _smooth(rng, height + 64, width * 2 + 64, low=40, high=200)
        self._tint = [_smooth(rng, height + 64, width * 2 + 64, low=104, high=152) for _ in "uv"]
        noise = rng.normal(0, grain, (height + 64, width + 64)).round().clip(-100, 100)
        self._noise = noise.astype(np.int16) if grain else None
        xs, ys = _edges(width, height)
        self._cell_of_x = np.repeat(np.arange(_COLUMNS), np.diff(xs))
        self._cell_of_y = np.repeat(np.arange(_ROWS), np.diff(ys))
        self._corner = ys[0], xs[0]
        self._margin = max(2, round(min(width, height) * 0.02))

    def planes(self, number: int) -> Plane:
        """Draw frame ``number``.

        Returns:
            ``(height * 3 // 2, width)`` planar 4:2:0, or ``(3, height, width)`` planar 4:4:4.
        """
        height, width = self._size
        step = self._chroma_step
        x, y = _pan(number * 2, width), _pan(number, 62)
        window = np.s_[y : y + height, x : x + width]
        luma = self._panorama[window].copy()
        if self._noise is not None:
            dy, dx = (number * 37) % 64, (number * 23) % 64
            grain = self._noise[dy : dy + height, dx : dx + width]
            np.clip(luma + grain, _BLACK, _WHITE, out=luma, casting="unsafe")
        self._draw_block(luma, number)
        self._draw_digits(luma, number)
        chroma = [np.ascontiguousarray(tint[window][::step, ::step]) for tint in self._tint]
        for plane in chroma:
            self._whiten(plane)
        if step == 1:
            return np.stack([luma, *chroma])
        return np.concatenate([luma.ravel(), *(c.ravel() for c in chroma)]).reshape(-1, width)

    def black(self) -> Plane:
        """Draw nothing: a black frame, laid out as `planes` does."""
        planes = np.full_like(self.planes(0), 128)
        luma = planes[: self._size[0]] if self._chroma_step == 2 else planes[0]
        luma[:] = _BLACK
        return planes

    def _draw_block(self, luma: Plane, number: int) -> None:
        code = number << 8 | _crc8(number)
        bits = np.array([code >> shift & 1 for shift in range(23, -1, -1)], np.uint8)
        cells = np.where(bits.reshape(_ROWS, _COLUMNS), _WHITE, _BLACK).astype(np.uint8)
        block = cells[self._cell_of_y][:, self._cell_of_x]
        (top, left), margin = self._corner, self._margin
        bottom, right = top + block.shape[0], left + block.shape[1]
        luma[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin] = 126
        luma[top:bottom, left:right] = block

    def _draw_digits(self, luma: Plane, number: int) -> None:
        height, width = self._size
        picture = _digits(f"{number:05d}", max(1, height // 40))
        tall, wide = picture.shape
        if tall < height // 3 and wide < width:
            luma[height - tall - 2 : height - 2, width - wide - 2 : width - 2] = picture

    def _whiten(self, chroma: Plane) -> None:
        """Take the colour out of the block, for readers that see colours."""
        step = self._chroma_step
        (top, left), margin = self._corner, self._margin
        bottom, right = top + len(self._cell_of_y), left + len(self._cell_of_x)
        chroma[: (bottom + margin) // step, : (right + margin) // step] = 128


def _edges(width: int, height: int) -> tuple[list[int], list[int]]:
    """Pixel borders of the cells' columns and rows."""
    xs = [round((_LEFT + i * _CELL_WIDTH) * width) for i in range(_COLUMNS + 1)]
    ys = [round((_TOP + i * _CELL_HEIGHT) * height) for i in range(_ROWS + 1)]
    return xs, ys


def _crc8(number: int) -> int:
    """CRC-8 (polynomial 0x07, start 0xFF) of a 16-bit number; all black and all white fail it."""
    crc = 0xFF
    for byte in number.to_bytes(2, "big"):
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc


def _pan(position: int, span: int) -> int:
    """Move to and fro over ``[0, span]``."""
    position %= 2 * span
    return min(position, 2 * span - position)


def _smooth(rng: np.random.Generator, height: int, width: int, *, low: int, high: int) -> Plane:
    """Make a cloudy texture by interpolating random values on a coarse grid."""
    step = 16
    grid = rng.uniform(low, high, (height // step + 2, width // step + 2))
    ys, xs = np.arange(height) / step, np.arange(width) / step
    y, x = ys.astype(int), xs.astype(int)
    part_y, part_x = (ys - y)[:, None], (xs - x)[None, :]
    upper = grid[y][:, x] * (1 - part_x) + grid[y][:, x + 1] * part_x
    lower = grid[y + 1][:, x] * (1 - part_x) + grid[y + 1][:, x + 1] * part_x
    mixed: Plane = (upper * (1 - part_y) + lower * part_y).astype(np.uint8)
    return mixed


def _digits(text: str, scale: int) -> Plane:
    """Set figures in white on black, ``scale`` pixels to a cell."""
    glyphs = [_glyph(int(figure), scale) for figure in text]
    return np.hstack(glyphs)


@cache
def _glyph(figure: int, scale: int) -> Plane:
    cells = np.array([int(bit) for bit in _DIGITS[figure]], np.uint8).reshape(5, 3)
    framed = np.pad(cells, 1)[:, :-1]
    return np.kron(framed, np.ones((scale, scale), np.uint8)) * (_WHITE - _BLACK) + _BLACK

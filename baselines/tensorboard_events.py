"""Scalars as TensorBoard reads them, written without TensorBoard.

A file is a row of records, each a length, a checksum, a protocol-buffer ``Event`` and a checksum
(TFRecord). An event with a scalar has five fields, so that neither protobuf nor gRPC is needed.
"""

from __future__ import annotations

import struct
import time
from functools import cache
from typing import TYPE_CHECKING

from mimecurate.schemas.closing import Closing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CASTAGNOLI = 0x82F63B78
_START = b"\x08\x01"
"""A ``SessionLog`` whose status is START: what had this step or a later one is no more."""


class EventFile(Closing):
    """A file of scalars that grows; each `add` is on its way to the disk when it returns."""

    def __init__(self, folder: Path, *, first_step: int = 0) -> None:
        """Begin a file in ``folder``.

        Args:
            folder: what ``tensorboard --logdir`` is given, or a folder in it.
            first_step: scalars of this step and later ones, in earlier files, are not shown.
        """
        folder.mkdir(parents=True, exist_ok=True)
        stamp = f"{time.time():020.6f}"
        self._file = (folder / f"events.out.tfevents.{stamp}.mimecurate").open("xb")
        self._write(_text(3, b"brain.Event:2"))
        if first_step:
            self._write(_number(2, first_step) + _text(7, _START))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Add scalars by name, e.g. ``loss/train``, of one step."""
        values = b"".join(
            _text(1, _text(1, name.encode()) + b"\x15" + struct.pack("<f", value))
            for name, value in scalars.items()
        )
        self._write(_number(2, step) + _text(5, values))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, event: bytes) -> None:
        event = b"\x09" + struct.pack("<d", time.time()) + event
        length = struct.pack("<Q", len(event))
        record = length + _checksum(length) + event + _checksum(event)
        self._file.write(record)
        self._file.flush()


def masked_crc32c(data: bytes) -> int:
    """Give the checksum of TFRecord: CRC-32C, rotated, plus a constant.

    >>> hex(masked_crc32c(b"123456789"))  # the CRC-32C of which is 0xe3069283
    '0xc78ab0e5'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _table()[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_CASTAGNOLI if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked_crc32c(data))


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value)


def _text(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])

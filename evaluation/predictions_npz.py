"""Prediction files in NumPy's ``.npz``: ``clip_ids`` str[N], ``class_names`` str[C], ``scores``.

Nothing is unpickled, and what a header declares is compared with what the archive holds before
any memory is given.
"""

from __future__ import annotations

import ast
import os
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from mimecurate.evaluation.score_table import ScoreTable, as_scores, check_size, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_FIELDS = ("clip_ids", "class_names", "scores")
_LOCAL_HEADER = struct.Struct("<26xHH")
_MAX_HEADER = 10_000
_HEADER_SIZES = {
    b"\x93NUMPY\x01\x00": struct.Struct("<H"),
    b"\x93NUMPY\x02\x00": struct.Struct("<I"),
    b"\x93NUMPY\x03\x00": struct.Struct("<I"),
}
_MAX_NAMES_BYTES = 1 << 28
_DAMAGED = (  # what zipfile raises on archives that make no sense
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    LookupError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_npz(path: Path, name: str) -> ScoreTable:
    """Read an ``.npz`` prediction file.

    Raises:
        InvalidInputError: whatever is wrong with it, in one line.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
            if missing := [field for field in _FIELDS if field not in members]:
                raise refusal(
                    name,
                    f"has no {' and no '.join(missing)}; it holds {', '.join(members)[:200]!r}",
                    hint="An .npz needs clip_ids (text), class_names (text) and scores.",
                )
            clip_ids, class_names, scores = (
                _read_member(file, archive, members[field], name, field) for field in _FIELDS
            )
    except _DAMAGED as error:
        raise refusal(name, f"is a damaged archive: {error}") from error
    return ScoreTable(
        _texts(clip_ids, name, "clip_ids"),
        _texts(class_names, name, "class_names"),
        as_scores(name, scores),
    )


def _read_member(
    file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, field: str
) -> NDArray[Any]:
    if info.flag_bits & 1 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise refusal(name, f"{field} is encrypted, or packed in another way than NumPy packs")
    with archive.open(info) as member:
        shape, fortran, dtype = _header(member, name, field)
        file_bytes = os.fstat(file.fileno()).st_size
        _check_declared(info, shape, dtype, member.tell(), file_bytes, name, field)
        if info.compress_type == zipfile.ZIP_STORED:
            # Straight from the file: the archive's own reader copies in small pieces.
            file.seek(info.header_offset)
            sizes = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
            file.seek(info.header_offset + _LOCAL_HEADER.size + sum(sizes))
            header = file.read(member.tell())
            flat = np.fromfile(file, dtype, _count(shape))
            damaged = zlib.crc32(flat.view(np.uint8).data, zlib.crc32(header)) != info.CRC
        else:
            flat = np.empty(_count(shape), dtype)
            _read_into(member, flat)  # which checks the checksum itself
            damaged = False
    if flat.size != _count(shape):
        raise refusal(name, f"{field} ends early")
    if damaged:
        raise refusal(name, f"{field} is damaged: its checksum differs")
    return flat.reshape(shape, order="F" if fortran else "C")


def _header(member: Any, name: str, field: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the header of an array: a Python dict as text, of literals only."""
    magic = member.read(8)
    size = _HEADER_SIZES.get(magic)
    length = size.unpack(member.read(size.size))[0] if size else 0
    if not 0 < length <= _MAX_HEADER:
        raise refusal(name, f"{field} is no NumPy array")
    try:
        header = ast.literal_eval(member.read(length).decode("utf-8"))
        shape, fortran, descr = header["shape"], header["fortran_order"], header["descr"]
        dtype = np.dtype(descr) if isinstance(descr, str) else np.dtype(object)
    except (ValueError, TypeError, LookupError, SyntaxError, RecursionError, MemoryError) as error:
        raise refusal(name, f"{field} is no NumPy array: its header is malformed") from error
    if dtype.hasobject:
        raise refusal(
            name,
            f"{field} is an array of Python objects, which only unpickling could read",
            hint=f"Save it as np.array({field}, dtype={'float' if field == 'scores' else 'str'}).",
        )
    if dtype.itemsize == 0:
        raise refusal(name, f"{field} is an array of {dtype}, items of no bytes")
    if not (isinstance(shape, tuple) and all(type(n) is int for n in shape)):
        raise refusal(name, f"{field} is no NumPy array: its shape is malformed")
    return shape, fortran is True, dtype


def _check_declared(
    info: zipfile.ZipInfo,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    header_bytes: int,
    file_bytes: int,
    name: str,
    field: str,
) -> None:
    declared = _count(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or declared != info.file_size - header_bytes:
        raise refusal(
            name,
            f"{field} declares shape {shape} of {dtype}, {declared} bytes, "
            f"and holds {info.file_size - header_bytes}",
        )
    if field == "scores":
        rows, columns = shape if len(shape) == 2 else (_count(shape), 1)
        check_size(name, rows, columns, dtype.itemsize, file_bytes)
    elif declared > _MAX_NAMES_BYTES:
        raise refusal(name, f"{field} declares {declared} bytes of names")


def _count(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _read_into(member: Any, flat: NDArray[Any]) -> None:
    view = flat.view(np.uint8).data
    done = 0
    while done < len(view):
        got = member.readinto(view[done : done + (1 << 20)])
        if not got:
            raise EOFError("it ends early")
        done += got


def _texts(array: NDArray[Any], name: str, field: str) -> list[str]:
    if array.ndim != 1:
        raise refusal(name, f"{field} has shape {array.shape}; it must be one-dimensional")
    if array.dtype.kind == "S":
        try:
            return [value.decode("utf-8") for value in array.tolist()]
        except UnicodeDecodeError as error:
            raise refusal(name, f"{field} is not UTF-8: {error.reason}") from error
    if array.dtype.kind != "U":
        raise refusal(name, f"{field} is {array.dtype}; it must be text")
    try:
        return [str(value) for value in array.tolist()]
    except (ValueError, SystemError) as error:
        raise refusal(name, f"{field} holds characters that do not exist") from error

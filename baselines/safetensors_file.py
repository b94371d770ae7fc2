"""Read ``.safetensors`` files: a length, a JSON header, and the bytes of the tensors.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import torch

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

MAX_HEADER_BYTES = 100 << 20

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a file into memory.

    Raises:
        MimecurateError: the file breaks the format; says where.
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
            raise MimecurateError(f"{path}: no safetensors file: header of {length:,} bytes")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise MimecurateError(f"{path}: no safetensors file: its header is no JSON") from error
        data = bytearray(file.read())
    if not isinstance(header, dict):
        raise MimecurateError(f"{path}: no safetensors file: its header is no object")
    header.pop("__metadata__", None)
    return {name: _tensor(path, name, entry, data) for name, entry in header.items()}


def _tensor(path: Path, name: str, entry: Any, data: bytearray) -> torch.Tensor:
    try:
        dtype, shape = _DTYPES[entry["dtype"]], [int(n) for n in entry["shape"]]
        start, stop = map(int, entry["data_offsets"])
    except (TypeError, KeyError, ValueError) as error:
        raise MimecurateError(f"{path}: {name[:120]!r} is described wrongly") from error
    count = math.prod(shape)
    fits = 0 <= start <= stop <= len(data) and min(shape, default=0) >= 0
    if not fits or stop - start != count * dtype.itemsize:
        raise MimecurateError(f"{path}: {name[:120]!r} does not fit its place, or is cut off")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(data[start:stop], dtype=dtype).reshape(shape)

"""Pickles as torch and mmaction2 write them, made without torch.

A tensor is pickled as ``torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False,
OrderedDict())`` and its storage as ``torch.storage._load_from_bytes(bytes)``, the bytes being five
pickles (magic number, protocol, machine, the storage by a persistent id, its keys) and the memory
with its length before it.
"""

from __future__ import annotations

import io
import pickle
import struct
import sys
from collections import OrderedDict
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest
    from numpy.typing import NDArray

KINDS = {
    "f4": "FloatStorage",
    "f8": "DoubleStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "bf2": "BFloat16Storage",
}


def stand_in_for_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put modules of torch's names where pickle looks names up; nothing in them works."""
    for name, members in {
        "torch": list(KINDS.values()),
        "torch._utils": ["_rebuild_tensor_v2"],
        "torch.storage": ["_load_from_bytes"],
    }.items():
        module = ModuleType(name)
        for member in members:
            made = type(member, (), {"__module__": name, "__qualname__": member})
            setattr(module, member, made)
        monkeypatch.setitem(sys.modules, name, module)


class Tensor:
    """Pickles as a torch tensor does."""

    def __init__(
        self,
        values: NDArray[Any],
        *,
        kind: str = "f4",
        offset: int = 0,
        size: tuple[int, ...] | None = None,
        stride: tuple[int, ...] | None = None,
        storage: bytes | None = None,
    ) -> None:
        self.size = values.shape if size is None else size
        self.stride = (1,) * len(self.size) if stride is None else stride
        self.offset = offset
        self.storage = storage_bytes(values, kind) if storage is None else storage

    def __reduce__(self) -> tuple[Any, ...]:
        arguments = (_Storage(self.storage), self.offset, self.size, self.stride)
        rebuild = sys.modules["torch._utils"].__dict__["_rebuild_tensor_v2"]
        return rebuild, (*arguments, False, OrderedDict())


class _Storage:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.modules["torch.storage"].__dict__["_load_from_bytes"], (self.data,)


def storage_bytes(values: NDArray[Any], kind: str = "f4", *, count: int | None = None) -> bytes:
    """Write a storage as torch does; ``count`` can lie about its length."""
    raw = _raw(values, kind)
    file = io.BytesIO()
    little = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"long": 4}}
    for part in (0x1950A86A20F9469CFC6C, 1001, little):
        pickle.dump(part, file, protocol=2)

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            if isinstance(value, _Reference):
                named = sys.modules["torch"].__dict__[KINDS[kind]]
                return ("storage", named, "94", "cpu", values.size, None)
            return None

    Pickler(file, protocol=2).dump(_Reference())
    pickle.dump(["94"], file, protocol=2)
    file.write(struct.pack("<q", values.size if count is None else count) + raw)
    return file.getvalue()


class _Reference:
    pass


def _raw(values: NDArray[Any], kind: str) -> bytes:
    if kind == "bf2":
        return (values.astype("<f4").view(np.uint32) >> 16).astype("<u2").tobytes()
    return values.astype("<" + kind).tobytes()


def samples(
    clip_ids: tuple[str, ...], scores: NDArray[Any], labels: NDArray[Any], *, older: bool = False
) -> Iterator[dict[str, Any]]:
    """Make mmaction2's samples; ``older``: as it wrote them before version 1.1."""
    for clip_id, row, label in zip(clip_ids, scores, labels, strict=True):
        score, true = Tensor(row), Tensor(np.array([label]), kind="i8")
        meta = {"filename": f"data/videos/{clip_id}.mp4", "img_shape": (224, 224)}
        if older:
            yield {**meta, "pred_scores": {"item": score}, "gt_labels": {"item": true}}
        else:
            yield {**meta, "pred_score": score, "gt_label": true, "num_classes": row.size}

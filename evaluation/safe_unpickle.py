"""Unpickling that builds numbers, texts, lists, dicts, NumPy arrays and torch tensors, only.

A pickle is a program. This reads one with an interpreter that knows no import: the few names that
NumPy and torch write stand for functions of this module, any other name is refused before anything
was built from it. Neither NumPy's own rebuild functions nor torch are called, so a crafted array
header meets these checks and no C code. The interpreter is the pure Python one of the standard
library: its memo is a dict, where the C one allocates whatever index a file names.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

MAX_ITEMS = 1 << 28
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_PROTOCOL = 1001
_REFUSED_OPCODES = (
    pickle.EXT1,
    pickle.EXT2,
    pickle.EXT4,
    pickle.PERSID,
    pickle.INST,
    pickle.OBJ,
    pickle.NEWOBJ,
    pickle.NEWOBJ_EX,
    pickle.EMPTY_SET,
    pickle.ADDITEMS,
    pickle.FROZENSET,
    pickle.NEXT_BUFFER,
    pickle.READONLY_BUFFER,
)


class UnsafePickleError(ValueError):
    """A pickle asks for something that is not built here; nothing of it was run."""


@dataclass(slots=True)
class Storage:
    """The memory of a torch tensor, as bytes that torch wrote; read when it is wanted."""

    data: bytes

    def array(self) -> NDArray[Any]:
        """Read the numbers: one storage in the stream format of torch before 1.6."""
        stream = io.BytesIO(self.data)
        marks = (_load(stream, {}), _load(stream, {}))
        if not all(type(mark) is int for mark in marks) or marks != (_TORCH_MAGIC, _TORCH_PROTOCOL):
            raise UnsafePickleError("a torch storage has an unknown format")
        system = _load(stream, {})
        reference = _load(stream, _STORAGE_NAMES, torch_references=True)
        keys = _load(stream, {})
        if not isinstance(system, dict) or not isinstance(reference, _StorageReference):
            raise UnsafePickleError("a torch storage has an unknown format")
        if not (isinstance(keys, list) and len(keys) == 1 and _is_one_of(keys[0], reference.key)):
            raise UnsafePickleError("a torch storage names other memory than it holds")
        order: Literal["<", ">"] = "<" if system.get("little_endian", True) is True else ">"
        return _storage_numbers(stream.read(), reference.kind.code, order)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A torch tensor, before its numbers are read."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """Return the numbers, after checking that all lie inside the storage."""
        counts = (self.offset, *self.size, *self.stride)
        if not all(type(n) is int and 0 <= n <= MAX_ITEMS for n in counts):
            raise UnsafePickleError("a torch tensor has an impossible shape")
        if len(self.size) != len(self.stride) or len(self.size) > 8:
            raise UnsafePickleError("a torch tensor has an impossible shape")
        flat = self.storage.array()
        count = math.prod(self.size)  # at most the storage's: an expanded tensor is refused
        last = self.offset + sum(
            (n - 1) * step for n, step in zip(self.size, self.stride, strict=True)
        )
        if count > flat.size or (count and last >= flat.size):
            raise UnsafePickleError("a torch tensor reaches outside its memory")
        index = np.full((), self.offset, np.int64)
        for n, step in zip(self.size, self.stride, strict=True):
            index = index[..., None] + np.arange(n) * step
        picked: NDArray[Any] = flat[index]
        return picked


def safe_unpickle(data: bytes) -> Any:
    """Read a pickle that holds results.

    Args:
        data: the pickle, whole: a length that it declares can't reach beyond its end.

    Returns:
        None, bool, int, float, str, bytes, list, tuple and dict as they are; NumPy arrays and
        scalars as `Array`; torch tensors as `Tensor`.

    Raises:
        UnsafePickleError: it asks for anything else, or it is damaged.
    """
    return _load(io.BytesIO(data), _NAMES)


@dataclass(frozen=True, slots=True)
class _StorageKind:
    code: str


@dataclass(frozen=True, slots=True)
class _StorageReference:
    kind: _StorageKind
    key: str


def _is_one_of(value: Any, *texts: str) -> bool:
    """Whether it is one of the texts. To hash or compare a deep tuple would exhaust the stack."""
    return type(value) is str and value in texts


@dataclass(slots=True)
class _Kind:
    """A NumPy dtype being rebuilt: code and byte order."""

    code: str
    order: str = "<"

    def set_state(self, state: Any) -> None:
        known = (
            isinstance(state, tuple)
            and len(state) >= 2
            and _is_one_of(state[1], "<", ">", "|", "=")
        )
        if not known:
            raise UnsafePickleError("a NumPy dtype has an unknown state")
        if any(part is not None for part in state[2:5]):
            raise UnsafePickleError("a NumPy array has fields; only plain numbers are read")
        self.order = state[1]

    def dtype(self) -> np.dtype[Any]:
        kind, digits = self.code[:1], self.code[1:]
        if kind not in "biufU?" or not (digits.isascii() and digits.isdigit()):
            raise UnsafePickleError(f"a NumPy array of {self.code[:20]!r}; only numbers and text")
        return np.dtype(f"{'' if self.order == '|' else self.order}{self.code}")


@dataclass(slots=True)
class Array:
    """A NumPy array or scalar that the pickle rebuilds."""

    value: NDArray[Any] | None = None

    def array(self) -> NDArray[Any]:
        """Return the numbers."""
        if self.value is None:
            raise UnsafePickleError("a NumPy array without contents")
        return self.value

    def set_state(self, state: Any) -> None:
        """Take what NumPy's own arrays take: version, shape, dtype, order and bytes."""
        if not (isinstance(state, tuple) and len(state) == 5):
            raise UnsafePickleError("a NumPy array has an unknown state")
        _, shape, kind, fortran, data = state
        self.value = _numpy_array(data, kind, shape, "F" if fortran is True else "C")


def _numpy_array(data: Any, kind: Any, shape: Any, order: Any) -> NDArray[Any]:
    known = isinstance(kind, _Kind) and isinstance(data, bytes) and _is_one_of(order, "C", "F")
    if not known:
        raise UnsafePickleError("a NumPy array that is not plain numbers or text")
    whole = isinstance(shape, tuple) and len(shape) <= 8 and all(type(n) is int for n in shape)
    dtype = kind.dtype()
    if not whole or min(shape, default=0) < 0:
        raise UnsafePickleError("a NumPy array has an impossible shape")
    if dtype.itemsize == 0 or math.prod(shape) * dtype.itemsize != len(data):
        raise UnsafePickleError("a NumPy array declares another size than it has")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _make_array(subtype: Any, shape: Any, code: Any) -> Array:
    return Array()


def _make_array_from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> Array:
    return Array(_numpy_array(data, kind, shape, order))


def _make_kind(code: Any, align: Any = False, copy: Any = True) -> _Kind:
    if not isinstance(code, str):
        raise UnsafePickleError("a NumPy dtype has an unknown name")
    return _Kind(code)


def _make_scalar(kind: Any, data: Any) -> Array:
    return Array(_numpy_array(data, kind, (), "C"))


def _make_tensor(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Tensor:
    if not (isinstance(storage, Storage) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise UnsafePickleError("a torch tensor without memory or shape")
    return Tensor(storage, offset, size, stride)


def _make_storage(data: Any) -> Storage:
    if not isinstance(data, bytes):
        raise UnsafePickleError("a torch storage that is not bytes")
    return Storage(data)


def _make_bytes(text: Any = "", codec: Any = "latin1") -> bytes:
    """Bytes in protocol 2: text of the characters 0 to 255."""
    if not isinstance(text, str) or not _is_one_of(codec, "latin1", "latin-1"):
        raise UnsafePickleError("bytes in an unknown encoding")
    return text.encode("latin-1")


def _make_dict(*pairs: Any) -> dict[Any, Any]:
    if pairs:
        raise UnsafePickleError("an OrderedDict with arguments")
    return {}


def _make_size(items: Any = ()) -> tuple[Any, ...]:
    return tuple(items) if isinstance(items, (tuple, list)) else ()


_NAMES: Mapping[tuple[str, str], object] = {
    ("numpy", "ndarray"): "numpy.ndarray",
    ("numpy", "dtype"): _make_kind,
    ("numpy.core.multiarray", "_reconstruct"): _make_array,
    ("numpy._core.multiarray", "_reconstruct"): _make_array,
    ("numpy.core.multiarray", "scalar"): _make_scalar,
    ("numpy._core.multiarray", "scalar"): _make_scalar,
    ("numpy.core.numeric", "_frombuffer"): _make_array_from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _make_array_from_buffer,
    ("_codecs", "encode"): _make_bytes,
    ("builtins", "bytes"): _make_bytes,
    ("collections", "OrderedDict"): _make_dict,
    ("torch", "Size"): _make_size,
    ("torch._utils", "_rebuild_tensor"): _make_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _make_tensor,
    ("torch.storage", "_load_from_bytes"): _make_storage,
}


_STORAGE_NAMES: Mapping[tuple[str, str], object] = {
    ("torch", f"{name}Storage"): _StorageKind(code)
    for name, code in {
        "Double": "f8",
        "Float": "f4",
        "Half": "f2",
        "BFloat16": "bf2",
        "Long": "i8",
        "Int": "i4",
        "Short": "i2",
        "Char": "i1",
        "Byte": "u1",
        "Bool": "?",
    }.items()
}


def _storage_numbers(data: bytes, code: str, order: Literal["<", ">"]) -> NDArray[Any]:
    item_bytes = 2 if code == "bf2" else np.dtype(code).itemsize
    if len(data) < 8:
        raise UnsafePickleError("a torch storage ends early")
    (count,) = struct.unpack(order + "q", data[:8])
    if count < 0 or count * item_bytes != len(data) - 8:
        raise UnsafePickleError("a torch storage declares another size than it has")
    if code == "bf2":  # the upper half of a float32
        halves = np.frombuffer(data, order + "u2", offset=8).astype(np.uint32)
        return (halves << 16).view(np.float32)
    return np.frombuffer(data, np.dtype(code).newbyteorder(order), offset=8)


class _Interpreter(pickle._Unpickler):
    """Python's own, with the opcodes that make objects taken out or checked."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)
    if TYPE_CHECKING:  # what the base class has and the type stubs leave out
        stack: list[Any]
        append: Callable[[Any], None]
        pop_mark: Callable[[], list[Any]]
        read: Callable[[int], bytes]

    def __init__(self, file: BinaryIO, names: Mapping[tuple[str, str], object]) -> None:
        super().__init__(file)
        self._names = names

    def find_class(self, module: str, name: str) -> Any:
        found = self._names.get((_MODERN.get(module, module), name))
        if found is None:
            raise UnsafePickleError(f"it names {module[:60]}.{name[:60]}")
        return found

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not isinstance(target, (Array, _Kind)):
            raise UnsafePickleError(f"it sets the state of a {type(target).__name__}")
        target.set_state(state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key, value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        _set_items(self.stack[-1], items)

    def load_dict(self) -> None:
        items = self.pop_mark()
        made: dict[Any, Any] = {}
        _set_items(made, items)
        self.append(made)

    def load_bytearray8(self) -> None:
        (length,) = struct.unpack("<Q", self.read(8))
        self.append(self.read(length))

    def load_refused(self) -> None:
        raise UnsafePickleError("it makes objects")

    for _opcode in _REFUSED_OPCODES:
        dispatch[_opcode[0]] = load_refused
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8


class _TorchInterpreter(_Interpreter):
    def persistent_load(self, pid: Any) -> _StorageReference:
        if not (isinstance(pid, tuple) and len(pid) >= 5 and _is_one_of(pid[0], "storage")):
            raise UnsafePickleError("a torch storage has an unknown reference")
        if not (isinstance(pid[1], _StorageKind) and isinstance(pid[2], str)):
            raise UnsafePickleError("a torch storage of an unknown kind")
        return _StorageReference(pid[1], pid[2])


_MODERN = {"__builtin__": "builtins"}


def _set_items(target: Any, items: list[Any]) -> None:
    """Fill a dict. A key that is a deep tuple would exhaust the stack when it is hashed."""
    if type(target) is not dict or len(items) % 2:
        raise UnsafePickleError("it fills something that is not a dict")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in {str, int, float, bytes, bool, type(None)}:
            raise UnsafePickleError(f"a dict has a {type(key).__name__} as a key")
        target[key] = value


def _load(
    file: BinaryIO,
    names: Mapping[tuple[str, str], object],
    *,
    torch_references: bool = False,
) -> Any:
    make = _TorchInterpreter if torch_references else _Interpreter
    try:
        return make(file, names).load()
    except UnsafePickleError:
        raise
    except (
        pickle.UnpicklingError,
        ArithmeticError,
        AttributeError,
        AssertionError,
        EOFError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as error:  # what the interpreter raises on opcodes that make no sense
        raise UnsafePickleError(
            f"it is damaged: {type(error).__name__}: {str(error)[:200]}"
        ) from error

"""Read published checkpoints and load them into models, whole or not at all.

A checkpoint is a state dict: tensors by name. It may be wrapped in a dictionary beside epoch,
optimizer and the like; its names may have the prefix ``module.`` of `torch.nn.DataParallel`; and
files of torch before 0.4.1 have no ``num_batches_tracked``. Nothing in a file is ever executed.
"""

from __future__ import annotations

import pickle
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from mimecurate.baselines.safetensors_file import read_safetensors
from mimecurate.errors import MimecurateError, one_line, plain_words

StateDict = dict[str, Tensor]
KeyMap = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "network", "model", "net", "weights")
"""Names under which training codes keep the state dict."""
_MOST_NAMED = 4
_COUNTER = "num_batches_tracked"
_MOST_EXPANSION, _EXPANSION_SLACK = 4, 16 << 20
"""How many times larger, and bytes more, an archive may be inside."""


def load_checkpoint(
    model: nn.Module,
    checkpoint: object,
    *,
    name: str = "the checkpoint",
) -> None:
    """Load weights into a model; every learned value and every buffer must be there and fit.

    A model whose names differ from a published layout's has ``rename_keys(state_dict)`` in its
    class, or in the module that defines the class, which gives the state dict with its own names.

    Args:
        model: as `mimecurate.baselines.build` makes it, on any device.
        checkpoint: a file (``.pth``, ``.pt``, ``.pth.tar``, ``.safetensors``), or what one holds.
        name: of what a file held, for errors.

    Raises:
        MimecurateError: it can't be read, or does not fit; the names are listed. The model is
            as it was then.
        ValueError: the model is on the meta device.
    """
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ValueError("a model on the meta device holds no weights; use model.to_empty first")
    if isinstance(checkpoint, Path | str):
        name = str(checkpoint)
        checkpoint = read_document(checkpoint)
    state = unwrap(checkpoint, name)
    state = renamed(model, state, name)
    model.load_state_dict(_fitted(model.state_dict(), state, name), strict=True)


def renamed(model: nn.Module, state: StateDict, name: str) -> StateDict:
    """Give the entries of a checkpoint the names that the model has; own names stay.

    Args:
        model: with ``rename_keys`` in its class or module, if its names differ from published ones.
        state: without wrapper.
        name: of the file, for errors.

    Raises:
        MimecurateError: they can't be mapped.
    """
    rename = _key_map(model)
    if rename is None:
        return state
    try:
        return dict(rename(state))
    except (ValueError, KeyError, IndexError, RuntimeError) as error:
        raise MimecurateError(f"{name}: its names can't be mapped: {error}") from error


def read_checkpoint(path: Path | str) -> StateDict:
    """Read the state dict of a file, with the names of the file but for ``module.``.

    Raises:
        MimecurateError: there is no such file, or it is no checkpoint of tensors alone.
    """
    return unwrap(read_document(path), str(path))


def read_document(path: Path | str) -> object:
    """Read all that a checkpoint holds: tensors, numbers and texts; nothing in it is executed.

    Raises:
        MimecurateError: there is no such file, or it is none, or holds more.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return read_safetensors(path)
        _refuse_bomb(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is an error or nothing to us
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise MimecurateError(f"{path}: can't be read: {plain_words(error)}") from error
    except MimecurateError:
        raise
    except pickle.UnpicklingError as error:
        raise MimecurateError(f"{path}: not loaded: {_refused(error)}") from error
    except Exception as error:  # torch raises whatever the bytes lead to
        raise MimecurateError(f"{path}: no checkpoint, or a broken one: {_brief(error)}") from error


def _refuse_bomb(path: Path) -> None:
    """Refuse an archive that is far larger inside: torch compresses nothing.

    Raises:
        MimecurateError: it is.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        inside = sum(entry.file_size for entry in archive.infolist())
    size = path.stat().st_size
    if inside > _MOST_EXPANSION * size + _EXPANSION_SLACK:
        raise MimecurateError(
            f"{path}: not loaded: {size:,} bytes that would become {inside:,}; "
            "checkpoints are not compressed so"
        )


def unwrap(loaded: object, name: str) -> StateDict:
    """Find the state dict in what a file held, and take ``module.`` off its keys.

    >>> unwrap({"epoch": 3, "state_dict": {"module.fc.bias": torch.zeros(2)}}, "x.pth")
    {'fc.bias': tensor([0., 0.])}

    Args:
        loaded: the content.
        name: of the file, for errors.

    Raises:
        MimecurateError: there is none, or keys differ by the prefix alone.
    """
    for _ in range(3):  # wrapped once; twice by tools that add their own
        if not isinstance(loaded, Mapping):
            break
        inner = next((w for w in WRAPPERS if isinstance(loaded.get(w), Mapping)), None)
        if inner is None:
            break
        loaded = loaded[inner]
    if not isinstance(loaded, Mapping):
        raise MimecurateError(f"{name}: holds a {type(loaded).__name__}, not a state dict")
    wrong = [key for key, value in loaded.items() if not isinstance(value, Tensor)]
    if wrong or not loaded:
        held = f"{_names(wrong)} no tensor" if wrong else "it is empty"
        raise MimecurateError(f"{name}: holds no state dict ({', '.join(WRAPPERS)}): {held}")
    state: StateDict = {}
    for key, value in loaded.items():
        bare = _without_wrapper(str(key))
        if bare in state:
            raise MimecurateError(
                f"{name}: holds {one_line(bare)} twice, with and without a prefix"
            )
        state[bare] = cast("Tensor", value)
    return state


def _without_wrapper(key: str) -> str:
    """Drop all up to the last part ``module``, as ST-GCN's loader does, or ``_orig_mod``."""
    parts = key.split(".")
    wrapped = [i for i, part in enumerate(parts[:-1]) if part in {"module", "_orig_mod"}]
    return ".".join(parts[wrapped[-1] + 1 :]) if wrapped else key


def _key_map(model: nn.Module) -> KeyMap | None:
    home = sys.modules.get(type(model).__module__)
    found = getattr(type(model), "rename_keys", None) or getattr(home, "rename_keys", None)
    return cast("KeyMap | None", found)


def _fitted(own: Mapping[str, Tensor], given: StateDict, name: str) -> StateDict:
    """Check ``given`` against the model's ``own`` and fill in the counters of batches.

    Raises:
        MimecurateError: names, shapes or values are wrong; says all that are.
    """
    given = {k: v for k, v in given.items() if k in own or not k.endswith("." + _COUNTER)}
    missing = [key for key in own if key not in given and not key.endswith("." + _COUNTER)]
    unknown = [key for key in given if key not in own]
    problems: list[str] = []
    if missing:
        problems.append(f"{len(missing)} of {len(own)} are missing: {_names(missing)}")
    if unknown:
        problems.append(f"{len(unknown)} are not the model's: {_names(unknown)}")
    shapes = [
        f"{key} is {_shape(given[key])}, not {_shape(own[key])}"
        for key in own
        if key in given and given[key].shape != own[key].shape
    ]
    if shapes:
        problems.append(f"{len(shapes)} have another shape: {_names(shapes, '; ')}")
    if not problems:  # a tensor of the wrong shape may be too large to look at
        bad = [key for key, value in given.items() if not _is_number(value)]
        if bad:
            problems.append(f"{len(bad)} hold NaN, infinity or no real numbers: {_names(bad)}")
    if problems:
        raise MimecurateError(f"{name}: does not fit the model: " + "; ".join(problems))
    return {key: given.get(key, value) for key, value in own.items()}


def _is_number(value: Tensor) -> bool:
    if value.is_complex() or value.is_quantized or value.layout != torch.strided or value.is_meta:
        return False
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a single number"


def _names(names: Sequence[object], separator: str = ", ") -> str:
    shown = [one_line(str(name)[:120]) for name in names[:_MOST_NAMED]]
    more = len(names) - len(shown)
    return separator.join(shown) + (f" and {more} more" if more > 0 else "")


def _refused(error: Exception) -> str:
    """Say what a pickle wanted that no state dict needs; torch's words are a page long."""
    wanted = re.search(r"GLOBAL (\S+)", str(error))
    if wanted:
        return f"it wants {wanted[1][:120]}; only tensors are read, and nothing is run"
    return "it is no checkpoint, or a broken one"


def _brief(error: Exception) -> str:
    words = (str(error).strip() or type(error).__name__).splitlines()[0]
    return words if len(words) <= 160 else words[:160] + "…"

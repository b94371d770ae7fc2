"""Decode video and run RGB, flow and pose models on it.

    >>> from mimecurate import baselines
    >>> model = baselines.build("resnext101_rgb_16f", num_classes=400)        # doctest: +SKIP
    >>> baselines.load_checkpoint(model, "resnext-101-kinetics.pth")          # doctest: +SKIP
    >>> baselines.run("r2plus1d_18", release="mimetics@1.0.0", out="p.parquet")  # doctest: +SKIP

Importing this imports no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from mimecurate.baselines.checkpoints import load_checkpoint
    from mimecurate.baselines.run_model import run

__all__ = ["build", "load_checkpoint", "run"]

_HOMES = {
    "load_checkpoint": "mimecurate.baselines.checkpoints",
    "run": "mimecurate.baselines.run_model",  # a module named run would hide the function
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mimecurate.baselines' has no attribute {name!r}")
    from importlib import import_module

    check_torch()
    return getattr(import_module(_HOMES[name]), name)


def check_torch() -> None:
    """Make sure that models can run.

    Raises:
        MissingExtraError: the extra ``baselines`` is not installed.
    """
    from importlib.util import find_spec

    from mimecurate.errors import MissingExtraError

    for package in ("torch", "torchvision"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "baselines")


def build(name: str, **settings: Any) -> nn.Module:
    """Make a model without weights, on the current default device, in training mode.

    Args:
        name: as `mimecurate baseline list` has it.
        settings: over those of the model's card: ``num_classes=50``, ``channels=2``, …

    Raises:
        MimecurateError: there is no such model, or it has no such setting.
        MissingExtraError: the extra ``baselines`` is not installed.
    """
    from mimecurate.baselines.registry import find_card, find_named

    card = find_card(name)
    check_torch()
    builder = find_named(card.builder)
    chosen = {"num_classes": card.classes, **card.settings, **settings}
    _check_settings(name, builder, chosen)
    model: nn.Module = builder(**chosen)
    return model


def _check_settings(name: str, builder: Any, chosen: dict[str, Any]) -> None:
    from inspect import Parameter, signature

    from mimecurate.errors import MimecurateError

    known = signature(builder).parameters
    if any(p.kind is Parameter.VAR_KEYWORD for p in known.values()):
        return  # passed on to a library, which knows them
    wrong = [setting for setting in chosen if setting not in known]
    if wrong:
        raise MimecurateError(f"{name}: no setting {', '.join(wrong)}; it has {', '.join(known)}")

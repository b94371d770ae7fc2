"""Curate, annotate, version and evaluate out-of-context action video datasets.

The verbs for notebooks, each loaded when it is first used:

    >>> import mimecurate
    >>> release = mimecurate.load_release("mimetics@1.0.0")             # doctest: +SKIP
    >>> result = mimecurate.evaluate("scores.parquet", release)         # doctest: +SKIP
    >>> result.subsets                                                  # doctest: +SKIP
"""

from __future__ import annotations

TYPE_CHECKING = False  # the program starts here: typing takes longer to import than all else
if TYPE_CHECKING:
    from typing import Any

    from mimecurate import baselines
    from mimecurate.curation.release_read import load_release
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.evaluation.frames import evaluate
    from mimecurate.evaluation.predictions import load_predictions

__all__ = [
    "__version__",
    "baselines",
    "evaluate",
    "load_predictions",
    "load_release",
    "open_workspace",
]

__version__ = "0.1.0"

_HOMES = {
    "evaluate": "mimecurate.evaluation.frames",
    "load_predictions": "mimecurate.evaluation.predictions",
    "load_release": "mimecurate.curation.release_read",
    "open_workspace": "mimecurate.curation.workspace",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "baselines":
        return import_module("mimecurate.baselines")
    if name not in _HOMES:
        raise AttributeError(f"module 'mimecurate' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)

"""Imported before torch by test modules that need it: skips them where models can't run."""

from __future__ import annotations

from importlib.util import find_spec

from testbed import need

need(
    "torch",
    all(find_spec(package) for package in ("torch", "torchvision")),
    "pip install 'mimecurate[baselines]'",
)

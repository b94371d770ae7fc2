"""Curate, annotate, version and evaluate out-of-context action video datasets."""

from __future__ import annotations

__version__ = "0.1.0"

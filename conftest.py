"""Leave out the doctests of code whose optional dependency is not installed."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["src/mimecurate/baselines/*"]

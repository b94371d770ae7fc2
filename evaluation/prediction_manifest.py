"""How a prediction file came to be, if `mimecurate baseline run` wrote it.

The manifest is a stranger's, as the file is: whatever it holds, what is taken from it is short,
printable text and finite numbers under known names.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MANIFEST_KEY = "mimecurate_manifest"
"""In the metadata of a Parquet file."""
MAX_BYTES = 64 << 20
_MAX_TEXT = 300
_MAX_ENTRIES = 100
_TEXTS = ("model", "title", "paper", "note", "revision", "device", "date")
_NUMBERS = ("seed", "clips", "seconds", "batch_size")
_TABLES = ("weights", "settings", "versions", "release", "decoded_by")


def manifest_path(path: Path) -> Path:
    """Tell where the manifest of a file is that can't hold one itself."""
    return path.with_name(path.name + ".manifest.json")


def parse_manifest(text: bytes | str) -> dict[str, Any] | None:
    """Take from a manifest what is as it should be.

    Args:
        text: JSON, or anything else.

    Returns:
        Any of ``model title paper note revision device date`` (texts), ``seed clips seconds
        batch_size`` (numbers), ``weights settings versions release decoded_by`` (objects of
        texts, numbers and truths) and ``failed`` (how many clips, by reason); ``None`` if it is no
        manifest.

    >>> parse_manifest('{"model": "r3d_18", "seed": 0, "evil": [], "failed": {"a": "corrupt: x"}}')
    {'model': 'r3d_18', 'seed': 0, 'failed': {'corrupt': 1}}
    >>> parse_manifest("[]")
    """
    if len(text) > MAX_BYTES:
        return None
    try:
        document: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not isinstance(document.get("model"), str):
        return None
    found: dict[str, Any] = {}
    for key in _TEXTS:
        if isinstance(document.get(key), str):
            found[key] = _text(document[key])
    for key in _NUMBERS:
        if _is_number(document.get(key)):
            found[key] = document[key]
    for key in _TABLES:
        if isinstance(document.get(key), dict):
            found[key] = _table(document[key])
    if isinstance(document.get("failed"), dict):
        found["failed"] = _by_reason(document["failed"])
    return found


def read_manifest_beside(path: Path) -> dict[str, Any] | None:
    """Read the manifest beside a file, if there is one that can be read."""
    beside = manifest_path(path)
    try:
        with beside.open("rb") as file:
            return parse_manifest(file.read(MAX_BYTES + 1))
    except OSError:
        return None


def manifest_line(manifest: Mapping[str, Any]) -> str:
    """Say in a line how a file came to be.

    >>> manifest_line({"model": "r3d_18", "weights": {"file": "r.pth", "sha256": "b3b3357e" * 8}})
    'r3d_18, weights r.pth (b3b3357eb3b3)'
    """
    weights = manifest.get("weights", {})
    parts = [str(manifest["model"])]
    if manifest.get("note"):
        parts.append(str(manifest["note"]))
    elif weights.get("file"):
        digest = str(weights.get("sha256") or "")[:12]
        parts.append(f"weights {weights['file']}" + (f" ({digest})" if digest else ""))
    parts += [str(manifest[key]) for key in ("device", "date") if manifest.get(key)]
    failed = manifest.get("failed")
    if failed:
        reasons = ", ".join(f"{reason} {count}" for reason, count in failed.items())
        parts.append(f"{sum(failed.values())} clips failed ({reasons})")
    return ", ".join(parts)


def _by_reason(failed: Mapping[str, Any]) -> dict[str, int]:
    """Count clips by the words before the colon."""
    counts: dict[str, int] = {}
    for words in failed.values():
        reason = _text(words.partition(":")[0])[:40] if isinstance(words, str) else "other"
        if reason not in counts and len(counts) >= _MAX_ENTRIES:
            reason = "other"
        counts[reason] = counts.get(reason, 0) + 1
    return counts


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in list(table.items())[:_MAX_ENTRIES]:
        if isinstance(value, str):
            kept[_text(key)] = _text(value)
        elif value is None or isinstance(value, bool) or _is_number(value):
            kept[_text(key)] = value
        elif isinstance(value, list | dict):
            kept[_text(key)] = _text(json.dumps(value))
    return kept


def _text(text: str) -> str:
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shown if len(shown) <= _MAX_TEXT else shown[: _MAX_TEXT - 1] + "…"


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e15 if isinstance(value, int) else math.isfinite(value)

"""Cards: what people say of a dataset beside its clips (title, authors, licence, …)."""

from __future__ import annotations

MIMETICS_CARD: dict[str, object] = {}

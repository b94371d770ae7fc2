"""Cards of the models that read joints or features of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimecurate.baselines.registry import ModelCard

POSE_CARDS: tuple[ModelCard, ...] = ()

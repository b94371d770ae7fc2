"""Cards of the models that read frames: RGB and optical flow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimecurate.baselines.registry import ModelCard

RGB_CARDS: tuple[ModelCard, ...] = ()

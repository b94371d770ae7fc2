"""A model so small that a whole run takes a second, under the name ``tiny``; and its command line.

As a program it is `mimecurate`, with that model among the others:

    python tests/tiny_baseline.py baseline run tiny --release …
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from torch import nn

from mimecurate.baselines import cards_rgb
from mimecurate.baselines.protocol import Protocol
from mimecurate.baselines.registry import ModelCard

if TYPE_CHECKING:
    from torch import Tensor

PROTOCOL = Protocol(
    frames=8,
    stride=2,
    crop=(24, 24),
    mean=(0.4, 0.4, 0.4),
    std=(0.2, 0.2, 0.2),
    views=3,
    short_side=28,
    crops=3,
)
NAMES = ("archery", "bowling", "clean and jerk", "tai chi", "other")


class Tiny(nn.Module):
    """One convolution, and a mean over space and time."""

    def __init__(self, num_classes: int = 5, channels: int = 3, wait_s: float = 0) -> None:
        """Make the model; each call takes at least ``wait_s``."""
        super().__init__()
        self.conv = nn.Conv3d(channels, 8, 3, stride=2)
        self.fc = nn.Linear(8, num_classes)
        self.wait_s = wait_s

    def forward(self, views: Tensor) -> Tensor:
        """Give logits."""
        time.sleep(self.wait_s)
        logits: Tensor = self.fc(self.conv(views).relu().mean((2, 3, 4)))
        return logits


def class_names(name: str) -> tuple[str, ...]:
    """Name the outputs."""
    return NAMES


def add_tiny(wait_s: float = 0) -> ModelCard:
    """Put the model among those that `baseline list` has."""
    card = ModelCard(
        name="tiny",
        title="Tiny",
        paper="none",
        modality="rgb",
        builder="tiny_baseline:Tiny",
        settings={"wait_s": wait_s},
        classes=len(NAMES),
        parameters=1,
        gflops=0.001,
        protocol=PROTOCOL,
        class_names="tiny_baseline:class_names",
    )
    others = tuple(c for c in cards_rgb.RGB_CARDS if c.name != card.name)
    cards_rgb.RGB_CARDS = (*others, card)
    return card


if __name__ == "__main__":
    import os

    from mimecurate.cli import main

    add_tiny(float(os.environ.get("TINY_WAIT_S", "0")))
    main()

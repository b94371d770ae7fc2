"""How a model wants its frames: what its paper says about clips, crops and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Protocol:
    """The test-time input of a model that reads frames (RGB, or flow as two channels).

    Attributes:
        frames: T, the frames of one clip that the model sees.
        stride: τ, source frames from one sampled frame to the next.
        views: clips spread evenly over the video, or ``None`` for consecutive ones without
            overlap, as many as the video has.
        short: what a clip that ends early is filled with: the video from its start again
            (``"loop"``), or its last frame (``"hold"``).
        fps: frames per second that the model was trained at; frames are picked so that they
            lie nearest to that rate. ``None``: the video's own.
        short_side: pixels of the shorter side after resizing; ``None`` where ``resize`` is given.
        resize: exact (height, width) after resizing, for models that want it so.
        crop: (height, width) of the crop in pixels.
        crops: 1 (centre) or 3 (along the longer side).
        scale: what a pixel value 0..255 is divided by, before ``mean`` and ``std``.
        mean: per channel.
        std: per channel.
        average: what is averaged over views and crops.
    """

    frames: int
    stride: int
    crop: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 255.0
    views: int | None = None
    crops: Literal[1, 3] = 1
    short: Literal["loop", "hold"] = "loop"
    fps: float | None = None
    short_side: int | None = None
    resize: tuple[int, int] | None = None
    average: Literal["softmax", "logits"] = "softmax"

"""How a model wants its input: what its paper says about clips, crops, people and numbers."""

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
        partial: what becomes of the last of consecutive clips, where the video ends within it:
            it is filled like a short video (``"fill"``), or left out (``"drop"``) unless it is
            the only one.
        fps: frames per second that the model was trained at; frames are picked so that they
            pass at that rate. ``None``: the video's own.
        short_side: pixels of the shorter side after resizing; ``None`` where ``resize`` is given.
        resize: exact (height, width) after resizing, for models that want it so.
        antialias: each pixel is made of all that it covers, as in PIL; or of the four nearest
            alone, as in OpenCV and in torchvision's presets for video.
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
    partial: Literal["fill", "drop"] = "fill"
    fps: float | None = None
    short_side: int | None = None
    resize: tuple[int, int] | None = None
    antialias: bool = True
    average: Literal["softmax", "logits"] = "softmax"


@dataclass(frozen=True, slots=True)
class PoseProtocol:
    """The test-time input of a model that reads joints of people, or features of them.

    Attributes:
        frames: T, the frames that the model sees at once.
        layout: order of the joints; empty for models of features.
        dimensions: 2 (x and y in the frame) or 3 (the estimator's own units, left as they are).
        span: x and y are scaled so that the frame reaches from -span/2 to span/2.
        min_score: joints whose score is no higher lie at 0.
        people: one input for each tube; or one for the clip, of the best people of each frame,
            not linked over time (``"best"``).
        persons: M, people of one input; those that are not there are zeros.
        clips: ``"windows"``: as few windows of T consecutive frames as cover the sequence,
            spread evenly; ``"segments"``: a frame, drawn at random, from each of T equal parts,
            ``views`` times; ``"whole"``: the whole sequence at once.
        views: of ``"segments"``.
        short: what a sequence shorter than T is filled with: zeros, or itself from its start.
        fps: frames per second that the model was trained at; frames are picked so that they
            lie nearest to that rate. ``None``: the clip's own.
    """

    frames: int
    layout: str = ""
    dimensions: Literal[2, 3] = 2
    span: float = 1.0
    min_score: float = 0.0
    people: Literal["tubes", "best"] = "tubes"
    persons: int = 1
    clips: Literal["windows", "segments", "whole"] = "windows"
    views: int = 1
    short: Literal["zeros", "loop"] = "zeros"
    fps: float | None = None

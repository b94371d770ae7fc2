"""Draw the people of a clip: a strip of moments with boxes and joints, a colour for each tube."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from mimecurate.baselines.skeleton_graphs import LAYOUTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from mimecurate.baselines.people import People, Tube

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#00a0a0", "#c000c0", "#806000")
_MOMENTS = 6
_PANEL = 240
"""Pixels of a panel's longer side."""


def moments_of(people: People) -> list[int]:
    """Choose the frames that are drawn: six, evenly over the clip."""
    last = max(people.frames - 1, 0)
    moments: list[int] = np.unique(np.linspace(0, last, _MOMENTS).round().astype(int)).tolist()
    return moments


def draw_tubes(
    people: People, tubes: Sequence[Tube], frames: Sequence[NDArray[np.uint8]] = ()
) -> Image.Image:
    """Draw boxes and joints at a few moments, from left to right.

    The first tubes are drawn, one for each of `COLOURS`; a box that was filled in is thin.

    Args:
        people: of the clip.
        tubes: as `mimecurate.baselines.tubes.link_tubes` gives them: best detection first.
        frames: uint8[H, W, 3] of each of `moments_of`; none: the ground is grey.
    """
    width = people.width or max(1, int(people.boxes[:, 2].max(initial=1)))
    height = people.height or max(1, int(people.boxes[:, 3].max(initial=1)))
    scale = _PANEL / max(width, height)
    panel = max(1, round(width * scale)), max(1, round(height * scale))
    moments = moments_of(people)
    picture = Image.new("RGB", ((panel[0] + 4) * len(moments), panel[1] + 14), "white")
    for place, moment in enumerate(moments):
        one = Image.new("RGB", panel, "#f4f4f4")
        if frames:
            one = Image.fromarray(frames[place]).resize(panel, Image.Resampling.BILINEAR)
        draw = ImageDraw.Draw(one)
        for tube, colour in zip(tubes, COLOURS, strict=False):
            at = moment - tube.start
            if 0 <= at < len(tube.boxes):
                _draw_person(draw, tube, at, people.layout, colour, scale)
        picture.paste(one, (place * (panel[0] + 4), 14))
        ImageDraw.Draw(picture).text((place * (panel[0] + 4), 1), f"frame {moment}", fill="black")
    return picture


def _draw_person(
    draw: ImageDraw.ImageDraw, tube: Tube, at: int, layout: str, colour: str, scale: float
) -> None:
    box = (np.clip(tube.boxes[at], -1e5, 1e5) * scale).tolist()
    draw.rectangle(box, outline=colour, width=2 if tube.detection[at] >= 0 else 1)
    if tube.joints.shape[2] != 2:
        return
    points = np.clip(np.nan_to_num(tube.joints[at]), -1e5, 1e5) * scale
    seen = tube.joint_scores[at] > 0
    for a, b in LAYOUTS[layout].bones if layout in LAYOUTS else ():
        if seen[a] and seen[b]:
            draw.line([*points[a].tolist(), *points[b].tolist()], fill=colour)
    for x, y in points[seen].tolist():
        draw.ellipse([x - 1.5, y - 1.5, x + 1.5, y + 1.5], fill=colour)

"""What the figures of the demo do: movements and props of some Mimetics classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.sample_figure import Joints, Point, Pose, beyond

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL.ImageDraw import ImageDraw

DrawObject = Callable[["ImageDraw", Joints, float], None]
"""Draws what belongs in the figure's hands, for a phase in [0, 1)."""


@dataclass(frozen=True, slots=True)
class Action:
    """A movement that comes round again, and what it is done with."""

    period_s: float
    poses: list[tuple[float, Pose]]
    draw_object: DrawObject | None = None
    place: str = "gym"
    """Where it usually happens: a key of `sample_scenes.PLACES`."""


def _archery(draw: ImageDraw, joints: Joints, phase: float) -> None:
    (x, y), unit = joints.far_hand, joints.unit
    is_drawn = phase < 0.72
    grip = joints.near_hand if is_drawn else (x - 0.06 * unit, y)
    bow = x - 0.19 * unit, y - 0.36 * unit, x + 0.01 * unit, y + 0.36 * unit
    draw.arc(bow, -65, 65, fill="#6e4a21", width=_width(unit, 0.016))
    string = [(x - 0.06 * unit, y - 0.3 * unit), grip, (x - 0.06 * unit, y + 0.3 * unit)]
    draw.line(string, fill="#f5f5f5", width=_width(unit, 0.006))
    tail = grip[0] + (0 if is_drawn else (phase - 0.72) * 9 * unit)
    draw.line([(tail, y), (tail + 0.4 * unit, y)], fill="#222222", width=_width(unit, 0.01))


def _bowling(draw: ImageDraw, joints: Joints, phase: float) -> None:
    radius = 0.05 * joints.unit
    at = joints.near_hand
    if phase > 0.66:
        at = (at[0] + (phase - 0.66) * 6 * joints.unit, joints.ground - radius)
    _ball(draw, at, radius, "#1d2a6d")


def _barbell(draw: ImageDraw, joints: Joints, _phase: float) -> None:
    unit = joints.unit
    (x1, y1), (x2, y2) = joints.far_hand, joints.near_hand
    x, y = (x1 + x2) / 2, min((y1 + y2) / 2, joints.ground - 0.13 * unit)
    half = 0.42 * unit
    draw.line([(x - half, y), (x + half, y)], fill="#9aa0a6", width=_width(unit, 0.02))
    for middle in (x - half, x + half):
        plate = middle - 0.025 * unit, y - 0.13 * unit, middle + 0.025 * unit, y + 0.13 * unit
        draw.rounded_rectangle(plate, 0.02 * unit, fill="#1b1b1b")


def _golf_club(draw: ImageDraw, joints: Joints, phase: float) -> None:
    unit = joints.unit
    head = beyond(joints.near_elbow, joints.near_hand, 0.36 * unit)
    draw.line([joints.near_hand, head], fill="#d7d7d7", width=_width(unit, 0.012))
    _ball(draw, head, 0.025 * unit, "#222222")
    struck = max(0.0, phase - 0.5)
    tee = (joints.hip[0] + 0.28 * unit, joints.ground - 0.012 * unit)
    flight = (tee[0] + struck * 6 * unit, tee[1] - struck * 3 * unit)
    _ball(draw, flight, 0.014 * unit, "#ffffff")


def _juggling(draw: ImageDraw, joints: Joints, phase: float) -> None:
    unit = joints.unit
    left, right = joints.near_hand, joints.far_hand
    for number, colour in enumerate(("#d62828", "#f7b801", "#2a9d8f")):
        place = (phase * 2 + number * 2 / 3) % 2
        start, end = (left, right) if place < 1 else (right, left)
        part = place % 1
        x = start[0] + (end[0] - start[0]) * part
        y = start[1] + (end[1] - start[1]) * part - 4 * 0.42 * unit * part * (1 - part)
        _ball(draw, (x, y), 0.033 * unit, colour)


def _racket(draw: ImageDraw, joints: Joints, phase: float) -> None:
    unit = joints.unit
    throat = beyond(joints.near_elbow, joints.near_hand, 0.1 * unit)
    middle = beyond(joints.near_elbow, joints.near_hand, 0.19 * unit)
    draw.line([joints.near_hand, throat], fill="#333333", width=_width(unit, 0.02))
    radius = 0.085 * unit
    box = (middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius)
    draw.ellipse(box, outline="#c1121f", width=_width(unit, 0.016))
    away = abs(phase - 0.55) * 3.2 * unit
    ball = (joints.hip[0] + 0.35 * unit + away, joints.hip[1] - 0.12 * unit - 0.12 * away)
    _ball(draw, ball, 0.022 * unit, "#d8f24b")


def _rope(draw: ImageDraw, joints: Joints, phase: float) -> None:
    (x1, y1), (x2, y2) = joints.near_hand, joints.far_hand
    swing = math.cos(2 * math.pi * phase)
    depth = (0.52 if swing > 0 else 0.75) * swing * joints.unit
    points = []
    for step in range(17):
        part = step / 16
        bulge = 1 - (2 * part - 1) ** 4
        x = x1 + (x2 - x1) * part + (2 * part - 1) * (1 - part) * part * 0.3 * joints.unit
        points.append((x, y1 + (y2 - y1) * part + depth * bulge))
    draw.line(points, fill="#f4f1de", width=_width(joints.unit, 0.012), joint="curve")


def _ball(draw: ImageDraw, at: Point, radius: float, colour: str) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _width(unit: float, part: float) -> int:
    return max(1, round(unit * part))


ACTIONS: Mapping[str, Action] = {
    "archery": Action(
        3.0,
        [
            (0.0, Pose(0, 0, 0, 90, 92, 60, 90, 14, 6, -14, -18)),
            (0.35, Pose(0, 0, -3, 90, 90, -75, 88, 14, 6, -14, -18)),
            (0.7, Pose(0, 0, -3, 90, 90, -82, 90, 14, 6, -14, -18)),
            (0.76, Pose(0, 0, -4, 92, 90, -100, -140, 14, 6, -14, -18)),
        ],
        _archery,
        "meadow",
    ),
    "bowling": Action(
        2.4,
        [
            (0.0, Pose(-0.25, 0, 8, 30, 70, 20, 90, 10, 0, -10, -20)),
            (0.25, Pose(-0.12, 0, 15, 40, 60, 10, 30, -14, -34, 18, 4)),
            (0.45, Pose(0.0, 0, 30, 60, 60, -95, -90, 25, -6, -20, -50)),
            (0.66, Pose(0.15, 0, 42, -40, -50, 40, 50, 62, -8, -38, -70)),
            (0.85, Pose(0.15, 0, 30, -50, -60, 130, 150, 55, -8, -36, -66)),
        ],
        _bowling,
        "lane",
    ),
    "clean and jerk": Action(
        4.0,
        [
            (0.0, Pose(0, 0, 52, 4, 2, -2, 0, 88, -42, 76, -48)),
            (0.2, Pose(0, 0, 50, 4, 2, -2, 0, 84, -40, 72, -46)),
            (0.36, Pose(0, 0.01, 2, 40, 150, 30, 145, 12, -6, -8, -14)),
            (0.5, Pose(0, 0, 0, 38, 152, 28, 148, 12, -4, -8, -14)),
            (0.6, Pose(0, 0, 0, 172, 176, 178, 180, 46, -14, -34, -58)),
            (0.7, Pose(0, 0, 0, 172, 178, 182, 180, 10, 0, -10, -12)),
            (0.88, Pose(0, 0, 0, 172, 178, 182, 180, 10, 0, -10, -12)),
        ],
        _barbell,
        "gym",
    ),
    "golf driving": Action(
        2.6,
        [
            (0.0, Pose(0, 0, 24, 36, 30, 34, 30, 22, -8, -4, -26)),
            (0.15, Pose(0, 0, 24, 36, 30, 34, 30, 22, -8, -4, -26)),
            (0.4, Pose(-0.03, 0, 18, -120, -160, -125, -165, 26, -8, 0, -28)),
            (0.52, Pose(0.01, 0, 24, 42, 40, 40, 40, 18, -4, -8, -28)),
            (0.68, Pose(0.04, 0, 4, 150, 215, 145, 210, 10, 2, -22, -50)),
            (0.85, Pose(0.04, 0, 4, 150, 215, 145, 210, 10, 2, -22, -50)),
        ],
        _golf_club,
        "meadow",
    ),
    "juggling balls": Action(
        1.2,
        [
            (0.0, Pose(0, 0, 0, 22, 110, -22, -75, 9, 4, -9, -4)),
            (0.25, Pose(0, 0, 2, 20, 80, -24, -105, 10, 2, -10, -2)),
            (0.5, Pose(0, 0, 0, 22, 75, -22, -110, 9, 4, -9, -4)),
            (0.75, Pose(0, 0, 2, 24, 105, -20, -80, 10, 2, -10, -2)),
        ],
        _juggling,
        "street",
    ),
    "playing tennis": Action(
        1.8,
        [
            (0.0, Pose(-0.05, 0, 12, 50, 90, 20, 70, 24, -10, -14, -44)),
            (0.3, Pose(-0.08, 0, -4, 70, 80, -95, -110, 20, 0, -24, -44)),
            (0.55, Pose(0.04, 0, 10, -20, 60, 62, 82, 32, -6, -30, -46)),
            (0.72, Pose(0.08, 0, 12, -60, -30, 140, 225, 36, -8, -34, -60)),
        ],
        _racket,
        "court",
    ),
    "punching person (boxing)": Action(
        1.4,
        [
            (0.0, Pose(0, 0, 10, 30, 145, 20, 140, 26, -8, -22, -40)),
            (0.2, Pose(0.04, 0, 16, 88, 92, 10, 138, 32, -6, -26, -46)),
            (0.4, Pose(0, 0, 10, 30, 145, 20, 140, 26, -8, -22, -40)),
            (0.6, Pose(0.06, 0, 22, 20, 145, 90, 90, 36, -6, -32, -56)),
            (0.8, Pose(0, 0.02, 8, 30, 150, 20, 145, 22, -12, -22, -44)),
        ],
        None,
        "gym",
    ),
    "skipping rope": Action(
        0.8,
        [
            (0.0, Pose(0, 0.09, 2, 28, 70, -28, -70, 8, 0, -8, 0)),
            (0.5, Pose(0, 0, 4, 32, 66, -32, -66, 20, -14, -20, 14)),
        ],
        _rope,
        "street",
    ),
}
"""The actions that `make_scene` knows, by their Kinetics class."""

"""Little films of a drawn person doing something, for the demo.

They look like what the tool is for: a person, with or without the object and the place that
belong to an action; a mime artist has neither. They are drawings and measure nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import av
import numpy as np
from PIL import Image, ImageDraw

from mimecurate.curation.sample_actions import ACTIONS
from mimecurate.curation.sample_figure import Body, Joints, Point, joints_of, pose_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SMOOTHING = 2  # drawn so many times larger, then averaged

PEOPLE: tuple[Body, ...] = (
    Body(),
    Body(height=0.84, skin="#8d5524", hair="#17120f", shirt="#f2c14e", trousers="#5b3758"),
    Body(height=0.72, girth=0.07, skin="#f1c9a5", hair="#c68b3e", shirt="#3d7ea6"),
    Body(height=0.78, skin="#c68642", hair="#2b1b12", shirt="#4f772d", trousers="#bfae99"),
    Body(height=0.66, trunk=0.27, head=0.08, hair="#7a3e1d", shirt="#e07a9b", trousers="#3b3b58"),
)
"""People of different build and dress."""


@dataclass(frozen=True, slots=True)
class Place:
    """A backdrop: bands from the top, and lines over them."""

    bands: tuple[tuple[float, str], ...]
    """Where each begins, as a part of the height, and its colour."""
    lines: tuple[tuple[float, float, float, float], ...] = ()
    """From x, y to x, y, as parts of width and height."""
    line_colour: str = "#ffffff"


PLACES: Mapping[str, Place] = {
    "stage": Place(
        ((0, "#7b2d3b"), (0.74, "#3b2a25"), (0.78, "#a47551")),
        tuple((x / 12, 0, x / 12, 0.74) for x in range(1, 12)),
        "#5f1f2c",
    ),
    "court": Place(
        ((0, "#9fc5e8"), (0.45, "#4f7942"), (0.58, "#b5651d")),
        ((0, 0.68, 1, 0.68), (0.8, 0.58, 1, 0.92), (0, 0.93, 1, 0.93)),
    ),
    "gym": Place(
        ((0, "#d9cfc1"), (0.3, "#c4b7a6"), (0.74, "#8a6d4b")),
        ((0.12, 0, 0.12, 0.74), (0.5, 0, 0.5, 0.74), (0.88, 0, 0.88, 0.74)),
        "#b0a18e",
    ),
    "lane": Place(
        ((0, "#2d2a45"), (0.5, "#59446b"), (0.72, "#d9a760")),
        ((0, 0.78, 1, 0.76), (0, 0.9, 1, 0.86), (0, 0.99, 1, 0.94)),
        "#8a5a2b",
    ),
    "meadow": Place(
        ((0, "#a8d0f0"), (0.52, "#7fb069"), (0.62, "#5f9a4a")),
        ((0, 0.53, 0.35, 0.47), (0.35, 0.47, 0.7, 0.52), (0.7, 0.52, 1, 0.48)),
        "#5b8c5a",
    ),
    "street": Place(
        ((0, "#cfd8dc"), (0.2, "#b08968"), (0.66, "#9e9e9e"), (0.86, "#5f6368")),
        ((0.1, 0.28, 0.3, 0.28), (0.4, 0.28, 0.6, 0.28), (0.7, 0.28, 0.9, 0.28)),
        "#6b4f3a",
    ),
}
"""Where things happen; ``stage`` is where a mime artist plays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSpec:
    """What a film should show."""

    action: str
    """A key of `ACTIONS`."""
    seconds: float = 6
    person: int = 0
    """Which of `PEOPLE`."""
    is_mime: bool = False
    with_object: bool = True
    with_scene: bool = True
    width: int = 320
    height: int = 240
    fps: int = 25
    gop: int = 50


def make_scene(path: Path, spec: SceneSpec) -> Path:
    """Draw a film and store it as H.264 without sound.

    Args:
        path: the file to write; a container that takes H.264.
        spec: what it should show.

    Returns:
        ``path``.

    Raises:
        ValueError: an action that is not in `ACTIONS`.
    """
    if spec.action not in ACTIONS:
        raise ValueError(f"action {spec.action!r} must be one of: {', '.join(ACTIONS)}")
    backdrop = _backdrop(spec)
    with av.open(path, "w", options={"movflags": "+faststart"}) as output:
        options = {"preset": "veryfast", "crf": "24", "x264-params": "mbtree=0"}
        video = output.add_stream("libx264", rate=spec.fps, options=options)
        video.width, video.height, video.pix_fmt = spec.width, spec.height, "yuv420p"
        video.codec_context.gop_size = spec.gop
        video.codec_context.thread_count = 1
        for number in range(round(spec.seconds * spec.fps)):
            picture = _draw(backdrop, spec, number / spec.fps)
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


def _backdrop(spec: SceneSpec) -> Image.Image:
    width, height = spec.width * _SMOOTHING, spec.height * _SMOOTHING
    place = PLACES[ACTIONS[spec.action].place if spec.with_scene else "stage"]
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for top, colour in place.bands:
        draw.rectangle((0, round(top * height), width, height), fill=colour)
    for x1, y1, x2, y2 in place.lines:
        ends = [(x1 * width, y1 * height), (x2 * width, y2 * height)]
        draw.line(ends, fill=place.line_colour, width=max(2, height // 90))
    return picture


def _draw(backdrop: Image.Image, spec: SceneSpec, time_s: float) -> Image.Image:
    """Draw the picture at a time; the person drifts slowly, so that no two rounds are the same."""
    action = ACTIONS[spec.action]
    body = PEOPLE[spec.person % len(PEOPLE)]
    picture = backdrop.copy()
    draw = ImageDraw.Draw(picture)
    phase = time_s / action.period_s
    at = (
        backdrop.width * (0.36 + 0.2 * time_s / max(spec.seconds, 1)),
        backdrop.height * 0.94,
    )
    joints = joints_of(pose_at(action.poses, phase), body, at, backdrop.height)
    _draw_person(draw, joints, body, is_mime=spec.is_mime)
    if spec.with_object and action.draw_object:
        action.draw_object(draw, joints, phase % 1)
    return picture.reduce(_SMOOTHING)


def _draw_person(draw: ImageDraw.ImageDraw, joints: Joints, body: Body, *, is_mime: bool) -> None:
    skin, hair, shirt = (
        ("#f7f7f7", "#111111", "#f0f0f0") if is_mime else (body.skin, body.hair, body.shirt)
    )
    trousers = "#1c1c1c" if is_mime else body.trousers
    unit, girth = joints.unit, body.girth
    shade = _darker(shirt), _darker(trousers), _darker(skin)
    shadow = 0.16 * unit
    x, y = joints.hip[0], joints.ground
    draw.ellipse((x - shadow, y - shadow / 6, x + shadow, y + shadow / 6), fill="#3a3a3a")
    _limb(draw, [joints.hip, joints.far_knee, joints.far_foot], shade[1], girth * unit)
    _limb(draw, [joints.neck, joints.far_elbow, joints.far_hand], shade[0], girth * 0.75 * unit)
    _ball(draw, joints.far_hand, girth * 0.45 * unit, shade[2])
    _limb(draw, [joints.hip, joints.near_knee, joints.near_foot], trousers, girth * unit)
    for foot in (joints.far_foot, joints.near_foot):
        toe = (foot[0] + 0.05 * unit, foot[1])
        _limb(draw, [foot, toe], "#222222", girth * 0.7 * unit)
    _limb(draw, [joints.neck, joints.hip], shirt, girth * 2.1 * unit)
    if is_mime:
        _stripe(draw, joints, girth * unit)
    _limb(draw, [joints.neck, joints.near_elbow, joints.near_hand], shirt, girth * 0.75 * unit)
    _ball(draw, joints.near_hand, girth * 0.5 * unit, skin)
    (x, y), radius = joints.head, body.head * unit
    _ball(draw, (x - 0.12 * radius, y - 0.18 * radius), radius, hair)
    _ball(draw, (x + 0.1 * radius, y + 0.08 * radius), radius * 0.92, skin)
    _ball(draw, (x + 0.5 * radius, y), radius * 0.11, "#222222")


def _stripe(draw: ImageDraw.ImageDraw, joints: Joints, half_width: float) -> None:
    (x1, y1), (x2, y2) = joints.neck, joints.hip
    for step in range(1, 7):
        x, y = x1 + (x2 - x1) * step / 7, y1 + (y2 - y1) * step / 7
        line = [(x - half_width, y), (x + half_width, y)]
        draw.line(line, fill="#222222", width=max(2, round(half_width * 0.2)))


def _limb(draw: ImageDraw.ImageDraw, points: list[Point], colour: str, width: float) -> None:
    draw.line(points, fill=colour, width=max(1, round(width)))
    for point in points:
        _ball(draw, point, width / 2, colour)


def _ball(draw: ImageDraw.ImageDraw, at: Point, radius: float, colour: str) -> None:
    x, y = at
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)


def _darker(colour: str) -> str:
    return "#" + "".join(f"{int(colour[i : i + 2], 16) * 3 // 4:02x}" for i in (1, 3, 5))

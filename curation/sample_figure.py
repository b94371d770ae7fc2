"""A jointed figure that moves: poses by key frames, and where its joints come to lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

Point = tuple[float, float]


class Pose(NamedTuple):
    """How a figure holds itself, seen from its right side or from the front.

    Angles are in degrees and absolute: 0 points down, 90 forward (right), 180 up, -90 back.
    """

    forward: float = 0
    """Steps to the right, in body heights."""
    lift: float = 0
    """How far the lower foot is off the ground, in body heights."""
    lean: float = 0
    """Of the trunk, forward from upright."""
    far_arm: float = 10
    far_forearm: float = 20
    near_arm: float = -10
    near_forearm: float = 10
    far_thigh: float = 8
    far_shin: float = 2
    near_thigh: float = -6
    near_shin: float = -10


@dataclass(frozen=True, slots=True)
class Body:
    """Proportions in body heights, and colours as ``#rrggbb``."""

    height: float = 0.8
    """Of the picture's height."""
    girth: float = 0.055
    arm: float = 0.165
    forearm: float = 0.15
    trunk: float = 0.29
    thigh: float = 0.235
    shin: float = 0.235
    head: float = 0.065
    skin: str = "#e0ac85"
    hair: str = "#4a2f1d"
    shirt: str = "#b03a2e"
    trousers: str = "#2e4057"
    is_mime: bool = False
    """A white face, gloves and a striped shirt."""


@dataclass(frozen=True, slots=True)
class Joints:
    """Where the joints lie, in pixels from the top left."""

    head: Point
    neck: Point
    hip: Point
    far_elbow: Point
    far_hand: Point
    near_elbow: Point
    near_hand: Point
    far_knee: Point
    far_foot: Point
    near_knee: Point
    near_foot: Point
    unit: float
    """A body height in pixels."""
    ground: float
    """Height of the ground in pixels."""


def pose_at(key_poses: list[tuple[float, Pose]], phase: float) -> Pose:
    """Ease from each key pose to the next, and from the last to the first.

    Args:
        key_poses: phase in [0, 1) and pose, by rising phase, the first at 0.
        phase: within the movement; its whole part does not matter.
    """
    phase %= 1
    around = [*key_poses, (1.0, key_poses[0][1])]
    for (begin, earlier), (end, later) in pairwise(around):
        if begin <= phase < end:
            part = (1 - math.cos(math.pi * (phase - begin) / (end - begin))) / 2
            return Pose(*(a + (b - a) * part for a, b in zip(earlier, later, strict=True)))
    return key_poses[0][1]


def joints_of(pose: Pose, body: Body, at: Point, picture_height: float) -> Joints:
    """Stand a body in a pose on the ground.

    Args:
        pose: how it holds itself.
        body: its proportions.
        at: the point of the ground below the hip, in pixels, before the pose's own step.
        picture_height: in pixels.
    """
    unit = body.height * picture_height
    legs = [
        _chain((0, 0), (pose.far_thigh, body.thigh), (pose.far_shin, body.shin)),
        _chain((0, 0), (pose.near_thigh, body.thigh), (pose.near_shin, body.shin)),
    ]
    reach = max(foot[1] for _, foot in legs)
    hip = (pose.forward, -reach - pose.lift)
    neck, head = _chain(hip, (180 - pose.lean, body.trunk), (180 - pose.lean, 1.6 * body.head))
    shoulder = neck[0], neck[1] + 0.03
    far = _chain(shoulder, (pose.far_arm, body.arm), (pose.far_forearm, body.forearm))
    near = _chain(shoulder, (pose.near_arm, body.arm), (pose.near_forearm, body.forearm))
    points = [
        head,
        neck,
        hip,
        *far,
        *near,
        *((x + hip[0], y + hip[1]) for leg in legs for x, y in leg),
    ]
    placed = [(at[0] + x * unit, at[1] + y * unit) for x, y in points]
    return Joints(*placed, unit=unit, ground=at[1])  # type: ignore[arg-type, misc]


def beyond(start: Point, end: Point, length: float) -> Point:
    """Go on from ``end`` by ``length``, in the direction in which ``start`` lies behind it."""
    along = math.atan2(end[1] - start[1], end[0] - start[0])
    return end[0] + length * math.cos(along), end[1] + length * math.sin(along)


def _chain(start: Point, *bones: tuple[float, float]) -> list[Point]:
    """Follow bones, each an angle in degrees and a length, and list where they end."""
    points = []
    x, y = start
    for degrees, length in bones:
        x += length * math.sin(math.radians(degrees))
        y += length * math.cos(math.radians(degrees))
        points.append((x, y))
    return points

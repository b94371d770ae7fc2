"""People who do one of five motions: joints, boxes and features of clips that nobody filmed.

Each subject has a body, a tempo and a favoured hand of their own, each clip a phase, a direction
and a size of the motion. Joints are noisy, some are not seen, some frames lack the person, and in
some clips somebody else stands by. What tells the motions apart is how joints move.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.baselines.people import People
from mimecurate.baselines.skeleton_graphs import find_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

MOTIONS = ("clapping", "jumping jacks", "marching", "squatting", "waving")
FPS = 10.0
WIDTH, HEIGHT = 320, 240
NAMES = find_layout("coco17").joints
_AT = {name: place for place, name in enumerate(NAMES)}
_FACE = {"nose": (0, 0.08), "eye": (0.03, 0.07), "ear": (0.07, 0.0)}


@dataclass(frozen=True, slots=True)
class Subject:
    """A body and its habits; lengths in metres."""

    number: int

    def habits(self) -> np.random.Generator:
        """Give the numbers that are the subject's own."""
        return np.random.default_rng([7, self.number])


def skeletons(
    subjects: range,
    *,
    clips: int = 4,
    frames: int = 40,
    dimensions: int = 2,
    features: int = 0,
    seed: int = 0,
) -> tuple[dict[str, People], dict[str, str]]:
    """Make clips of every motion by every subject.

    Args:
        subjects: their numbers; other numbers are other people.
        clips: of each motion by each subject.
        frames: of each clip.
        dimensions: 2 (pixels) or 3 (metres from the hips).
        features: F, numbers that a detector would tell of a person in a frame; 0: none.
        seed: of everything but the subjects.

    Returns:
        The people of each clip, and its motion, by clip id.
    """
    people: dict[str, People] = {}
    motions: dict[str, str] = {}
    for number in subjects:
        for label, motion in enumerate(MOTIONS):
            for take in range(clips):
                clip_id = f"subject{number:02d}-{motion.replace(' ', '-')}-{take}"
                rng = np.random.default_rng([seed, number, label, take])
                people[clip_id] = _clip(
                    clip_id, Subject(number), motion, rng, frames, dimensions, features
                )
                motions[clip_id] = motion
    return people, motions


def _clip(
    clip_id: str,
    subject: Subject,
    motion: str,
    rng: np.random.Generator,
    frames: int,
    dimensions: int,
    features: int,
) -> People:
    bodies = [moving_body(subject, motion, rng, frames)]
    if rng.random() < 0.05:
        bystander = Subject(1000 + int(rng.integers(1000)))
        bodies.append(moving_body(bystander, "", rng, frames))
    rows: list[tuple[int, Floats, Floats]] = []
    for place, body in enumerate(bodies):
        pixels = _filmed(body, rng, beside=place)
        for frame in range(frames):
            if rng.random() > 0.03:
                rows.append((frame, pixels[frame], body[frame]))
    rows.sort(key=lambda row: row[0])
    flat = np.stack([row[1] for row in rows]) + rng.normal(0, 1.5, (len(rows), len(NAMES), 2))
    solid = np.stack([row[2] for row in rows]) + rng.normal(0, 0.02, (len(rows), len(NAMES), 3))
    seen = rng.random((len(rows), len(NAMES))) > 0.03
    boxes = np.concatenate([flat.min(1) - 5, flat.max(1) + 5], axis=1)
    return People(
        clip_id,
        frames,
        WIDTH,
        HEIGHT,
        FPS,
        "coco17",
        np.array([row[0] for row in rows], np.int32),
        boxes.astype(np.float32),
        rng.uniform(0.7, 1.0, len(rows)).astype(np.float32),
        (flat if dimensions == 2 else solid).astype(np.float32),
        _joint_scores(seen, rng),
        _features(solid, features, rng) if features else None,
    )


def _joint_scores(seen: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Be surer of some joints in a clip than of others, and not equally sure in every frame."""
    usual = rng.uniform(0.6, 0.95, seen.shape[1])
    scores = np.clip(usual + rng.normal(0, 0.05, seen.shape), 0.05, 1.0)
    return np.asarray(seen * scores, np.float32)


def moving_body(subject: Subject, motion: str, rng: np.random.Generator, frames: int) -> Floats:
    """Move a body: float64[frames, 17, 3] in metres, y downwards, from the hips at rest."""
    habits = subject.habits()
    size, arm, leg = habits.uniform((0.85, 0.9, 0.9), (1.15, 1.1, 1.1))
    tempo_hz, left_handed = habits.uniform(0.6, 1.3), habits.random() < 0.5
    time = np.arange(frames) / FPS
    turn = 2 * np.pi * (tempo_hz * rng.uniform(0.9, 1.1) * time + rng.random())
    swing: Floats = (1 - np.cos(turn)) / 2 * rng.uniform(0.75, 1.1)
    raised: dict[int, Floats] = {side: np.full(frames, 0.1) for side in (-1, 1)}
    bent: dict[int, Floats] = {side: np.full(frames, 0.1) for side in (-1, 1)}
    forward: Floats = np.zeros(frames)
    spread: Floats = np.full(frames, 0.03)
    sunk: Floats = np.zeros(frames)
    lifted: dict[int, Floats] = {side: np.zeros(frames) for side in (-1, 1)}
    if motion == "waving":
        hand = -1 if left_handed else 1
        raised[hand], bent[hand] = np.full(frames, 1.9), 0.4 + 0.9 * swing
    elif motion == "clapping":
        forward = np.ones(frames)
        for side in (-1, 1):
            raised[side], bent[side] = 0.5 - 0.2 * swing, -0.2 - 0.9 * swing
    elif motion == "jumping jacks":
        spread = 0.03 + 0.45 * swing
        for side in (-1, 1):
            raised[side] = bent[side] = 0.2 + 2.4 * swing
    elif motion == "marching":
        for side in (-1, 1):
            lifted[side] = np.maximum(0, side * np.sin(turn)) * 0.9
    elif motion == "squatting":
        sunk, forward = 0.35 * swing, swing
        for side in (-1, 1):
            raised[side] = bent[side] = 0.1 + 1.0 * swing
    body = np.zeros((frames, len(NAMES), 3))
    for side, word in ((-1, "left"), (1, "right")):
        _arm(body, word, side, arm, raised[side], bent[side], forward)
        _leg(body, word, side, leg, spread, lifted[side], sunk)
    _head(body)
    upper = [place for name, place in _AT.items() if not name.endswith(("knee", "ankle"))]
    body[:, upper, 1] += sunk[:, None]
    yaw = rng.uniform(-0.6, 0.6)
    turned = body.copy()
    turned[..., 0] = np.cos(yaw) * body[..., 0] + np.sin(yaw) * body[..., 2]
    turned[..., 2] = np.cos(yaw) * body[..., 2] - np.sin(yaw) * body[..., 0]
    return np.asarray(turned * size)


def _arm(
    body: Floats, word: str, side: int, length: float, raised: Floats, bent: Floats, forward: Floats
) -> None:
    """Hang an arm: angles in radians from straight down, outwards or (``forward``) to the front."""
    shoulder = np.array([0.2 * side, -0.5, 0.0])
    elbow = shoulder + _towards(raised, side, forward) * 0.28 * length
    body[:, _AT[f"{word}_shoulder"]] = shoulder
    body[:, _AT[f"{word}_elbow"]] = elbow
    body[:, _AT[f"{word}_wrist"]] = elbow + _towards(raised + bent, side, forward * 0.8) * (
        0.26 * length
    )


def _towards(angle: Floats, side: int, forward: Floats) -> Floats:
    down, out = np.cos(angle), np.sin(angle)
    ahead = forward * 0.9
    rest = np.sqrt(1 - ahead**2)
    return np.stack([side * out * np.maximum(rest, 0.5), down * rest, ahead], axis=1)


def _leg(
    body: Floats,
    word: str,
    side: int,
    length: float,
    spread: Floats,
    lifted: Floats,
    sunk: Floats,
) -> None:
    hip = np.array([0.12 * side, 0.0, 0.0])
    out, zeros = side * np.sin(spread), np.zeros_like(spread)
    high = np.cos(spread) * np.cos(lifted)
    knee = hip + 0.45 * length * np.stack([out, high, np.sin(lifted) + 0.8 * sunk], axis=1)
    ankle = knee + 0.45 * length * np.stack([out, np.cos(spread), zeros - 0.6 * sunk], axis=1)
    body[:, _AT[f"{word}_hip"]] = hip
    body[:, _AT[f"{word}_knee"]] = knee
    body[:, _AT[f"{word}_ankle"]] = ankle


def _head(body: Floats) -> None:
    for name, place in _AT.items():
        side, _, part = name.rpartition("_")
        if part in _FACE:
            beside, ahead = _FACE[part]
            sign = {"left": -1, "right": 1}.get(side, 0)
            body[:, place] = (sign * beside, -0.77, ahead)


def _filmed(body: Floats, rng: np.random.Generator, *, beside: int) -> Floats:
    """See a body with a camera: float64[frames, 17, 2] in pixels."""
    scale = HEIGHT / 2.6 * rng.uniform(0.8, 1.05) / (1 + 0.2 * body[..., 2:])
    middle = (WIDTH * (0.3 + 0.5 * beside) + rng.uniform(-10, 10), HEIGHT * 0.48)
    return np.asarray(body[..., :2] * scale + middle)


def _features(joints: Floats, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Tell of each pose what a detector's last layers might: numbers that no one can name."""
    mixing = np.random.default_rng(11)
    first = mixing.normal(0, 1.5, (joints.shape[1] * 3, width))
    second = mixing.normal(0, width**-0.5, (width, width))
    middle = joints.mean(axis=1, keepdims=True)
    hidden = np.tanh((joints - middle).reshape(len(joints), -1) @ first)
    mixed = np.maximum(hidden @ second, 0) + rng.normal(0, 0.05, hidden.shape)
    return np.asarray(mixed, np.float32)

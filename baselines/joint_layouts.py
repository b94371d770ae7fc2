"""Convert joints from one layout to another, as far as both have them.

Names are those of `mimecurate.baselines.skeleton_graphs`. ``openpose25`` (OpenPose's BODY_25) and
``mediapipe33`` are known here for what estimators give.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.baselines.skeleton_graphs import find_layout
from mimecurate.errors import SettingError

if TYPE_CHECKING:
    from mimecurate.baselines.people import People

_WITHOUT_GRAPH = {
    "openpose25": (
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "middle_hip right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye "
        "left_eye right_ear left_ear left_big_toe left_small_toe left_heel right_big_toe "
        "right_small_toe right_heel"
    ),
    "mediapipe33": (
        "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer "
        "left_ear right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow "
        "right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index "
        "left_thumb right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle "
        "left_heel right_heel left_foot_index right_foot_index"
    ),
}
"""Layouts that estimators give and no model reads."""

_MEANS = {
    "neck": ("left_shoulder", "right_shoulder"),
    "head": ("nose",),
}
"""Joints that a layout lacks, and those whose mean stands in for them."""


def names_of(layout: str) -> tuple[str, ...]:
    """Name the joints of a layout in order.

    >>> names_of("openpose25")[8]
    'middle_hip'

    Raises:
        SettingError: there is no such layout.
    """
    if layout in _WITHOUT_GRAPH:
        return tuple(_WITHOUT_GRAPH[layout].split())
    return find_layout(layout).joints


def convert_layout(people: People, layout: str) -> People:
    """Give the people with joints in another order.

    A neck that isn't there is the middle of the shoulders, and LCR-Net's head the nose; such a
    joint has the lower score of those that it is made of, and isn't seen unless all are.

    Args:
        people: of one clip.
        layout: wanted: ``coco17`` or ``openpose25`` to ``openpose18``, any of them to
            ``lcrnet13``, or whatever else has the joints.

    Raises:
        SettingError: there is no such layout, or it has a joint that can't be had.
    """
    have = names_of(people.layout)
    if layout == people.layout:
        return people
    sources = []
    for joint in names_of(layout):
        wanted = (joint,) if joint in have else _MEANS.get(joint, (joint,))
        if not set(wanted) <= set(have):
            raise SettingError(f"{people.layout} can't be made {layout}: it has no {joint}")
        sources.append([have.index(name) for name in wanted])
    scores = np.stack([people.joint_scores[:, at].min(axis=1) for at in sources], axis=1)
    places = np.where((people.joint_scores > 0)[:, :, None], people.joints, 0)
    joints = np.stack([places[:, at].mean(axis=1) for at in sources], axis=1)
    return replace(
        people,
        layout=layout,
        joints=np.where((scores > 0)[:, :, None], joints, 0).astype(np.float32),
        joint_scores=scores.astype(np.float32),
    )

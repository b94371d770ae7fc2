from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.mediapipe_poses import people_of_results
from mimecurate.baselines.people_checks import people_problems

if TYPE_CHECKING:
    from typing import Literal


def result(people: int, visibility: float | None = 0.5) -> Any:
    marks = [
        SimpleNamespace(x=j / 64, y=j / 128, z=-j / 256, visibility=visibility) for j in range(33)
    ]
    return SimpleNamespace(pose_landmarks=[marks] * people, pose_world_landmarks=[marks] * people)


def made(dimensions: Literal[2, 3], *results: Any) -> Any:
    numbers = range(0, 2 * len(results), 2)
    people = people_of_results("a", numbers, results, (640, 360), 9, 25.0, dimensions=dimensions)
    assert people_problems(people) == []
    return people


def test_joints_in_2d_are_pixels() -> None:
    people = made(2, result(2), result(0), result(1))
    assert people.frame.tolist() == [0, 0, 4]
    assert people.joints[0, 32].tolist() == [320, 90]
    assert people.boxes[0].tolist() == [0, 0, 320, 90]
    assert people.scores.tolist() == [0.5] * 3


def test_joints_in_3d_are_metres_and_boxes_stay_pixels() -> None:
    people = made(3, result(1, visibility=None))
    assert people.joints[0, 32].tolist() == [0.5, 0.25, -0.125]
    assert people.boxes[0].tolist() == [0, 0, 320, 90]
    assert (people.joint_scores == 1).all()


def test_nobody() -> None:
    people = made(3, result(0))
    assert people.joints.shape == (0, 33, 3)
    assert people.boxes.dtype == np.float32

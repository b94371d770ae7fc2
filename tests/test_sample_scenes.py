from __future__ import annotations

import csv
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import av
import imagehash
import numpy as np
import pytest
from PIL.Image import Image, fromarray

from mimecurate.curation.sample_actions import ACTIONS
from mimecurate.curation.sample_figure import Body, Pose, beyond, joints_of, pose_at
from mimecurate.curation.sample_scenes import PEOPLE, PLACES, SceneSpec, make_scene

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [(0.0, Pose(lean=0)), (0.5, Pose(lean=40)), (0.75, Pose(lean=20))]


def pictures(path: Path) -> list[Image]:
    with av.open(path) as container:
        return [fromarray(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]


def difference(first: Image, second: Image) -> float:
    return float(np.abs(np.asarray(first, float) - np.asarray(second, float)).mean())


@pytest.mark.parametrize(
    ("phase", "lean"), [(0, 0), (0.25, 20), (0.5, 40), (0.75, 20), (0.875, 10), (1, 0), (3.5, 40)]
)
def test_poses_are_eased_into_each_other(phase: float, lean: float) -> None:
    assert pose_at(KEYS, phase).lean == pytest.approx(lean)


def test_a_figure_stands_on_the_ground_unless_it_jumps() -> None:
    body = Body(height=0.5)
    for pose in (Pose(), Pose(near_thigh=80, near_shin=-40), Pose(lean=50, far_thigh=-30)):
        joints = joints_of(pose, body, (100, 200), 240)
        assert max(joints.far_foot[1], joints.near_foot[1]) == pytest.approx(200)
    jumping = joints_of(Pose(lift=0.1), body, (100, 200), 240)
    assert max(jumping.far_foot[1], jumping.near_foot[1]) == pytest.approx(200 - 0.1 * 120)


def test_bones_keep_their_length() -> None:
    body, unit = Body(height=0.5), 120
    for action in ACTIONS.values():
        for phase in (0.1, 0.4, 0.9):
            joints = joints_of(pose_at(action.poses, phase), body, (0, 0), 240)
            arm = np.subtract(joints.near_elbow, joints.near_hand)
            assert np.hypot(*arm) == pytest.approx(body.forearm * unit)
            leg = np.subtract(joints.hip, joints.far_knee)
            assert np.hypot(*leg) == pytest.approx(body.thigh * unit)


def test_beyond_goes_straight_on() -> None:
    assert beyond((0, 0), (3, 4), 5) == pytest.approx((6, 8))


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_moves_and_has_a_place(tmp_path: Path, action: str) -> None:
    assert ACTIONS[action].place in PLACES
    spec = SceneSpec(action=action, seconds=2, width=160, height=120)
    frames = pictures(make_scene(tmp_path / "a.mp4", spec))
    assert len(frames) == 50
    assert frames[0].size == (160, 120)
    changes = [difference(one, other) for one, other in pairwise(frames[::5])]
    assert min(changes) > 0.3


def test_actions_are_mimetics_classes(shared: Path) -> None:
    with (shared / "mimetics-v1.0/mimetics_v1.0.csv").open(newline="") as file:
        classes = {row["label"] for row in csv.DictReader(file)}
    assert set(ACTIONS) <= classes


def test_object_place_person_and_mime_show(tmp_path: Path) -> None:
    def first_picture(**changes: object) -> Image:
        spec = SceneSpec(action="playing tennis", seconds=0.2, **changes)  # type: ignore[arg-type]
        return pictures(make_scene(tmp_path / "a.mp4", spec))[0]

    plain = first_picture()
    assert difference(plain, first_picture()) == 0
    assert difference(plain, first_picture(with_object=False)) > 0.2
    assert difference(plain, first_picture(with_scene=False)) > 10
    assert difference(plain, first_picture(is_mime=True)) > 0.5
    for person in range(1, len(PEOPLE)):
        assert difference(plain, first_picture(person=person)) > 0.5


def test_scenes_are_no_near_duplicates_of_each_other(tmp_path: Path) -> None:
    hashes = []
    for person, action in enumerate(ACTIONS):
        spec = SceneSpec(action=action, seconds=1, person=person, with_scene=person % 2 == 0)
        hashes.append(imagehash.phash(pictures(make_scene(tmp_path / "a.mp4", spec))[12]))
    assert min(one - other for one, other in combinations(hashes, 2)) > 6


def test_an_unknown_action_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'flying' must be one of: archery, bowling"):
        make_scene(tmp_path / "a.mp4", SceneSpec(action="flying"))

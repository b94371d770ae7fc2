from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from posing import people

from mimecurate.baselines.joint_layouts import names_of
from mimecurate.baselines.pose_inputs import best_of_frames, normalised, sequences
from mimecurate.baselines.protocol import PoseProtocol
from mimecurate.errors import ClipError, MimecurateError, Reason, SettingError

if TYPE_CHECKING:
    from mimecurate.baselines.people import People

OPENPOSE = PoseProtocol(frames=300, layout="openpose18", persons=2)
COCO = PoseProtocol(frames=100, layout="coco17", span=2.0, min_score=0.01)
LCRNET_3D = PoseProtocol(frames=300, layout="lcrnet13", dimensions=3)
FEATURES = PoseProtocol(frames=32)
NAN = float("nan")


def with_joint(found: People, at: tuple[Any, ...], value: Any, score: float = 1.0) -> People:
    joints, scores = found.joints.copy(), found.joint_scores.copy()
    joints[at], scores[at[:2]] = value, score
    return replace(found, joints=joints, joint_scores=scores)


def test_the_frame_reaches_from_minus_a_half_to_a_half() -> None:
    corners = np.array([[[0, 0], [1000, 500], [500, 250], [1100, -50]]], np.float32)
    scores = np.array([[1, 0.5, 0.25, 0.125]], np.float32)
    made = normalised(corners, scores, people((0, 1)), OPENPOSE, 3)[0].T
    assert made[0] == pytest.approx([-0.5, 0.5, 0, 0.6])
    assert made[1] == pytest.approx([-0.5, 0.5, 0, -0.6])
    assert made[2] == pytest.approx(scores[0])
    wide = normalised(corners, scores, people((0, 1)), COCO, 3)[0].T
    assert wide[0] == pytest.approx([-1, 1, 0, 1.2], abs=1e-6)


def test_joints_that_were_not_seen_lie_at_zero_and_keep_their_score() -> None:
    joints = np.full((1, 3, 2), 900, np.float32)
    scores = np.array([[0, 0.01, 0.02]], np.float32)
    made = normalised(joints, scores, people((0, 1)), COCO, 3)[0]
    assert made[:2, :2].tolist() == [[0, 0], [0, 0]]
    assert made[:, 2] == pytest.approx(scores[0])
    assert made[2, 0] == pytest.approx(0.8)
    half = normalised(joints, scores, people((0, 1)), OPENPOSE, 3)[0]
    assert half[:, 0] == pytest.approx([0, 0.4, 0.4])


def test_three_dimensions_stay_as_the_estimator_gives_them() -> None:
    found = people((0, 3), layout="lcrnet13", dimensions=3)
    (sequence,) = sequences(found, LCRNET_3D, 3)
    assert sequence.shape == (3, 3, 13, 1)
    assert np.array_equal(sequence[:, :, :, 0], found.joints.transpose(2, 0, 1))
    (with_scores,) = sequences(found, LCRNET_3D, 4)
    assert np.array_equal(with_scores[3, :, :, 0], found.joint_scores)


def test_each_tube_is_a_sequence_that_starts_with_it() -> None:
    found = people((0, 5), (3, 12))
    made = sequences(found, OPENPOSE, 3)
    assert sorted(sequence.shape for sequence in made) == [(3, 5, 18, 2), (3, 9, 18, 2)]
    assert not any(sequence[..., 1].any() for sequence in made)
    assert all(sequence[..., 0].any(axis=(0, 2)).all() for sequence in made)
    longer = max(made, key=lambda sequence: sequence.shape[1])
    row = int(np.flatnonzero(found.boxes[:, 0] == 50)[0])
    assert longer[0, 0, :, 0] == pytest.approx(found.joints[row, :, 0] / 1000 - 0.5, abs=1e-6)


def test_features_are_stacked_over_time() -> None:
    found = people((0, 4), features=6)
    (sequence,) = sequences(found, FEATURES, 6)
    assert found.features is not None
    assert np.array_equal(sequence, found.features.T)


def test_nobody_makes_no_sequence() -> None:
    assert sequences(people(), OPENPOSE, 3) == []
    assert sequences(people(frames=90), replace(OPENPOSE, people="best"), 3) == []


def test_the_best_two_of_the_first_five_of_a_frame() -> None:
    """As ST-GCN's feeder: the sixth is never looked at, and slots may change owners."""
    found = people(*[(0, 2)] * 6)
    scores = np.repeat(np.array([[0.2, 0.9, 0.1, 0.8, 0.3, 1.0]], np.float32), 2, axis=0)
    scores[1, 1] = 0.7  # in the second frame the fourth is better
    found = replace(found, joint_scores=np.repeat(scores.ravel()[:, None], 18, axis=1))
    made = best_of_frames(found, OPENPOSE, 3)
    assert made.shape == (3, 2, 18, 2)
    assert made[2, :, 0, :] == pytest.approx(np.array([[0.9, 0.8], [0.8, 0.7]]))
    x = found.joints[:, :, 0].reshape(2, 6, 18) / 1000 - 0.5
    assert made[0, 0] == pytest.approx(x[0][[1, 3]].T, abs=1e-6)
    assert made[0, 1] == pytest.approx(x[1][[3, 1]].T, abs=1e-6)


def test_equally_good_people_stay_in_order() -> None:
    found = people((0, 1), (0, 1), (0, 1))
    found = replace(found, joint_scores=np.full_like(found.joint_scores, 0.5))
    made = best_of_frames(found, OPENPOSE, 3)
    assert pytest.approx(found.joints[:2, :, 0] / 1000 - 0.5, abs=1e-6) == made[0, 0].T


def test_frames_without_people_stay_in_the_time_of_the_clip() -> None:
    found = people((2, 3), (6, 8), frames=20)
    (sequence,) = sequences(found, replace(OPENPOSE, people="best"), 3)
    assert np.flatnonzero(sequence.any(axis=(0, 2, 3))).tolist() == [2, 6, 7]


def test_frames_are_picked_for_the_rate_of_training() -> None:
    found = people((0, 20), fps=60.0)
    (sequence,) = sequences(found, replace(OPENPOSE, fps=30.0), 3)
    assert sequence.shape[1] == 10


def test_the_neck_is_between_the_shoulders() -> None:
    found = people((0, 2), layout="coco17")
    (sequence,) = sequences(found, OPENPOSE, 3)
    coco, openpose = names_of("coco17"), names_of("openpose18")
    shoulders = [coco.index("left_shoulder"), coco.index("right_shoulder")]
    neck = sequence[:, :, openpose.index("neck"), 0]
    assert neck[0] == pytest.approx(found.joints[:, shoulders, 0].mean(axis=1) / 1000 - 0.5)
    assert neck[2] == pytest.approx(found.joint_scores[:, shoulders].min(axis=1))
    ear = sequence[2, :, openpose.index("left_ear"), 0]
    assert ear == pytest.approx(found.joint_scores[:, coco.index("left_ear")])


def test_a_shoulder_out_of_sight_takes_the_neck_with_it() -> None:
    found = with_joint(people((0, 1), layout="coco17"), (0, 5), NAN, score=0)
    (sequence,) = sequences(found, OPENPOSE, 3)
    assert sequence[:, 0, 1, 0].tolist() == [0, 0, 0]
    assert sequence[:, 0, 5, 0].tolist() == [0, 0, 0]
    assert np.isfinite(sequence).all()


@pytest.mark.parametrize("layout", ["mediapipe33", "coco17", "openpose18"])
def test_other_layouts_give_the_thirteen_joints(layout: str) -> None:
    found = people((0, 2), layout=layout, dimensions=3)
    (sequence,) = sequences(found, LCRNET_3D, 3)
    assert sequence.shape == (3, 2, 13, 1)
    knee = names_of(layout).index("left_knee")
    assert sequence[:, 0, 3, 0] == pytest.approx(found.joints[0, knee])


def test_what_a_layout_lacks_is_said() -> None:
    with pytest.raises(MimecurateError, match="lcrnet13 can't be made openpose18: it has no"):
        sequences(people((0, 1), layout="lcrnet13"), OPENPOSE, 3)
    with pytest.raises(SettingError, match="no such layout of joints: 'body25'"):
        sequences(people((0, 1), layout="coco17"), replace(OPENPOSE, layout="body25"), 3)
    unknown = replace(people((0, 1)), layout="smpl24")
    with pytest.raises(SettingError, match="no such layout of joints: 'smpl24'"):
        sequences(unknown, OPENPOSE, 3)


def test_dimensions_and_features_must_be_those_that_the_model_reads() -> None:
    with pytest.raises(MimecurateError, match="joints in 3 dimensions; the model reads 2"):
        sequences(people((0, 1), dimensions=3), OPENPOSE, 3)
    with pytest.raises(MimecurateError, match="people without features"):
        sequences(people((0, 1)), FEATURES, 2048)
    with pytest.raises(MimecurateError, match="1024 features for each person; the model was built"):
        sequences(people((0, 1), features=1024), FEATURES, 2048)


def hostile() -> dict[str, tuple[People, str]]:
    good = people((0, 3), features=2)
    assert good.features is not None
    return {
        "a NaN joint": (with_joint(good, (1, 4, 0), NAN), "row 2: joint has a score"),
        "an infinite joint": (with_joint(good, (2, 0, 1), np.inf), "row 3: joint has a score"),
        "a NaN joint score": (with_joint(good, (0, 0), 1, NAN), "row 1: joint score is not"),
        "a NaN box": (replace(good, boxes=good.boxes * np.float32(NAN)), "box is not finite"),
        "a NaN score": (replace(good, scores=good.scores * np.float32(NAN)), "score is not from"),
        "NaN features": (replace(good, features=good.features * np.float32(NAN)), "features are"),
        "no frames": (replace(good, frames=0), "row 1: frame is not"),
        "a frame beyond the end": (replace(good, frames=2), "row 3: frame is not 0 to 1"),
        "a frame before the start": (replace(good, frame=good.frame - 1), "row 1: frame is not"),
        "frames out of order": (replace(good, frame=good.frame[::-1]), "lower than in the row"),
        "frames without end": (replace(good, frames=2**31 - 1), "frames is 2147483647"),
        "frames of no size": (replace(good, width=0), "the size of its frames is unknown"),
        "a rate of zero": (replace(good, fps=0.0), "fps is 0.0"),
        "a rate that is none": (replace(good, fps=NAN), "fps is nan"),
        "a tiny rate": (replace(good, fps=1e-9), "it must be 1 to 1000"),
        "too few boxes": (replace(good, boxes=good.boxes[:2]), "boxes have shape"),
        "joints without scores": (
            replace(good, joint_scores=good.joint_scores[:, :3]),
            "joint_scores have shape",
        ),
        "another number of joints": (
            replace(good, joints=good.joints[:, :5], joint_scores=good.joint_scores[:, :5]),
            "5 joints; the layout openpose18 has 18",
        ),
    }


@pytest.mark.parametrize("what", hostile())
def test_people_that_cannot_be_are_an_error_of_their_clip(what: str) -> None:
    found, words = hostile()[what]
    with pytest.raises(ClipError, match=words) as caught:
        sequences(found, OPENPOSE, 3)
    assert caught.value.reason is Reason.CORRUPT
    assert "\n" not in str(caught.value)
    assert found.clip_id in str(caught.value)


def test_joints_that_nobody_saw_may_hold_anything() -> None:
    found = with_joint(people((0, 3)), (1, 4), NAN, score=0)
    (sequence,) = sequences(found, OPENPOSE, 3)
    assert np.isfinite(sequence).all()
    assert sequence[:, 1, 4, 0].tolist() == [0, 0, 0]

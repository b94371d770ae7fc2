from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from people_made import made_people

from mimecurate.baselines.joint_layouts import convert_layout, names_of
from mimecurate.baselines.people import People
from mimecurate.baselines.people_checks import people_problems
from mimecurate.baselines.pose_imports import (
    read_kinetics_skeleton,
    read_mmaction2,
    read_openpose,
    read_pose_arrays,
)
from mimecurate.baselines.pose_people import FrameFacts, people_of_array
from mimecurate.errors import ClipError, InvalidInputError, MimecurateError, SettingError

SIZE = FrameFacts(640, 360, 25.0)


def person(count: int, first: float = 10.0) -> list[float]:
    """Joint j at (first + j, 2 (first + j)) with score 0.5; the last is not seen."""
    flat = [v for j in range(count) for v in (first + j, 2 * (first + j), 0.5)]
    flat[-3:] = [0, 0, 0]
    return flat


def openpose_file(folder: Path, name: str, people: list[Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(
        json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": p} for p in people]})
    )


def read(clips: Any) -> dict[str, Any]:
    found = dict(clips)
    for people in found.values():
        if isinstance(people, People):
            assert people_problems(people) == []
    return found


@pytest.mark.parametrize("flat", [False, True])
def test_openpose_folders_and_flat_files(tmp_path: Path, flat: bool) -> None:
    for clip in ("one", "two_x"):
        folder = tmp_path if flat else tmp_path / clip
        openpose_file(folder, f"{clip}_000000000000_keypoints.json", [person(18), person(18, 50)])
        openpose_file(folder, f"{clip}_000000000001_keypoints.json", [])
        openpose_file(folder, f"{clip}_000000000002_keypoints.json", [person(18)])
    clips = read(read_openpose(tmp_path, SIZE))
    assert list(clips) == ["one", "two_x"]
    people = clips["one"]
    assert people.frames == 3
    assert people.frame.tolist() == [0, 0, 2]
    assert (people.layout, people.width, people.fps) == ("openpose18", 640, 25.0)
    assert people.boxes[0].tolist() == [10, 20, 26, 52]  # around those that were seen
    assert people.scores[0] == pytest.approx(0.5 * 17 / 18)


def test_body_25_becomes_the_18_joints_of_the_same_names(tmp_path: Path) -> None:
    openpose_file(tmp_path, "a_000000000000_keypoints.json", [person(25)])
    people = read(read_openpose(tmp_path, SIZE))["a"]
    index = names_of("openpose25").index
    wanted = [10 + index(name) for name in names_of("openpose18")]
    assert people.joints[0, :, 0].tolist() == wanted


def test_openpose_lists_all_that_is_wrong_and_reads_the_other_clips(tmp_path: Path) -> None:
    openpose_file(tmp_path / "bad", "bad_000000000000_keypoints.json", [[1.0] * 7])
    openpose_file(tmp_path / "bad", "bad_000000000001_keypoints.json", [["x"] * 54])
    (tmp_path / "bad" / "bad_000000000002_keypoints.json").write_text("{")
    openpose_file(tmp_path / "good", "good_000000000000_keypoints.json", [person(18)])
    clips = read(read_openpose(tmp_path, SIZE))
    assert isinstance(clips["good"], People)
    words = str(clips["bad"])
    assert "pose_keypoints_2d holds 7 numbers" in words
    assert "something that is no number" in words
    assert "is no JSON" in words


def kinetics_file(path: Path, frames: dict[int, int], score: float = 0.7) -> None:
    skeleton = {"pose": [0.25, 0.5] * 18, "score": [score] * 18}
    data = [{"frame_index": f, "skeleton": [skeleton] * n} for f, n in frames.items()]
    path.write_text(json.dumps({"data": data, "label": "archery", "label_index": 5}))


def test_kinetics_skeleton(tmp_path: Path) -> None:
    kinetics_file(tmp_path / "abc.json", {1: 1, 2: 0, 4: 2})
    kinetics_file(tmp_path / "zero.json", {0: 1, 1: 1})
    kinetics_file(tmp_path / "empty.json", {})
    clips = read(read_kinetics_skeleton(tmp_path))
    people = clips["abc"]
    assert people.frame.tolist() == [0, 3, 3]
    assert people.frames == 4
    assert people.joints[0, 0].tolist() == [85, 128]
    assert clips["zero"].frame.tolist() == [0, 1]
    assert clips["empty"].frames == 0


def test_kinetics_skeleton_refuses_what_makes_no_sense(tmp_path: Path) -> None:
    data = [{"frame_index": -4, "skeleton": []}, {"frame_index": 2, "skeleton": [{"pose": []}]}]
    (tmp_path / "a.json").write_text(json.dumps({"data": data}))
    (tmp_path / "b.json").write_text("[" * 100_000)
    kinetics_file(tmp_path / "c.json", {1: 1}, score=9.0)
    clips = read(read_kinetics_skeleton(tmp_path))
    assert "entry 1: frame_index is -4" in str(clips["a"])
    assert "frame 2: pose and score hold 0 and 0 numbers" in str(clips["a"])
    assert "is no JSON" in str(clips["b"])
    assert "joint scores are none, such as 9" in str(clips["c"])


def annotation(**changes: Any) -> dict[str, Any]:
    keypoint = np.full((2, 3, 17, 2), 40, np.float16)
    score = np.full((2, 3, 17), 0.5, np.float16)
    score[1, 1] = 0  # the second person is not there in frame 1
    made = {
        "frame_dir": "videos/clip_a",
        "label": 3,
        "img_shape": (360, 640),
        "total_frames": 3,
        "keypoint": keypoint,
        "keypoint_score": score,
    }
    return made | changes


def test_mmaction2_pickles(tmp_path: Path) -> None:
    ntu = np.random.default_rng(0).random((1, 4, 25, 3))
    content = {
        "split": {"train": ["clip_a"]},
        "annotations": [
            annotation(),
            {"frame_dir": "S001", "label": 0, "total_frames": 4, "keypoint": ntu},
        ],
    }
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    clips = read(read_mmaction2(tmp_path / "a.pkl"))
    people = clips["clip_a"]
    assert people.frame.tolist() == [0, 0, 1, 2, 2]
    assert (people.layout, people.width, people.height) == ("coco17", 640, 360)
    assert clips["S001"].layout == "ntu25"
    np.testing.assert_array_equal(clips["S001"].joints, ntu[0].astype(np.float32))


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    target = tmp_path / "was-run"

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (target,))

    (tmp_path / "a.pkl").write_bytes(pickle.dumps([annotation(label=Evil())]))
    with pytest.raises(InvalidInputError, match="is a pickle that is not read"):
        list(read_mmaction2(tmp_path / "a.pkl"))
    assert not target.exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keypoint": None}, "has no array keypoint"),
        ({"keypoint": np.zeros((2, 3, 9, 2))}, "no such layout"),
        ({"keypoint": np.zeros((3, 17, 2))}, "axes are MTVC"),
        ({"img_shape": "large"}, "img_shape is large"),
        ({"keypoint_score": np.zeros((2, 3))}, "joint_scores are float64(2, 3)"),
        ({"total_frames": "x"}, "total_frames is x"),
        ({"total_frames": -3}, "total_frames is -3; it must be 1 or more"),
        ({"keypoint_score": "x"}, "keypoint_score is no array"),
        ({"keypoint": np.full((2, 3, 17, 2), np.nan)}, "keypoint holds no finite number"),
        ({"frame_dir": 5}, "frame_dir is '5'; it must be the clip's name"),
        ({"keypoint": np.full((2, 3, 17, 2), 1e30)}, "joint is over 1,000,000 pixels"),
        ({"total_frames": 10**9}, "frames is 1000000000"),
    ],
)
def test_says_which_annotation_is_wrong(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps([annotation(**changes), annotation()]))
    found = list(read_mmaction2(tmp_path / "a.pkl"))
    assert isinstance(found[0][1], ClipError)
    assert words in str(found[0][1])
    assert isinstance(found[1][1], People)


def test_refuses_pickles_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"scores": []}))
    with pytest.raises(InvalidInputError, match="holds no list of annotations"):
        list(read_mmaction2(tmp_path / "a.pkl"))


@settings(deadline=None, max_examples=40)
@given(st.permutations("TMVC"), st.booleans())
def test_axes_may_stand_in_any_order(order: list[str], alone: bool) -> None:
    rng = np.random.default_rng(1)
    joints = rng.uniform(1, 2, (5, 1, 25, 3)).astype(np.float32)  # T M V C
    axes = "".join(a for a in order if not (alone and a == "M"))
    array = joints[:, 0] if alone else joints
    own = "TVC" if alone else "TMVC"
    turned = array.transpose([own.index(a) for a in axes])
    people = people_of_array("a", turned, axes, FrameFacts(0, 0), "ntu25")
    np.testing.assert_array_equal(people.joints, joints[:, 0])
    assert people.frame.tolist() == list(range(5))


def test_pose_arrays_of_files(tmp_path: Path) -> None:
    joints = np.random.default_rng(2).random((4, 2, 33, 3)).astype(np.float32)
    joints[1, 0] = np.nan
    np.savez(tmp_path / "a.npz", joints=joints, axes="TMVC", layout="mediapipe33")
    np.savez(tmp_path / "b.npz", joints=joints)
    np.savez(tmp_path / "c.npz", joints=joints, axes="TMVQ", layout="mediapipe33")
    clips = read(read_pose_arrays(tmp_path, FrameFacts(0, 0)))
    assert clips["a"].frame.tolist() == [0, 0, 1, 2, 2, 3, 3]
    assert clips["a"].joints.shape == (7, 33, 3)
    assert "doesn't say its axes" in str(clips["b"])
    assert "doesn't say its layout" in str(clips["b"])
    assert "axes are 'TMVQ'" in str(clips["c"])


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    for reader in (read_openpose, read_kinetics_skeleton, read_pose_arrays):
        with pytest.raises(MimecurateError, match="holds no"):
            list(reader(tmp_path, SIZE))


def test_the_neck_is_the_middle_of_the_shoulders() -> None:
    people = made_people("a", [1, 1])
    people.joint_scores[1, 5] = 0  # left shoulder
    made = convert_layout(people, "openpose18")
    np.testing.assert_allclose(made.joints[0, 1], people.joints[0, 5:7].mean(axis=0), rtol=1e-6)
    assert made.joint_scores[0, 1] == people.joint_scores[0, 5:7].min()
    assert made.joint_scores[1, 1] == 0
    assert made.joints[1, 1].tolist() == [0, 0]
    have, want = names_of("coco17"), names_of("openpose18")
    for joint in set(have) & set(want):
        before = people.joints[0, have.index(joint)]
        np.testing.assert_array_equal(made.joints[0, want.index(joint)], before)


@pytest.mark.parametrize("layout", ["coco17", "openpose18", "openpose25"])
def test_lcrnets_13_joints_of_the_2d_layouts(layout: str) -> None:
    names = names_of(layout)
    people = made_people("a", [2], layout=layout, joints=len(names))
    made = convert_layout(people, "lcrnet13")
    wanted = ["nose" if name == "head" else name for name in names_of("lcrnet13")]
    np.testing.assert_array_equal(made.joints, people.joints[:, [names.index(n) for n in wanted]])


def test_says_what_a_layout_lacks() -> None:
    people = made_people("a", [1], layout="lcrnet13", joints=13)
    with pytest.raises(SettingError, match="lcrnet13 can't be made coco17: it has no nose"):
        convert_layout(people, "coco17")

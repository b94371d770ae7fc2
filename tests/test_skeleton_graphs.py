from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from testbed import REPOSITORY

from mimecurate.baselines.skeleton_graphs import (
    LAYOUTS,
    Layout,
    Strategy,
    adjacency,
    find_layout,
    hop_distances,
)
from mimecurate.errors import SettingError

TRIANGLE = Layout(("a", "b", "c"), ((1, 0), (2, 1), (2, 0)), centre=0)
CHAIN = Layout(("centre", "elbow", "wrist", "hand"), ((1, 0), (2, 1), (3, 2)), centre=0)


@st.composite
def trees(draw: st.DrawFn) -> Layout:
    """Any skeleton: each joint hangs on one before it."""
    joints = draw(st.integers(1, 12))
    bones = tuple((joint, draw(st.integers(0, joint - 1))) for joint in range(1, joints))
    names = tuple(f"joint{joint}" for joint in range(joints))
    return Layout(names, bones, centre=draw(st.integers(0, joints - 1)))


def neighbours(layout: Layout, max_hop: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.isfinite(hop_distances(layout, max_hop))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_is_one_piece_with_every_joint_named_once(name: str) -> None:
    layout = LAYOUTS[name]
    joints = len(layout.joints)
    assert len(set(layout.joints)) == joints
    assert np.isfinite(hop_distances(layout, joints)).all()
    assert len({frozenset(bone) for bone in layout.bones}) == len(layout.bones)
    assert 0 <= layout.centre < joints


@pytest.mark.parametrize("name", LAYOUTS)
def test_left_and_right_mirror_each_other(name: str) -> None:
    """A bone whose joints change sides is a bone again: no slip in a list of numbers."""
    layout = LAYOUTS[name]
    sides = {"left": "right", "right": "left"}
    names = [
        "_".join(sides.get(word, word) for word in joint.split("_")) for joint in layout.joints
    ]
    mirrored = [layout.joints.index(joint) for joint in names]
    bones = {frozenset(bone) for bone in layout.bones}
    assert {frozenset(mirrored[joint] for joint in bone) for bone in bones} == bones


@given(layout=trees(), max_hop=st.integers(1, 3))
def test_columns_sum_to_one_before_they_are_split(layout: Layout, max_hop: int) -> None:
    whole = adjacency(layout, "uniform", max_hop=max_hop)[0]
    assert np.allclose(whole.sum(axis=0), 1)
    assert np.array_equal(whole > 0, neighbours(layout, max_hop))
    assert np.array_equal(whole > 0, (whole > 0).T)


@given(layout=trees(), max_hop=st.integers(1, 3), strategy=st.sampled_from(["distance", "spatial"]))
def test_subsets_share_out_the_whole(layout: Layout, max_hop: int, strategy: Strategy) -> None:
    subsets = adjacency(layout, strategy, max_hop=max_hop)
    assert len(subsets) == (max_hop + 1 if strategy == "distance" else 2 * max_hop + 1)
    assert np.allclose(subsets.sum(axis=0), adjacency(layout, "uniform", max_hop=max_hop)[0])
    assert (np.count_nonzero(subsets, axis=0) <= 1).all(), "an entry is in two subsets"
    assert np.array_equal(subsets[0], np.diag(np.diag(subsets[0]))), (
        "the first is each joint itself"
    )


def test_beyond_max_hop_both_directions_of_a_bone_are_equally_far() -> None:
    """The authors' code, not the paper: wrist and hand are both infinitely far from the centre."""
    _, same_or_farther, nearer = adjacency(CHAIN, "spatial")
    assert nearer[0, 1] > 0
    assert same_or_farther[0, 1] == 0  # the centre, seen from the elbow
    assert same_or_farther[1, 0] > 0
    assert nearer[1, 0] == 0
    assert nearer[1, 2] > 0, "the elbow is 1 from the centre, the wrist beyond"
    assert same_or_farther[2, 3] > 0
    assert same_or_farther[3, 2] > 0
    assert nearer[2, 3] == nearer[3, 2] == 0


def test_with_enough_hops_distances_are_real() -> None:
    subsets = adjacency(CHAIN, "spatial", max_hop=3)
    assert subsets[2][2, 3] > 0, "one hop, nearer: the wrist, seen from the hand"
    assert subsets[1][3, 2] > 0


def test_hops_take_the_shortest_way() -> None:
    assert hop_distances(TRIANGLE, 2).tolist() == [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    assert hop_distances(CHAIN, 2)[0].tolist() == [0, 1, 2, np.inf]


def test_dilation_leaves_hops_out() -> None:
    whole = adjacency(CHAIN, "uniform", max_hop=2, dilation=2)[0]
    assert whole[0].tolist() == [0.5, 0, 0.5, 0]


def test_directed_bones_are_normalised_by_themselves() -> None:
    itself, inward, outward = adjacency("coco17", "directed")
    assert np.array_equal(itself, np.eye(17))
    assert np.array_equal(inward > 0, (outward > 0).T)
    assert set(np.round(inward.sum(axis=0), 9)) <= {0.0, 1.0}
    assert np.array_equal((inward > 0) | (outward > 0), adjacency("coco17", "neighbours")[0] == 1)


@pytest.mark.parametrize(
    ("name", "joint", "number"),
    [
        ("openpose18", "neck", 1),
        ("openpose18", "left_ear", 17),
        ("coco17", "right_ankle", 16),
        ("lcrnet13", "head", 12),
        ("lcrnet13", "right_ankle", 0),
        ("ntu25", "spine_shoulder", 20),
    ],
)
def test_joints_stand_where_their_estimators_put_them(name: str, joint: str, number: int) -> None:
    assert LAYOUTS[name].joints[number] == joint


def test_unknown_names_are_errors_of_one_line() -> None:
    with pytest.raises(
        SettingError, match="no such layout of joints: 'body25'; there are openpose"
    ):
        find_layout("body25")
    with pytest.raises(SettingError, match="no such strategy: 'random'"):
        adjacency("coco17", "random")  # type: ignore[arg-type]


def test_the_docs_have_the_joints_in_order() -> None:
    text = (REPOSITORY / "docs" / "reference" / "pose-models.md").read_text("utf-8")
    rows = [
        [cell.strip().replace(" ", "_") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| \d+ \|", line)
    ]
    for column, name in enumerate(("openpose18", "coco17", "lcrnet13"), start=1):
        assert tuple(row[column] for row in rows if row[column]) == LAYOUTS[name].joints

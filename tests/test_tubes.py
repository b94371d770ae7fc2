from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tubes_reference import naive_links

from mimecurate.baselines.people import People
from mimecurate.baselines.tubes import link_tubes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.baselines.people import Tube


def people_of(
    detections: Sequence[tuple[int, Sequence[float], float]], features: int | None = 3
) -> People:
    """Make people of (frame, box, score); joints and features are told apart by their numbers."""
    n = len(detections)
    rng = np.random.default_rng(0)
    return People(
        clip_id="abcdefghijk_000001_000011",
        frames=1 + max((d[0] for d in detections), default=0),
        width=320,
        height=240,
        fps=25.0,
        layout="openpose18",
        frame=np.array([d[0] for d in detections], np.int32),
        boxes=np.array([d[1] for d in detections], np.float32).reshape(n, 4),
        scores=np.array([d[2] for d in detections], np.float32),
        joints=rng.uniform(0, 200, (n, 18, 2)).astype(np.float32),
        joint_scores=(rng.random((n, 18)) * (rng.random((n, 18)) > 0.3)).astype(np.float32),
        features=None if features is None else rng.random((n, features), np.float32),
    )


@st.composite
def crowds(draw: st.DrawFn) -> People:
    """Boxes on a coarse grid: many overlaps, many equal ones, frames without anybody."""
    corner = st.integers(0, 6)
    size = st.integers(0, 5)
    found = draw(
        st.lists(
            st.tuples(st.integers(0, 30), corner, corner, size, size, st.integers(0, 8)),
            max_size=40,
        )
    )
    found.sort(key=lambda d: d[0])
    return people_of([(f, (x, y, x + w, y + h), s / 8) for f, x, y, w, h, s in found])


def rows_of(tubes: list[Tube]) -> list[list[int]]:
    return [tube.detection[tube.detection >= 0].tolist() for tube in tubes]


def walking(frames: Sequence[int], step: float = 2.0, score: float = 0.5) -> People:
    return people_of([(f, (f * step, 0, f * step + 50, 100), score) for f in frames])


@settings(deadline=None)
@given(crowds(), st.sampled_from([0.0, 0.3, 0.6]), st.sampled_from([1, 3, 10]))
def test_links_what_the_naive_reference_links(people: People, iou: float, max_gap: int) -> None:
    tubes = link_tubes(people, iou=iou, max_gap=max_gap)
    assert rows_of(tubes) == naive_links(people, iou, max_gap)


@settings(deadline=None)
@given(crowds())
def test_every_detection_is_in_exactly_one_tube(people: People) -> None:
    rows = [row for tube in rows_of(link_tubes(people)) for row in tube]
    assert sorted(rows) == list(range(len(people.frame)))


@settings(deadline=None)
@given(crowds())
def test_tubes_are_contiguous_and_begin_and_end_with_a_detection(people: People) -> None:
    for tube in link_tubes(people):
        kept = np.flatnonzero(tube.detection >= 0)
        assert kept[0] == 0
        assert kept[-1] == len(tube.detection) - 1
        assert (people.frame[tube.detection[kept]] == tube.start + kept).all()
        assert np.diff(kept).max(initial=0) <= 10
        assert len(tube.boxes) == len(tube.joints) == len(tube.scores) == len(tube.detection)


@settings(deadline=None)
@given(crowds())
def test_what_was_detected_stays_and_what_was_not_is_interpolated(people: People) -> None:
    assert people.features is not None
    for tube in link_tubes(people):
        kept = np.flatnonzero(tube.detection >= 0)
        rows = tube.detection[kept]
        assert tube.features is not None
        np.testing.assert_array_equal(tube.joints[kept], people.joints[rows])
        np.testing.assert_array_equal(tube.joint_scores[kept], people.joint_scores[rows])
        np.testing.assert_array_equal(tube.scores[kept], people.scores[rows])
        assert (tube.scores[tube.detection < 0] == 0).all()
        every = np.arange(len(tube.boxes))
        for made, given_ in ((tube.boxes, people.boxes), (tube.features, people.features)):
            wanted = [np.interp(every, kept, column) for column in given_[rows].T]
            np.testing.assert_allclose(made, np.transpose(wanted), rtol=1e-5, atol=1e-4)
        assert tube.score == pytest.approx(float(people.scores[rows].sum()), abs=1e-5)


@settings(deadline=None)
@given(crowds(), st.randoms(use_true_random=False))
def test_order_within_a_frame_does_not_matter_when_scores_differ(
    people: People, random: object
) -> None:
    n = len(people.frame)
    distinct = replace(people, scores=np.linspace(0.1, 1, n, dtype=np.float32))
    shuffled = np.array(random.sample(range(n), n), np.int64)  # type: ignore[attr-defined]
    order = shuffled[np.argsort(people.frame[shuffled], kind="stable")]
    assert people.features is not None
    moved = replace(
        distinct,
        boxes=people.boxes[order],
        scores=distinct.scores[order],
        joints=people.joints[order],
        joint_scores=people.joint_scores[order],
        features=people.features[order],
    )
    there = rows_of(link_tubes(moved))
    assert [order[rows].tolist() for rows in there] == rows_of(link_tubes(distinct))


def test_nine_missing_frames_are_filled_in_and_ten_are_not() -> None:
    assert [len(tube.boxes) for tube in link_tubes(walking([0, 10]))] == [11]
    assert [len(tube.boxes) for tube in link_tubes(walking([0, 11]))] == [1, 1]


def test_an_overlap_of_just_the_threshold_is_not_enough() -> None:
    half = people_of([(0, (0, 0, 10, 10), 0.9), (1, (0, 0, 10, 5), 0.8)])
    assert len(link_tubes(half, iou=0.5)) == 2
    assert len(link_tubes(half, iou=0.499)) == 1


def test_goes_on_from_the_last_detection_not_from_the_interpolated_box() -> None:
    people = people_of(
        [(0, (0, 0, 10, 10), 0.9), (2, (4, 0, 14, 10), 0.8), (3, (8, 0, 18, 10), 0.7)]
    )
    assert rows_of(link_tubes(people)) == [[0, 1, 2]]


def test_the_best_detection_picks_first_and_the_rest_links_across_it() -> None:
    people = people_of(
        [
            (0, (0, 0, 10, 10), 0.5),
            (1, (0, 0, 10, 10), 0.9),
            (1, (3, 0, 13, 10), 0.6),
            (2, (0, 0, 10, 10), 0.4),
            (3, (3, 0, 13, 10), 0.3),
        ]
    )
    # From row 2 the nearest free match lies two frames on: row 3 went with row 1.
    assert rows_of(link_tubes(people)) == [[0, 1, 3, 4], [2]]


def test_a_joint_unseen_at_one_end_is_unseen_in_between() -> None:
    people = walking([0, 2])
    scores = people.joint_scores.copy()
    scores[:, :3] = [[0.5, 0, 0.8], [0.7, 0.9, 0]]
    joints = people.joints.copy()
    joints[0, 1] = joints[1, 2] = np.nan  # an unseen joint may hold anything
    (tube,) = link_tubes(replace(people, joints=joints, joint_scores=scores))
    assert tube.joint_scores[1, :3].tolist() == pytest.approx([0.6, 0, 0])
    np.testing.assert_allclose(tube.joints[1, 0], joints[:, 0].mean(axis=0), rtol=1e-6)
    assert tube.joints[1, 1:3].tolist() == [[0, 0], [0, 0]]


def test_a_clip_without_people_has_no_tube() -> None:
    assert link_tubes(people_of([])) == []


def test_people_without_features_give_tubes_without() -> None:
    people = people_of([(0, (0, 0, 9, 9), 1), (2, (0, 0, 9, 9), 1)], features=None)
    assert [tube.features for tube in link_tubes(people)] == [None]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"iou": 1.0}, "iou is 1.0"), ({"iou": -0.1}, "iou is -0.1"), ({"max_gap": 0}, "max_gap")],
)
def test_refuses_settings_that_link_nothing(wrong: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        link_tubes(walking([0]), **wrong)  # type: ignore[arg-type]


def test_refuses_detections_out_of_order() -> None:
    with pytest.raises(ValueError, match="not in order of frames"):
        link_tubes(walking([1, 0]))

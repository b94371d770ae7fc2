from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.baselines.pose_clips import (
    at_rate,
    filled,
    random_view,
    segment_frames,
    views,
    window_starts,
)
from mimecurate.baselines.protocol import PoseProtocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOWS = PoseProtocol(frames=4, layout="coco17")
SEGMENTS = PoseProtocol(frames=4, layout="coco17", clips="segments", views=3)
WHOLE = PoseProtocol(frames=4, clips="whole", short="loop")


def counted(length: int) -> NDArray[np.float32]:
    """A sequence of one number whose frames are 1, 2, 3, …"""
    return np.arange(1, length + 1, dtype=np.float32)[None]


def shown(view: NDArray[np.float32]) -> list[int]:
    return [int(frame) for frame in view.ravel()]


@given(length=st.integers(1, 1000), frames=st.integers(1, 400))
def test_windows_cover_every_frame_and_are_as_few_as_can_be(length: int, frames: int) -> None:
    starts = window_starts(length, frames)
    covered = {at for start in starts for at in range(start, start + frames)}
    assert set(range(length)) <= covered
    assert len(starts) == max(1, -(-length // frames))
    assert length <= frames or starts[-1] + frames == length
    assert starts == sorted(set(starts))


def test_short_sequences_are_filled_as_the_paper_does() -> None:
    assert shown(filled(counted(3), WINDOWS)) == [1, 2, 3, 0]
    assert shown(filled(counted(3), WHOLE)) == [1, 2, 3, 1]
    assert shown(filled(counted(1), WHOLE)) == [1, 1, 1, 1]
    assert filled(np.ones((3, 1, 17, 2), np.float32), WINDOWS).shape == (3, 4, 17, 2)


@pytest.mark.parametrize("length", [1, 3, 4, 5, 9])
def test_every_length_has_a_view_of_the_right_size(length: int) -> None:
    sequence = counted(length)
    assert {view.shape for view in views(sequence, WINDOWS)} == {(1, 4)}
    assert [view.shape for view in views(sequence, SEGMENTS)] == [(1, 4)] * 3
    assert [view.shape for view in views(sequence, WHOLE)] == [(1, max(4, length))]


def test_windows_in_which_nobody_is_are_left_out() -> None:
    sequence = counted(12)
    sequence[0, 4:8] = 0
    assert [shown(view) for view in views(sequence, WINDOWS)] == [[1, 2, 3, 4], [9, 10, 11, 12]]
    assert len(views(np.zeros((1, 12), np.float32), WINDOWS)) == 1


def test_segments_are_drawn_as_pyskl_draws_them() -> None:
    """Numbers from its UniformSampleFrames(clip_len=8, num_clips=2), seed 255."""
    drawn = {length: [at.tolist() for at in segment_frames(length, 8, 2)] for length in (5, 12, 40)}
    assert drawn == {
        5: [[0, 1, 2, 3, 4, 0, 1, 2], [2, 3, 4, 0, 1, 2, 3, 4]],
        12: [[0, 1, 3, 5, 7, 8, 9, 10], [1, 2, 4, 6, 7, 9, 10, 11]],
        40: [[1, 5, 11, 17, 24, 26, 30, 39], [1, 9, 14, 16, 20, 27, 30, 39]],
    }


@given(length=st.integers(1, 300), frames=st.integers(1, 60), count=st.integers(1, 4))
def test_segments_go_forward_through_the_clip(length: int, frames: int, count: int) -> None:
    for at in segment_frames(length, frames, count):
        assert len(at) == frames
        assert at.min() >= 0
        assert at.max() < length
        if length >= frames:
            assert (np.diff(at) > 0).all()
        else:
            assert set(np.diff(at)) <= {1, 1 - length, 0}


@given(length=st.integers(1, 20), seed=st.integers(0, 10), frames=st.integers(0, 9))
def test_training_sees_consecutive_frames(length: int, seed: int, frames: int) -> None:
    view = random_view(counted(length), WHOLE, np.random.default_rng(seed), frames)
    wanted = frames or 4
    numbers = shown(view)
    assert len(numbers) == max(wanted, length if length <= wanted else wanted)
    assert all(b == a % length + 1 for a, b in itertools.pairwise(numbers))


def test_training_sees_every_stretch_and_the_same_for_a_seed() -> None:
    rng = np.random.default_rng(0)
    first = {shown(random_view(counted(6), WINDOWS, rng))[0] for _ in range(50)}
    assert first == {1, 2, 3}
    segments = [shown(random_view(counted(20), SEGMENTS, rng)) for _ in range(50)]
    assert len({tuple(view) for view in segments}) > 10
    assert all((np.array(view) - 1) // 5 == pytest.approx([0, 1, 2, 3]) for view in segments)
    again = [shown(random_view(counted(99), SEGMENTS, np.random.default_rng(7))) for _ in range(2)]
    assert again[0] == again[1]


def test_segments_in_training_loop_a_short_clip() -> None:
    view = shown(random_view(counted(3), SEGMENTS, np.random.default_rng(0)))
    assert all(b == a % 3 + 1 for a, b in itertools.pairwise(view))


@pytest.mark.parametrize(
    ("fps", "expected"),
    [
        (None, [1, 2, 3, 4, 5, 6]),
        (30.0, [1, 2, 3, 4, 5, 6]),
        (60.0, [1, 3, 5]),
        (15.0, [1, 1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 6]),
        (1000.0, [1]),
    ],
)
def test_frames_nearest_to_the_rate_are_picked(fps: float | None, expected: list[int]) -> None:
    assert shown(at_rate(counted(6), fps, 30.0)) == expected

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import rankdata

from mimecurate.evaluation.ranks import rank_true_class


@st.composite
def score_files(draw: st.DrawFn) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Scores of few distinct values, so that ties are common, and a true column per row."""
    rows, classes = draw(st.integers(1, 12)), draw(st.integers(1, 9))
    values = st.sampled_from([-np.inf, -1.0, 0.0, 0.25, 0.5, 1e-30, 3.0])
    scores = draw(hnp.arrays(np.float32, (rows, classes), elements=values))
    columns = draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1)))
    return scores, columns


@given(score_files())
def test_rank_is_the_number_of_scores_at_least_the_true_one(file: Any) -> None:
    scores, columns = file
    found = rank_true_class(scores, columns)
    for row, column in enumerate(columns):
        true = scores[row, column]
        assert found.rank[row] == sum(score >= true for score in scores[row])
        assert found.tied[row] == (sum(score == true for score in scores[row]) > 1)
    assert not found.invalid.any()


@given(score_files())
def test_rank_is_scipys_worst_rank_among_ties(file: Any) -> None:
    scores, columns = file
    worst = rankdata(-scores.astype(float), method="max", axis=1)
    assert np.array_equal(
        rank_true_class(scores, columns).rank, worst[range(len(columns)), columns]
    )


@given(score_files(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_columns_means_nothing(file: Any, random: Any) -> None:
    scores, columns = file
    rows, classes = list(range(len(scores))), list(range(scores.shape[1]))
    random.shuffle(rows)
    random.shuffle(classes)
    place = np.argsort(classes)
    shuffled = rank_true_class(scores[rows][:, classes], place[columns[rows]])
    straight = rank_true_class(scores, columns)
    assert np.array_equal(shuffled.rank, straight.rank[rows])
    assert np.array_equal(shuffled.tied, straight.tied[rows])


@given(score_files())
def test_memory_order_and_precision_mean_nothing(file: Any) -> None:
    scores, columns = file
    straight = rank_true_class(scores, columns)
    for same in (np.asfortranarray(scores), scores.astype(np.float64), scores[:, ::-1][:, ::-1]):
        assert np.array_equal(rank_true_class(same, columns).rank, straight.rank)


@given(score_files(), st.floats(0.5, 4), st.floats(-8, 8))
def test_a_rising_function_of_the_scores_changes_no_rank(file: Any, by: float, to: float) -> None:
    scores, columns = file
    steps = np.searchsorted(np.unique(scores), scores)  # any strictly rising function will do
    changed = rank_true_class(steps * by + to, columns)
    assert np.array_equal(changed.rank, rank_true_class(scores, columns).rank)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("column", [0, 2])
def test_nan_and_infinity_make_a_row_invalid(bad: float, column: int) -> None:
    scores = np.array([[0.1, 0.2, 0.3], [0.1, 0.2, 0.3]])
    scores[1, column] = bad
    found = rank_true_class(scores, np.array([0, 0]))
    assert found.invalid.tolist() == [False, True]
    assert found.rank[0] == 3


def test_minus_infinity_is_the_logarithm_of_zero() -> None:
    found = rank_true_class(np.array([[-np.inf, 0.0, -np.inf]]), np.array([0]))
    assert (found.rank[0], found.tied[0], found.invalid[0]) == (3, True, False)


def test_a_constant_file_is_right_nowhere() -> None:
    found = rank_true_class(np.zeros((5, 400), np.float32), np.arange(5))
    assert found.rank.tolist() == [400] * 5
    assert found.tied.all()


@pytest.mark.parametrize("classes", [65_535, 65_536, 65_537])
def test_more_classes_than_sixteen_bits_count(classes: int) -> None:
    scores = np.zeros((2, classes), np.float32)
    assert rank_true_class(scores, np.array([0, 1])).rank.tolist() == [classes] * 2


def test_blocks_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    scores, columns = rng.standard_normal((50, 7)), rng.integers(0, 7, 50)
    whole = rank_true_class(scores, columns)
    monkeypatch.setattr("mimecurate.evaluation.ranks._BLOCK_BYTES", 3 * 7 * 8)
    parts = rank_true_class(scores, columns)
    assert np.array_equal(whole.rank, parts.rank)
    assert np.array_equal(whole.tied, parts.tied)


@pytest.mark.parametrize(
    ("scores", "columns"),
    [
        (np.zeros(3), np.zeros(3, int)),
        (np.zeros((3, 2)), np.zeros(2, int)),
        (np.zeros((3, 2)), np.array([0, 1, 2])),
        (np.zeros((3, 2)), np.array([0, 1, -1])),
    ],
)
def test_shapes_that_do_not_fit_are_misuse(scores: Any, columns: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        rank_true_class(scores, columns)

"""The metrics against scikit-learn's, and against what is easily confused with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    label_ranking_average_precision_score,
    recall_score,
    top_k_accuracy_score,
)

from mimecurate.evaluation.metrics import Hits, score, score_classes
from mimecurate.evaluation.ranks import rank_true_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mimecurate.evaluation.metrics import Scores


def make(seed: int, *, clips: int = 120, ways: int = 40, present: int = 12) -> tuple[Any, Any]:
    """Make scores without ties, over more classes than have clips."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, present, clips)
    labels[:present] = np.arange(present)
    scores = rng.standard_normal((clips, ways))
    scores[np.arange(clips), labels] += 1.5
    return scores, labels


def ours(scores: NDArray[Any], labels: NDArray[Any]) -> Scores:
    hits = Hits.from_ranks(rank_true_class(scores, labels).rank)
    return score(hits, labels, np.arange(len(labels)), np.ones(len(labels), bool))


def inverse_class_sizes(labels: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(1 / np.bincount(labels)[labels])


@pytest.mark.parametrize("seed", range(5))
def test_top_k_is_scikit_learns(seed: int) -> None:
    scores, labels = make(seed)
    found = ours(scores, labels)
    assert found.top1 is not None
    assert found.top1 == pytest.approx(100 * accuracy_score(labels, scores.argmax(1)))
    ways = np.arange(scores.shape[1])
    assert found.top5 == pytest.approx(100 * top_k_accuracy_score(labels, scores, k=5, labels=ways))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_mean_class_top1_is_balanced_accuracy(seed: int) -> None:
    scores, labels = make(seed)
    expected = balanced_accuracy_score(labels, scores.argmax(1))
    assert ours(scores, labels).mean_class_top1 == pytest.approx(100 * expected)


@pytest.mark.parametrize("seed", range(5))
def test_mean_class_top5_is_weighted_top_k(seed: int) -> None:
    scores, labels = make(seed)
    expected = top_k_accuracy_score(
        labels, scores, k=5, labels=np.arange(scores.shape[1]),
        sample_weight=inverse_class_sizes(labels),
    )  # fmt: skip
    assert ours(scores, labels).mean_class_top5 == pytest.approx(100 * expected)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_mean_ap_is_weighted_label_ranking_average_precision(seed: int, ties: bool) -> None:
    scores, labels = make(seed)
    if ties:
        scores = np.round(scores)
    one_hot = np.eye(scores.shape[1])[labels]
    expected = label_ranking_average_precision_score(
        one_hot, scores, sample_weight=inverse_class_sizes(labels)
    )
    assert ours(scores, labels).mean_ap == pytest.approx(100 * expected)


def test_classes_that_are_only_predicted_are_not_averaged_over() -> None:
    scores, labels = make(0)
    predicted = scores.argmax(1)
    everything = np.union1d(labels, predicted)
    macro = recall_score(labels, predicted, labels=everything, average="macro", zero_division=0.0)
    found = ours(scores, labels)
    assert found.classes == 12
    assert found.mean_class_top1 == pytest.approx(100 * macro * len(everything) / 12)
    assert found.mean_class_top1 is not None
    assert found.mean_class_top1 > 110 * macro


def test_mean_ap_is_no_area_under_a_precision_recall_curve() -> None:
    scores, labels = make(0)
    one_hot = np.eye(scores.shape[1])[labels][:, :12]
    area = 100 * average_precision_score(one_hot, scores[:, :12], average="macro")
    found = ours(scores, labels).mean_ap
    assert found is not None
    assert abs(found - area) > 5


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30), st.booleans()), min_size=1))
def test_averages_follow_their_definition(clips: list[tuple[int, int, bool]]) -> None:
    labels = np.array([label for label, _, _ in clips])
    ranks = np.array([rank for _, rank, _ in clips])
    inside = np.array([chosen for _, _, chosen in clips])
    found = score(Hits.from_ranks(ranks), labels, np.arange(len(clips)), inside)
    kept = [(label, rank) for label, rank, chosen in clips if chosen]
    assert found.clips == len(kept)
    if not kept:
        assert found.top1 is found.mean_ap is None
        return
    by_class = {c: [r for label, r in kept if label == c] for c, _ in kept}
    assert found.classes == len(by_class)
    assert found.top5 == pytest.approx(100 * np.mean([0 < r <= 5 for _, r in kept]))
    class_means = [np.mean([r == 1 for r in ranks]) for ranks in by_class.values()]
    assert found.mean_class_top1 == pytest.approx(100 * np.mean(class_means))
    precisions = [np.mean([1 / r if r else 0 for r in ranks]) for ranks in by_class.values()]
    assert found.mean_ap == pytest.approx(100 * np.mean(precisions))


def test_videos_are_counted_once() -> None:
    hits = Hits.from_ranks(np.array([1, 1, 2]))
    found = score(hits, np.zeros(3, int), np.array([4, 4, 9]), np.array([True, True, True]))
    assert (found.clips, found.videos) == (3, 2)


def test_each_class_by_itself() -> None:
    hits = Hits.from_ranks(np.array([1, 2, 0, 10]))
    found = score_classes(
        hits, np.array([0, 0, 2, 2]), np.array([True, True, True, True]), ("a", "b", "c")
    )
    assert list(found) == ["a", "c"]
    assert (found["a"].clips, found["a"].top1, found["a"].top5, found["a"].ap) == (2, 50, 100, 75)
    assert (found["c"].top1, found["c"].top5, found["c"].ap) == (0, 0, 5)

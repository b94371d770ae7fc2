"""Agreement coefficients, against published examples, libraries and a naive second writing."""

from __future__ import annotations

from itertools import combinations
from math import isclose, isnan, nan

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater

from mimecurate.annotation.agreement_statistics import (
    Ratings,
    agreement_statistic,
    agrees,
    answer_pairs,
    interval_overlap,
    measure,
    overlap_statistic,
    ratings_of_table,
)

Answer = int | None

# Krippendorff (2011), the reliability data matrix of its four observers and twelve units; Gwet uses
# the same data (`raw4raters` of irrCAC, "four raters, twelve subjects").
FOUR_OBSERVERS: list[list[Answer]] = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
# Fleiss (1971), Table 1: how many of six psychiatrists gave each of 30 patients which of five
# diagnoses.
PSYCHIATRISTS = """
00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031
00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006
"""


def ratings_of(observers: list[list[Answer]], num_values: int) -> Ratings:
    """Make ratings of what each observer said of each unit, from 0; None: nothing."""
    given = [
        (clip, annotator, value)
        for clip, values in enumerate(zip(*observers, strict=True))
        for annotator, value in enumerate(values)
        if value is not None
    ]
    clips, annotators, values = np.array(given, np.int64).reshape(-1, 3).T
    return Ratings(clips, annotators, values, num_values)


def _from_one(observers: list[list[Answer]]) -> list[list[Answer]]:
    return [[None if value is None else value - 1 for value in row] for row in observers]


def test_krippendorffs_example_of_four_observers() -> None:
    percent, kappa, alpha, ac1 = measure(ratings_of(_from_one(FOUR_OBSERVERS), 5))
    assert round(alpha, 3) == 0.743
    assert [round(x, 5) for x in (percent / 100, kappa, ac1)] == [0.81818, 0.76117, 0.77544]


@pytest.mark.parametrize(
    ("first", "second", "alpha"),
    [
        pytest.param("0100000010", "1110010000", 0.095, id="A-binary"),
        pytest.param("aabbdcccedda", "babbbcccEddd".lower(), 0.692, id="B-nominal"),
    ],
)
def test_krippendorffs_examples_of_two_observers(first: str, second: str, alpha: float) -> None:
    number = {value: i for i, value in enumerate(sorted({*first, *second}))}
    observers: list[list[Answer]] = [[number[v] for v in word] for word in (first, second)]
    assert round(measure(ratings_of(observers, len(number)))[2], 3) == alpha


def test_gwets_example_of_two_abstractors() -> None:
    """Gwet (2014), as `cont3x3abstractors` in his R package irrCAC, whose vignette prints these."""
    table = ratings_of_table([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
    percent, kappa, alpha, ac1 = measure(table)
    assert percent == pytest.approx(89)
    assert [round(x, 7) for x in (kappa, alpha, ac1)] == [0.7964094, 0.7972585, 0.8493305]


def test_cohens_example() -> None:
    """Cohen (1960), Table 2: 200 judgements, agreement .70, by chance .41, kappa .492."""
    percent, kappa, _, _ = measure(ratings_of_table([[88, 14, 18], [10, 40, 10], [2, 6, 12]]))
    assert (round(percent), round(kappa, 3)) == (70, 0.492)


def test_fleiss_example() -> None:
    rows = [[int(digit) for digit in row] for row in PSYCHIATRISTS.split()]
    assert np.sum(rows, axis=0).tolist() == [26, 26, 30, 55, 43]
    values = [[value for value, n in enumerate(row) for _ in range(n)] for row in rows]
    observers: list[list[Answer]] = [list(column) for column in zip(*values, strict=True)]
    percent, kappa, _, _ = measure(ratings_of(observers, 5))
    assert (round(percent / 100, 3), round(kappa, 3)) == (0.556, 0.430)


def test_kappas_paradox() -> None:
    """Almost all say yes: kappa is below zero at 94% agreement, AC1 is not."""
    percent, kappa, alpha, ac1 = measure(ratings_of_table([[118, 5], [2, 0]]))
    assert percent == pytest.approx(94.4)
    assert kappa < 0
    assert alpha < 0
    assert ac1 == pytest.approx(0.94, abs=0.005)


observers_strategy = st.tuples(st.integers(2, 4), st.integers(1, 12), st.integers(2, 4)).flatmap(
    lambda size: st.tuples(
        st.lists(
            st.lists(
                st.one_of(st.none(), st.integers(0, size[2] - 1)),
                min_size=size[1],
                max_size=size[1],
            ),
            min_size=size[0],
            max_size=size[0],
        ),
        st.just(size[2]),
    )
)


@given(observers_strategy)
def test_coefficients_equal_the_naive_ones(case: tuple[list[list[Answer]], int]) -> None:
    observers, num_values = case
    expected = _naive(observers, num_values)
    for mine, naive in zip(measure(ratings_of(observers, num_values)), expected, strict=True):
        assert (isnan(mine) and isnan(naive)) or isclose(mine, naive, abs_tol=1e-9), case


@given(observers_strategy, st.randoms(use_true_random=False))
def test_neither_order_nor_names_matter(
    case: tuple[list[list[Answer]], int], random: object
) -> None:
    observers, num_values = case
    renamed = list(range(num_values))
    random.shuffle(renamed)  # type: ignore[attr-defined]
    other = [[None if v is None else renamed[v] for v in row] for row in observers]
    random.shuffle(other)  # type: ignore[attr-defined]
    mine = measure(ratings_of(observers, num_values))
    assert mine == pytest.approx(measure(ratings_of(other, num_values)), nan_ok=True)


@pytest.mark.parametrize("seed", range(8))
def test_libraries_agree(seed: int) -> None:
    generator = np.random.default_rng(seed)
    raters, clips, q = 2 + seed % 3, 40, 3 + seed % 2
    truth = generator.integers(0, q, clips)
    said = np.where(generator.random((raters, clips)) < 0.7, truth, 0).astype(float)
    said[0, :q] = np.arange(q)  # every value is used
    whole = said.copy()
    if raters > 2:
        said[generator.random(said.shape) < 0.2] = nan
    observers = [[None if isnan(v) else int(v) for v in row] for row in said]
    _, kappa, alpha, _ = measure(ratings_of(observers, q))
    assert alpha == pytest.approx(krippendorff.alpha(said, level_of_measurement="nominal"))
    if raters == 2:
        assert kappa == pytest.approx(cohen_kappa_score(*said))
        table, _ = inter_rater.to_table(said.T.astype(int), bins=q)
        assert kappa == pytest.approx(inter_rater.cohens_kappa(table).kappa)
    else:
        counts, _ = inter_rater.aggregate_raters(whole.T.astype(int))
        everything: list[list[Answer]] = [[int(v) for v in row] for row in whole]
        _, of_all, _, _ = measure(ratings_of(everything, q))
        assert of_all == pytest.approx(inter_rater.fleiss_kappa(counts))


def test_what_is_not_defined_is_nan() -> None:
    same: list[list[Answer]] = [[0, 0, 0], [0, 0, 0]]
    assert measure(ratings_of(same, 2)) == pytest.approx((100, nan, nan, 1), nan_ok=True)
    assert measure(ratings_of(same, 1)) == pytest.approx((100, nan, nan, nan), nan_ok=True)
    alone: list[list[Answer]] = [[0, None], [None, 1]]
    assert all(map(isnan, measure(ratings_of(alone, 2))))
    assert all(map(isnan, measure(ratings_of([[], []], 2))))


@given(observers_strategy, st.lists(st.integers(0, 3), min_size=12, max_size=12))
def test_a_resample_is_what_repeated_videos_would_give(
    case: tuple[list[list[Answer]], int], drawn: list[int]
) -> None:
    """Weighting the sums by video equals writing the clips of a drawn video down again."""
    observers, num_values = case
    num_clips = len(observers[0])
    videos = np.arange(num_clips) // 3
    num_videos = 4
    ratings = ratings_of(observers, num_values)
    statistic = agreement_statistic(ratings, videos, num_videos)
    weights = np.bincount(drawn, minlength=num_videos)
    again = [i for i in range(num_clips) for _ in range(weights[videos[i]])]
    repeated = ratings_of([[row[i] for i in again] for row in observers], num_values)
    expected = agreement_statistic(repeated, np.arange(len(again)), len(again))
    if statistic.is_cohen != expected.is_cohen:
        return  # the resample holds other annotators: kappa is another one, by definition
    got = statistic(weights[:, None].astype(np.float32))[:, 0]
    wanted = expected(np.ones((len(again), 1), np.float32))[:, 0]
    assert got == pytest.approx(wanted, nan_ok=True)


@given(st.lists(st.integers(0, 6), max_size=25).map(sorted))
def test_every_pair_of_answers_to_a_clip_is_found_once(clips: list[int]) -> None:
    first, second = answer_pairs(np.array(clips, np.int64))
    expected = [(i, j) for i, j in combinations(range(len(clips)), 2) if clips[i] == clips[j]]
    assert sorted(zip(first.tolist(), second.tolist(), strict=True)) == expected


intervals = st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda t: (t[0], t[0] + t[1]))


@given(st.lists(intervals, min_size=2, max_size=6))
def test_overlap_is_of_the_milliseconds_in_both(said: list[tuple[int, int]]) -> None:
    starts, ends = np.array(said, np.int64).T
    pairs = answer_pairs(np.zeros(len(said), np.int64))
    found = interval_overlap(starts, ends, pairs).tolist()
    for i, j, overlap in zip(pairs.first.tolist(), pairs.second.tolist(), found, strict=True):
        one, other = set(range(*said[i])), set(range(*said[j]))
        assert overlap == pytest.approx(len(one & other) / len(one | other))


def test_overlap_is_a_mean_over_clips_not_over_pairs() -> None:
    statistic = overlap_statistic(
        np.array([1.0, 0.4, 0.5, 0.6]), 0.6, np.array([0, 1, 1, 1]), np.array([0, 1]), 2
    )
    weights = np.array([[1, 2, 0], [1, 0, 0]], np.float32)
    percent, mean = statistic(weights)
    assert percent == pytest.approx([200 / 3, 100, nan], nan_ok=True)
    assert mean == pytest.approx([0.75, 1, nan], nan_ok=True)


def test_what_does_not_overlap_never_agrees() -> None:
    assert agrees(np.array([0, 0.1]), 0).tolist() == [False, True]


def _naive(observers: list[list[Answer]], q: int) -> tuple[float, float, float, float]:
    """Compute percent, kappa, alpha and AC1 from their definitions, one clip after the other."""
    units = [[v for v in unit if v is not None] for unit in zip(*observers, strict=True)]
    several = [unit for unit in units if len(unit) >= 2]
    if not several:
        return nan, nan, nan, nan
    agreement = [
        sum(a == b for a, b in combinations(unit, 2)) / len(list(combinations(unit, 2)))
        for unit in several
    ]
    observed = sum(agreement) / len(several)
    rated = [unit for unit in units if unit]
    shares = [sum(unit.count(k) / len(unit) for unit in rated) / len(rated) for k in range(q)]
    return (
        100 * observed,
        _over_chance(observed, _naive_chance(observers, shares)),
        _naive_alpha(several),
        _over_chance(observed, sum(p * (1 - p) for p in shares) / (q - 1)),
    )


def _over_chance(observed: float, chance: float) -> float:
    return nan if isclose(chance, 1) else (observed - chance) / (1 - chance)


def _naive_chance(observers: list[list[Answer]], shares: list[float]) -> float:
    """Return the agreement by chance of Cohen, where two annotators compare, else of Fleiss."""
    compared = [
        i
        for i, unit in enumerate(zip(*observers, strict=True))
        if sum(v is not None for v in unit) >= 2
    ]
    people = [row for row in observers if any(row[i] is not None for i in compared)]
    if len(people) != 2:
        return sum(p * p for p in shares)
    one, other = ([row[i] for i in compared] for row in people)
    n = len(compared)
    return sum(one.count(k) / n * other.count(k) / n for k in range(len(shares)))


def _naive_alpha(units: list[list[int]]) -> float:
    """Compare the disagreement within units with that between any two values."""
    total = [v for unit in units for v in unit]
    within = sum(
        sum(a != b for a, b in combinations(unit, 2)) * 2 / (len(unit) - 1) for unit in units
    ) / len(total)
    pairs = list(combinations(total, 2))
    between = sum(a != b for a, b in pairs) / len(pairs)
    return nan if between == 0 else 1 - within / between

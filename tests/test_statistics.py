"""Intervals and tests against SciPy, statsmodels and simulation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from mimecurate.evaluation.bootstrap import (
    bootstrap,
    mean_statistic,
    metric_statistic,
    percentile_interval,
)
from mimecurate.evaluation.metrics import Hits, score
from mimecurate.evaluation.statistics import (
    design_effect,
    holm,
    mcnemar_exact,
    wilson_interval,
)


@pytest.mark.parametrize(("right", "clips"), [(0, 8), (8, 8), (10, 203), (102, 713), (1, 1)])
def test_wilson_is_scipys(right: int, clips: int) -> None:
    expected = binomtest(right, clips).proportion_ci(method="wilson")
    found = wilson_interval(right / clips, clips)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_is_statsmodels_for_parts_of_clips() -> None:
    expected = proportion_confint(12.34, 141.7, method="wilson")
    assert wilson_interval(12.34 / 141.7, 141.7) == pytest.approx(expected)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_scipys_and_statsmodels(only_first: int, only_second: int) -> None:
    found = mcnemar_exact(only_first, only_second)
    if only_first + only_second:
        assert found == pytest.approx(binomtest(only_first, only_first + only_second).pvalue)
        table = [[5, only_first], [only_second, 7]]
        assert found == pytest.approx(mcnemar(table, exact=True).pvalue)
    else:
        assert found == 1


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected, abs=1e-12)


def test_holm_of_nothing_is_nothing() -> None:
    assert holm([]).tolist() == []


def test_design_effect_is_the_robust_variance_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 60, 150)
    hits = (rng.random(60)[clusters] + 0.3 * rng.standard_normal(150) > 0.5).astype(float)
    fit = OLS(hits, np.ones(150)).fit()
    robust = fit.get_robustcov_results("cluster", groups=clusters, use_correction=True)
    clustered = float(robust.bse[0]) ** 2  # with the factor m / (m - 1)
    independent = hits.mean() * (1 - hits.mean()) / 150
    assert design_effect(hits, clusters) == pytest.approx(clustered / independent)


def test_design_effect_of_independent_and_of_repeated_clips() -> None:
    rng = np.random.default_rng(1)
    hits = (rng.random(4000) < 0.2).astype(float)
    assert design_effect(hits, np.arange(4000)) == pytest.approx(1, abs=0.01)
    assert design_effect(np.repeat(hits, 3), np.repeat(np.arange(4000), 3)) == pytest.approx(
        3, abs=0.01
    )


@pytest.mark.parametrize("hits", [[0.0, 0.0], [1.0, 1.0]])
def test_design_effect_is_one_where_nothing_varies(hits: list[float]) -> None:
    assert design_effect(np.array(hits), np.array([0, 1])) == 1
    assert design_effect(np.array([0.0, 1.0]), np.array([5, 5])) == 1


def clustered(seed: int, clips: int = 90, videos: int = 60, classes: int = 4) -> Any:
    rng = np.random.default_rng(seed)
    labels, of_video = rng.integers(0, classes, clips), rng.integers(0, videos, clips)
    ranks = rng.geometric(0.3, clips) * rng.choice([0, 1], clips, p=[0.1, 0.9])
    sets = [np.ones(clips, bool), rng.random(clips) < 0.4, np.arange(clips) < 1]
    return Hits.from_ranks(ranks), labels, of_video, videos, sets


def test_bootstrap_is_the_metrics_of_resampled_clips() -> None:
    hits, labels, of_video, videos, sets = clustered(0)
    statistic = metric_statistic([hits, hits], labels, of_video, videos, sets)
    seen: list[Any] = []
    weights = np.random.default_rng(5).multinomial(videos, np.ones(videos) / videos, size=30).T
    found = statistic(weights.astype(np.float32))
    for resample in range(30):
        copies = np.repeat(np.arange(len(labels)), weights[of_video, resample])
        again = Hits(hits.top1[copies], hits.top5[copies], hits.reciprocal[copies])
        for s, inside in enumerate(sets):
            expected = score(again, labels[copies], of_video[copies], inside[copies])
            values = [expected.top1, expected.top5, expected.mean_class_top1]
            values += [expected.mean_class_top5, expected.mean_ap]
            seen.append(expected.clips)
            for system in range(2):
                got = found[system, :, s, resample]
                if expected.clips:
                    assert got == pytest.approx([float(v or 0) for v in values], rel=1e-4)
                else:
                    assert np.isnan(got).all()
    assert 0 in seen


def test_bootstrap_of_a_mean() -> None:
    values, videos = np.array([1.0, -1, 0, 1]), np.array([0, 0, 1, 2])
    statistic = mean_statistic(values, videos, 3, [np.ones(4, bool), np.array([0, 0, 1, 1], bool)])
    found = statistic(np.array([[1, 0], [1, 2], [1, 1]], np.float32))
    assert found == pytest.approx(np.array([[25, 100 / 3], [50, 100 / 3]]))


def test_the_same_seed_gives_the_same_resamples() -> None:
    hits, labels, of_video, videos, sets = clustered(1)
    statistic = metric_statistic([hits], labels, of_video, videos, sets)
    first, again, other = (
        bootstrap([statistic], videos, resamples=700, seed=seed)[0] for seed in (3, 3, 4)
    )
    assert first.shape == (1, 5, 3, 700)
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_statistics_share_their_resamples() -> None:
    hits, labels, of_video, videos, sets = clustered(2)
    one = metric_statistic([hits], labels, of_video, videos, sets)
    a, b = bootstrap([one, one], videos, resamples=50, seed=0)
    assert np.array_equal(a, b, equal_nan=True)


def test_progress_adds_up() -> None:
    hits, labels, of_video, videos, sets = clustered(2)
    one = metric_statistic([hits], labels, of_video, videos, sets)
    seen: list[int] = []
    bootstrap([one], videos, resamples=1234, seed=0, on_progress=seen.append)
    assert sum(seen) == 1234


def test_bootstrap_agrees_with_scipys_on_independent_clips() -> None:
    from scipy.stats import bootstrap as scipy_bootstrap

    rng = np.random.default_rng(0)
    ranks = rng.geometric(0.2, 300)
    labels = np.zeros(300, int)
    statistic = metric_statistic(
        [Hits.from_ranks(ranks)], labels, np.arange(300), 300, [np.ones(300, bool)]
    )
    samples = bootstrap([statistic], 300, resamples=10_000, seed=0)[0]
    low, high = percentile_interval(samples[0, 4])
    expected = scipy_bootstrap(
        (100 / ranks,), np.mean, n_resamples=10_000, method="percentile",
        rng=np.random.default_rng(1), vectorized=True,
    ).confidence_interval  # fmt: skip
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.25)


def test_clusters_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    ranks = np.repeat(rng.geometric(0.2, 100), 4)
    widths = []
    for videos in (np.arange(400), np.repeat(np.arange(100), 4)):
        count = int(videos.max()) + 1
        statistic = metric_statistic(
            [Hits.from_ranks(ranks)], np.zeros(400, int), videos, count, [np.ones(400, bool)]
        )
        low, high = percentile_interval(bootstrap([statistic], count, resamples=4000, seed=0)[0])
        widths.append(float((high - low)[0, 4, 0]))
    assert widths[1] == pytest.approx(2 * widths[0], rel=0.15)


def test_percentiles_pass_over_empty_resamples() -> None:
    samples = np.array([[np.nan, *range(101)], [np.nan] * 102, [*range(102)]], float)
    low, high = percentile_interval(samples)
    assert (low[0], high[0]) == pytest.approx((2.5, 97.5))
    assert np.isnan(low[1])
    assert low[2] == pytest.approx(np.quantile(np.arange(102), 0.025))


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Wilson at the effective sample size, over simulated releases with like clips in a video."""
    rng = np.random.default_rng(7)
    covered, naive, runs = 0, 0, 400
    for _ in range(runs):
        videos = np.repeat(np.arange(120), rng.integers(1, 4, 120))
        hits = (rng.random(120) < 0.15).astype(float)[videos]
        share = float(hits.mean())
        effective = len(hits) / max(1, design_effect(hits, videos))
        low, high = wilson_interval(share, effective)
        covered += low <= 0.15 <= high
        low, high = wilson_interval(share, len(hits))
        naive += low <= 0.15 <= high
    assert covered / runs > 0.92
    assert naive / runs < 0.88

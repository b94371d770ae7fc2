"""Policies, subsets and comparisons, end to end in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scoring import make_predictions, make_release, true_columns

from mimecurate.errors import InvalidInputError, MimecurateError
from mimecurate.evaluation.details import ClipStatus, clip_statuses, confusion, top_classes
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.matching import Policy
from mimecurate.schemas.release import Flag
from mimecurate.schemas.subsets import SUBSETS, subset_clip_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mimecurate.evaluation.predictions import Predictions
    from mimecurate.evaluation.report import System

RELEASE = make_release(60)
PREDICTIONS = make_predictions(RELEASE)


def keep(predictions: Predictions, rows: Sequence[int] | np.ndarray[Any, Any]) -> Predictions:
    """Keep some rows, in the given order, doubles too."""
    ids = tuple(predictions.clip_ids[row] for row in rows)
    return replace(predictions, clip_ids=ids, scores=predictions.scores[np.asarray(rows)])


def scored(predictions: Predictions, release: Any = RELEASE, **options: Any) -> System:
    options.setdefault("resamples", 0)
    return build_report([predictions], release, **options).systems[0]


def test_every_subset_is_averaged_over_its_clips() -> None:
    system = scored(PREDICTIONS)
    ranks = dict(zip(PREDICTIONS.clip_ids, system.matched.rank.tolist(), strict=True))
    members = subset_clip_ids(RELEASE)
    assert list(system.subsets) == list(SUBSETS)
    for name, clip_ids in members.items():
        found = system.subsets[name]
        assert found.clips == len(clip_ids) > 0
        right = sum(ranks[clip] == 1 for clip in clip_ids)
        assert found.top1 == pytest.approx(100 * right / len(clip_ids))
    assert system.subsets["all"] == system.overall
    assert system.coverage.scored == system.coverage.expected == 60
    assert sum(c.clips for c in system.per_class.values()) == 60


def test_unsure_and_unannotated_clips_are_in_neither_half() -> None:
    system = scored(PREDICTIONS)
    flags = [clip.object_relevant for clip in RELEASE.clips]
    halves = system.subsets["object_relevant"].clips + system.subsets["no_relevant_object"].clips
    assert halves == sum(flag in {Flag.YES, Flag.NO} for flag in flags) < 60


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(60)), st.permutations(range(400)))
def test_order_means_nothing(rows: list[int], columns: list[int]) -> None:
    shuffled = replace(
        PREDICTIONS,
        clip_ids=tuple(PREDICTIONS.clip_ids[row] for row in rows),
        class_names=tuple((PREDICTIONS.class_names or ())[column] for column in columns),
        scores=PREDICTIONS.scores[rows][:, columns],
    )
    straight, found = scored(PREDICTIONS), scored(shuffled)
    assert found.subsets == straight.subsets
    assert found.per_class == straight.per_class
    assert top_classes(found) == top_classes(straight)


@pytest.mark.parametrize("missing", ["wrong", "exclude"])
def test_missing_clips(missing: Any) -> None:
    absent = list(range(0, 60, 4))
    rows = [row for row in range(60) if row not in absent]
    system = scored(keep(PREDICTIONS, rows), policy=Policy(missing=missing))
    full = scored(PREDICTIONS)
    right = [full.matched.rank[row] == 1 for row in rows]
    count = len(rows) if missing == "exclude" else 60
    assert system.overall.clips == count
    assert system.overall.top1 == pytest.approx(100 * sum(right) / count)
    assert (system.coverage.scored, system.coverage.missing) == (45, 15)
    assert "15 clips have no scores: '" in " ".join(system.warnings)
    precision = sum(1 / r for r in system.matched.rank if r)
    by_class = {
        name: [i for i, c in enumerate(RELEASE.clips) if c.label == name]
        for name in system.per_class
    }
    mean_ap = np.mean([
        sum(1 / system.matched.rank[i] for i in inside if system.matched.rank[i])
        / len([i for i in inside if missing == "wrong" or i not in absent])
        for inside in by_class.values()
    ])  # fmt: skip
    assert precision > 0
    assert system.overall.mean_ap == pytest.approx(100 * mean_ap)


def test_missing_clips_can_be_refused_by_name() -> None:
    with pytest.raises(InvalidInputError) as raised:
        scored(keep(PREDICTIONS, range(1, 60)), policy=Policy(missing="error"))
    assert f"no row for 1 of 60 clips: {PREDICTIONS.clip_ids[0]!r}" in str(raised.value)
    assert "--missing wrong" in str(raised.value)


def test_duplicates_are_refused_by_name() -> None:
    with pytest.raises(InvalidInputError) as raised:
        scored(keep(PREDICTIONS, [*range(60), 7]))
    assert f"several rows for 1 clips: {PREDICTIONS.clip_ids[7]!r}" in str(raised.value)
    assert "--duplicates average" in str(raised.value)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(120)))
def test_duplicates_are_averaged_whatever_their_order(order: list[int]) -> None:
    second = make_predictions(RELEASE, seed=9)
    both = replace(
        PREDICTIONS,
        clip_ids=PREDICTIONS.clip_ids * 2,
        scores=np.concatenate([PREDICTIONS.scores, second.scores]),
    )
    mean = replace(PREDICTIONS, scores=(PREDICTIONS.scores + second.scores) / 2)
    found = scored(keep(both, order), policy=Policy(duplicates="average"))
    assert found.overall == scored(mean).overall
    assert found.coverage.scored == 60
    assert "60 clips have several rows" in " ".join(found.warnings)


def test_only_double_rows_are_changed_by_averaging() -> None:
    rows = [*range(60), 3, 3, 59]
    found = scored(keep(PREDICTIONS, rows), policy=Policy(duplicates="average"))
    assert found.matched.rank.tolist() == scored(PREDICTIONS).matched.rank.tolist()


def test_nan_is_refused_or_wrong() -> None:
    scores = PREDICTIONS.scores.copy()
    scores[5, 399] = np.nan
    scores[6, 0] = np.inf
    broken = replace(PREDICTIONS, scores=scores)
    with pytest.raises(InvalidInputError) as raised:
        scored(broken)
    assert "NaN or infinite scores for 2 clips" in str(raised.value)
    assert PREDICTIONS.clip_ids[5] in str(raised.value)
    system = scored(broken, policy=Policy(nan="wrong"))
    assert system.matched.rank[5] == system.matched.rank[6] == 0
    assert system.overall.clips == 60
    assert system.coverage.invalid == 2
    assert clip_statuses(system)[5] is ClipStatus.INVALID
    assert top_classes(system)[5] == []


def test_nan_in_rows_of_other_clips_does_no_harm() -> None:
    scores = np.vstack([PREDICTIONS.scores, np.full((1, 400), np.nan, np.float32)])
    more = replace(PREDICTIONS, clip_ids=(*PREDICTIONS.clip_ids, "other"), scores=scores)
    system = scored(more)
    assert system.overall == scored(PREDICTIONS).overall
    assert system.coverage.extra == 1
    assert "1 rows are not in the release: ignored" in system.warnings


def test_a_true_class_without_a_column_is_refused() -> None:
    names = tuple(n.replace("drinking", "drinking beer") for n in PREDICTIONS.class_names or ())
    with pytest.raises(InvalidInputError) as raised:
        scored(replace(PREDICTIONS, class_names=names))
    assert "no column for 1 of 5 true classes: 'drinking'" in str(raised.value)


def test_no_clip_in_common_is_refused() -> None:
    ids = tuple(f"clip{i}" for i in range(60))
    with pytest.raises(InvalidInputError, match="has no clip of the release: its ids are 'clip0'"):
        scored(replace(PREDICTIONS, clip_ids=ids))


@pytest.mark.parametrize("form", ["{}.mp4", "data/val/{}.webm", "/d/{}", "x/{}.MP4"])
def test_a_path_that_ends_in_the_clip_id_is_the_clip(form: str) -> None:
    ids = tuple(form.format(clip_id) for clip_id in PREDICTIONS.clip_ids)
    assert scored(replace(PREDICTIONS, clip_ids=ids)).overall == scored(PREDICTIONS).overall


@pytest.mark.parametrize("ways", [5, 50, 700])
def test_other_than_400_ways_is_said(ways: int) -> None:
    system = scored(make_predictions(RELEASE, ways=ways))
    assert system.ways == ways
    assert f"{ways}-way: clips are ranked among {ways} classes; not comparable" in " ".join(
        system.warnings
    )
    assert not [w for w in scored(PREDICTIONS).warnings if "-way" in w]


def test_ties_are_counted_against_the_model() -> None:
    flat = replace(PREDICTIONS, scores=np.zeros_like(PREDICTIONS.scores))
    system = scored(flat)
    assert system.coverage.tied == 60
    assert system.overall.top5 == 0
    assert system.overall.mean_ap == pytest.approx(100 / 400)
    assert "60 clips tie with another class" in " ".join(system.warnings)
    labels = [clip.label for clip in RELEASE.clips]
    assert all(true != said for (true, said) in confusion(system))
    assert all(best[0][0] != label for best, label in zip(top_classes(system), labels, strict=True))


def test_unavailable_clips_are_told_apart_from_missing_ones() -> None:
    gone, forgotten = {0, 1, 2, 3, 4, 5}, {10, 11}
    rows = [row for row in range(60) if row not in gone | forgotten]
    available = frozenset(RELEASE.clips[row].clip_id for row in range(60) if row not in gone)
    system = scored(keep(PREDICTIONS, rows), available=available)
    right = sum(scored(PREDICTIONS).matched.rank[row] == 1 for row in rows)
    assert (system.coverage.missing, system.coverage.unavailable) == (2, 6)
    assert system.overall.clips == 54
    assert system.overall.top1 == pytest.approx(100 * right / 54)
    assert system.lowest is not None
    assert system.highest is not None
    assert system.lowest.clips == system.highest.clips == 60
    assert system.lowest.top1 == pytest.approx(100 * right / 60)
    assert system.highest.top1 == pytest.approx(100 * (right + 6) / 60)
    statuses = clip_statuses(system)
    assert {statuses[i] for i in gone} == {ClipStatus.UNAVAILABLE}
    assert {statuses[i] for i in forgotten} == {ClipStatus.MISSING}


def test_the_full_release_lies_between_lowest_and_highest() -> None:
    full = scored(PREDICTIONS).overall
    available = frozenset(PREDICTIONS.clip_ids[::2])
    part = scored(keep(PREDICTIONS, range(0, 60, 2)), available=available)
    for metric in ("top1", "top5", "mean_class_top1", "mean_class_top5", "mean_ap"):
        low, high = getattr(part.lowest, metric), getattr(part.highest, metric)
        assert low <= getattr(full, metric) <= high


def test_a_clip_with_scores_counts_though_it_is_not_available_now() -> None:
    system = scored(PREDICTIONS, available=frozenset(PREDICTIONS.clip_ids[:30]))
    assert system.coverage.unavailable == 0
    assert system.overall == scored(PREDICTIONS).overall


def test_excluded_and_unavailable_clips_leave_a_smaller_set() -> None:
    rows = list(range(20, 60))
    available = frozenset(clip.clip_id for clip in RELEASE.clips[10:])
    system = scored(keep(PREDICTIONS, rows), available=available, policy=Policy(missing="exclude"))
    assert system.overall.clips == 40
    assert system.lowest is not None
    assert system.lowest.clips == 50


def test_splits() -> None:
    release = make_release(60, splits=("train", "val", "test"))
    predictions = make_predictions(release)
    whole = scored(predictions, release)
    assert list(whole.splits) == ["test", "train", "val"]
    part = scored(predictions, release, split="val")
    assert part.overall == whole.splits["val"]
    assert part.coverage.extra == 40
    val = [i for i, clip in enumerate(release.clips) if clip.split == "val"]
    only = scored(keep(predictions, val), release)
    assert "no clip of split 'train' is scored" in " ".join(only.warnings)
    with pytest.raises(MimecurateError, match="no split 'vla'; it has test, train, val"):
        scored(predictions, release, split="vla")


def test_named_predicates_are_further_subsets() -> None:
    system = scored(PREDICTIONS, predicates={"late": lambda clip, size: clip.start_ms >= 30_000})
    assert list(system.subsets)[-1] == "late"
    assert system.subsets["late"].clips == 30
    with pytest.raises(MimecurateError, match="'all' has a meaning already"):
        scored(PREDICTIONS, predicates={"all": lambda clip, size: True})


def test_withdrawn_clips_are_mentioned() -> None:
    system = scored(PREDICTIONS, replace(RELEASE, withheld={"gone_000000_000001": "asked"}))
    assert "1 clips of the release were withdrawn" in " ".join(system.warnings)


def test_equal_names_and_no_predictions_are_refused() -> None:
    with pytest.raises(MimecurateError, match="two systems are called 'model'"):
        build_report([PREDICTIONS, PREDICTIONS], RELEASE, resamples=0)
    with pytest.raises(MimecurateError, match="no predictions"):
        build_report([], RELEASE)


def test_comparisons_count_clips_and_test_them() -> None:
    other = make_predictions(RELEASE, "other", seed=4, skill=3)
    report = build_report([PREDICTIONS, other], RELEASE, resamples=200)
    a, b = (system.matched.rank == 1 for system in report.systems)
    assert [c.subset for c in report.comparisons] == list(SUBSETS)
    for c in report.comparisons:
        inside = report.targets.subsets[c.subset]
        assert c.clips == inside.sum() == c.both + c.only_first + c.only_second + c.neither
        assert c.only_first == (a & ~b & inside).sum()
        assert c.difference == pytest.approx(100 * (a[inside].mean() - b[inside].mean()))
        expected = binomtest(c.only_first, max(1, c.only_first + c.only_second)).pvalue
        assert c.p_value == pytest.approx(expected if c.only_first + c.only_second else 1)
        assert c.p_value <= c.p_adjusted <= 1
        if c.ci is not None:
            assert c.ci[0] <= c.difference <= c.ci[1]
    assert len(report.comparisons) == 11
    smallest = min(report.comparisons, key=lambda c: c.p_value)
    assert smallest.p_adjusted == pytest.approx(min(1, 11 * smallest.p_value))


def test_a_pair_is_compared_on_the_clips_that_count_for_both() -> None:
    other = keep(make_predictions(RELEASE, "other", seed=4), range(10, 60))
    some = keep(PREDICTIONS, range(50))
    report = build_report([some, other], RELEASE, policy=Policy(missing="exclude"), resamples=0)
    assert report.comparisons[0].clips == 40
    third = replace(keep(PREDICTIONS, range(10)), name="third")
    report = build_report([other, third], RELEASE, policy=Policy(missing="exclude"), resamples=0)
    assert report.comparisons == ()


def test_intervals_hold_the_value_and_follow_the_seed() -> None:
    first, again, other = (
        build_report([PREDICTIONS], RELEASE, resamples=300, seed=seed).systems[0]
        for seed in (1, 1, 2)
    )
    assert first.subsets == again.subsets
    assert first.overall.ci["mean_ap"] != other.overall.ci["mean_ap"]
    assert first.overall.ci["top1"] == other.overall.ci["top1"]
    for metric, (low, high) in first.overall.ci.items():
        assert 0 <= low <= getattr(first.overall, metric) <= high <= 100


def test_systems_scored_together_get_the_intervals_they_get_alone() -> None:
    other = keep(make_predictions(RELEASE, "other", seed=4), range(50))
    policy = Policy(missing="exclude")
    together = build_report([PREDICTIONS, other], RELEASE, policy=policy, resamples=200)
    for predictions, system in zip((PREDICTIONS, other), together.systems, strict=True):
        alone = build_report([predictions], RELEASE, policy=policy, resamples=200).systems[0]
        assert alone.overall.ci == system.overall.ci


def test_a_subset_of_few_videos_says_so() -> None:
    system = scored(
        PREDICTIONS, resamples=100, predicates={"few": lambda clip, size: clip.start_ms < 5_000}
    )
    few = system.subsets["few"]
    assert few.videos < 10
    assert few.ci == {}
    assert f"subset few: 5 clips from {few.videos} videos are too few" in " ".join(system.warnings)
    report = build_report(
        [PREDICTIONS, make_predictions(RELEASE, "b", seed=5)],
        RELEASE,
        resamples=100,
        predicates={"few": lambda clip, size: clip.start_ms < 5_000},
    )
    assert report.comparisons[-1].ci is None


def test_the_gap_is_in_context_minus_out_of_context() -> None:
    system = scored(PREDICTIONS, resamples=200)
    gap = system.gaps["object"]
    inside, outside = system.subsets["object_relevant"], system.subsets["no_relevant_object"]
    assert (gap.clips_inside, gap.clips_outside) == (inside.clips, outside.clips)
    assert gap.top1 == pytest.approx((inside.top1 or 0) - (outside.top1 or 0))
    assert gap.ci["top1"][0] <= gap.top1 <= gap.ci["top1"][1]
    context = system.gaps["context"]
    yes = [Flag.YES in {c.object_relevant, c.scene_relevant} for c in RELEASE.clips]
    assert context.clips_inside == sum(yes)


def test_a_release_without_flags_has_no_gaps_and_empty_subsets() -> None:
    bare = replace(
        RELEASE,
        clips=tuple(
            replace(c, mime_artist=None, object_relevant=None, scene_relevant=None)
            for c in RELEASE.clips
        ),
        classes=(),
    )
    system = scored(PREDICTIONS, bare, resamples=50)
    assert system.gaps == {}
    assert system.subsets["mime_artist"].clips == 0
    assert system.subsets["mime_artist"].top1 is None
    assert system.overall.top1 == scored(PREDICTIONS).overall.top1


def test_top_classes_are_sorted_and_true_classes_come_last_among_equals() -> None:
    scores = np.zeros((60, 400), np.float32)
    columns = true_columns(RELEASE, PREDICTIONS)
    scores[np.arange(60), columns] = 1
    scores[0, 17] = 1
    system = scored(replace(PREDICTIONS, scores=scores))
    best = top_classes(system, 3)
    names = PREDICTIONS.class_names or ()
    assert best[0][0] == (names[17], 1.0)
    assert best[0][1] == (RELEASE.clips[0].label, 1.0)
    assert [len(one) for one in best] == [3] * 60
    counts = confusion(system)
    assert sum(counts.values()) == 60
    assert counts[RELEASE.clips[0].label, names[17]] == 1

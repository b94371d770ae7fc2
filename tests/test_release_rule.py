"""The majority rule, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from release_lists import CLIPS, annotate

from mimecurate.curation.release_rule import (
    NO_MAJORITY,
    TOO_FEW,
    Outcome,
    Undecided,
    Vote,
    common_trim,
    decide,
    interval_iou,
    votes_by_clip,
)
from mimecurate.schemas.database import open_database

if TYPE_CHECKING:
    from pathlib import Path

YES = Vote("ann", "yes", "archery", "no", "no", "no", None)


def _others(*changes: dict[str, object]) -> list[Vote]:
    names = iter("bcdef")
    return [YES._replace(annotator=next(names), **change) for change in changes]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("votes", "outcome"),
    [
        pytest.param([YES, *_others({})], Outcome("yes", "archery", "no", "no", "no"), id="agreed"),
        pytest.param(
            [YES, *_others({"verdict": "no"}, {"verdict": "no"})], Outcome("no"), id="outvoted"
        ),
        pytest.param(
            [YES, *_others({"label": None}, {"label": None})],
            Outcome("yes", "archery", "no", "no", "no"),
            id="one-names-the-label",
        ),
        pytest.param(
            [YES, *_others({"label": "bow", "verdict": "no"}, {})],
            Outcome("yes", "archery", "no", "no", "no"),
            id="who-said-no-has-no-say-on-the-label",
        ),
        pytest.param(
            [YES, *_others({"mime_artist": "yes"})],
            Outcome("yes", "archery", "unsure", "no", "no"),
            id="a-flag-in-dispute-is-unsure",
        ),
        pytest.param(
            [YES._replace(scene_relevant=None), *_others({"scene_relevant": None})],
            Outcome("yes", "archery", "no", "no", None),
            id="a-flag-nobody-answered",
        ),
        pytest.param(
            [YES, *_others({"trim": (1, 2)}, {"trim": (1, 2)})],
            Outcome("yes", "archery", "no", "no", "no", (1, 2)),
            id="a-trim-of-most",
        ),
        pytest.param(
            [YES._replace(trim=(0, 2000)), *_others({"trim": (40, 1800)}, {"trim": (0, 5000)})],
            Outcome("yes", "archery", "no", "no", "no", (20, 1900)),
            id="trims-that-overlap-agree-and-one-far-off-changes-nothing",
        ),
        pytest.param(
            [
                YES._replace(trim=(0, 2000)),
                *_others({"trim": (40, 1800)}, {"trim": (120, 1900)}, {}),
            ],
            Outcome("yes", "archery", "no", "no", "no", (40, 1900)),
            id="the-median-of-three-who-trimmed-of-four",
        ),
        pytest.param(
            [YES, *_others({"trim": (1, 2)}, {})],
            Outcome("yes", "archery", "no", "no", "no", None),
            id="no-trim-is-an-answer",
        ),
    ],
)
def test_what_most_say_holds(votes: list[Vote], outcome: Outcome) -> None:
    assert decide(votes, 2) == outcome


@pytest.mark.parametrize(
    ("votes", "check", "why"),
    [
        pytest.param([YES], TOO_FEW, "1 of 2 annotators", id="too-few"),
        pytest.param(
            [YES, *_others({"verdict": "no"})], NO_MAJORITY, "no majority for a verdict", id="tie"
        ),
        pytest.param(
            [YES, *_others({"label": "bow"})], NO_MAJORITY, "no majority for a label", id="labels"
        ),
        pytest.param(
            [YES, *_others({"trim": (1, 2)})], NO_MAJORITY, "no majority for a trim", id="trims"
        ),
    ],
)
def test_disagreement_is_left_to_people(votes: list[Vote], check: str, why: str) -> None:
    assert decide(votes, 2) == Undecided(check, why)


@given(
    st.lists(
        st.builds(
            Vote,
            st.just("a"),
            st.sampled_from(["yes", "no", "unsure", "unplayable"]),
            st.sampled_from([None, "x", "y"]),
            *[st.sampled_from([None, "yes", "no", "unsure"])] * 3,
            trim=st.sampled_from([None, (0, 1), (1, 2), (0, 4), (1, 5), (2, 6), (0, 6)]),
        ),
        max_size=7,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_votes_does_not_matter(votes: list[Vote], random: object) -> None:
    shuffled = list(votes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert decide(votes, 2) == decide(shuffled, 2)


intervals = st.tuples(st.integers(0, 30), st.integers(1, 30)).map(lambda t: (t[0], t[0] + t[1]))


@given(st.lists(intervals | st.none(), max_size=7), st.floats(0, 1))
def test_a_common_trim_is_an_interval_near_more_than_half(
    trims: list[tuple[int, int] | None], trim_iou: float
) -> None:
    found = common_trim(trims, trim_iou)
    given_ = [trim for trim in trims if trim is not None]
    near = [sum(0 < interval_iou(a, b) >= trim_iou for b in given_) for a in given_]
    assert (found is not None) == (2 * max(near, default=0) > len(trims))
    if found is not None:
        assert min(t[0] for t in given_) <= found[0] < found[1] <= max(t[1] for t in given_)


def test_with_an_overlap_of_one_only_equal_trims_agree() -> None:
    votes = [YES._replace(trim=(0, 2000)), *_others({"trim": (0, 2001)})]
    assert isinstance(decide(votes, 2), Outcome)
    assert decide(votes, 2, trim_iou=1) == Undecided(NO_MAJORITY, "no majority for a trim")


def test_only_the_latest_word_of_each_annotator_counts(tmp_path: Path) -> None:
    db = open_database(tmp_path / "a.db")
    clip = CLIPS[0]
    annotate(db, clip, "ann", verdict="no", annotation_id=1)
    annotate(db, clip, "ann", verdict="yes", label="archery", annotation_id=2, supersedes=1)
    annotate(db, clip, "bob", verdict="no", at="2026-01-01T00:00:00Z", round="one")
    annotate(db, clip, "bob", at="2026-01-02T00:00:00Z", start_ms=1, end_ms=5, round="two")
    annotate(db, clip, "eve", skipped=1)
    annotate(db, clip, "dan", verdict=None, note="a draft")
    [(clip_id, votes)] = votes_by_clip(db)
    assert clip_id == clip.clip_id
    assert [(v.annotator, v.verdict, v.trim) for v in votes] == [
        ("ann", "yes", None),
        ("bob", "yes", (1, 5)),
    ]
    db.close()

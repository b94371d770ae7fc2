from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scoring import make_predictions, make_release, true_columns

from mimecurate.errors import InvalidInputError, MimecurateError
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.superclasses import (
    count_probabilities,
    group_columns,
    rank_true_superclass,
    read_superclasses,
)
from mimecurate.evaluation.table_formats import as_text

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.evaluation.report import Superclasses

RELEASE = make_release(60)
PREDICTIONS = make_predictions(RELEASE, ways=30, dtype=np.float64)
MAPPING = {"archery": "aiming", "bowling": "aiming", "other 3": "aiming", "other 4": "rest"}


def superclasses(predictions: Any = PREDICTIONS, mapping: Any = None) -> Superclasses:
    report = build_report(
        [predictions], RELEASE, superclasses=MAPPING if mapping is None else mapping, resamples=50
    )
    found = report.systems[0].superclasses
    assert found is not None
    return found


def summed(scores: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], list[str], list[str]]:
    """Sum the softmax over superclasses the plain way."""
    names = PREDICTIONS.class_names or ()
    of_column = [MAPPING.get(name, name) for name in names]
    supers = sorted(set(of_column))
    probabilities = softmax(scores, axis=1)
    sums = [
        probabilities[:, [s == super_name for s in of_column]].sum(axis=1) for super_name in supers
    ]
    return np.stack(sums, axis=1), of_column, supers


def test_ranks_are_those_of_summed_probabilities() -> None:
    sums, of_column, supers = summed(PREDICTIONS.scores)
    columns = true_columns(RELEASE, PREDICTIONS)
    true = [supers.index(of_column[column]) for column in columns]
    expected = [int((row >= row[t]).sum()) for row, t in zip(sums, true, strict=True)]
    grouping = group_columns(PREDICTIONS.class_names or (), MAPPING)
    found = rank_true_superclass(PREDICTIONS.scores, columns, grouping, softmax=True)
    assert found.rank.tolist() == expected
    assert max(expected) > 1


def test_means_over_classes_and_over_superclasses() -> None:
    found = superclasses()
    assert (found.by_class.classes, found.by_superclass.classes) == (5, 4)
    assert found.by_class.top1 == found.by_superclass.top1
    assert found.by_class.mean_class_top1 != found.by_superclass.mean_class_top1
    assert set(found.by_superclass.ci) == set(found.by_class.ci) != set()
    assert found.probabilities == "softmax of the scores"


def test_probabilities_are_summed_as_they_are() -> None:
    ready = replace(PREDICTIONS, scores=softmax(PREDICTIONS.scores, axis=1))
    logs = replace(PREDICTIONS, scores=np.log(ready.scores))
    assert superclasses(ready).probabilities == "the scores as given"
    assert superclasses(ready).by_class == superclasses().by_class == superclasses(logs).by_class


def test_few_odd_rows_do_not_turn_probabilities_into_logits() -> None:
    scores = softmax(PREDICTIONS.scores, axis=1)
    scores[0] = 0
    report = build_report(
        [replace(PREDICTIONS, scores=scores)], RELEASE, superclasses=MAPPING, resamples=0
    )
    assert "Summed over the classes of a superclass: the scores as given." in as_text(report)
    assert "are probabilities and" not in " ".join(report.systems[0].warnings)
    scores[1] *= 3
    report = build_report(
        [replace(PREDICTIONS, scores=scores), replace(PREDICTIONS, name="logits")],
        RELEASE,
        superclasses=MAPPING,
        resamples=0,
    )
    assert "the scores as given (model); softmax of the scores (logits)" in as_text(report)
    assert report.systems[0].warnings[-1].startswith("58 rows are probabilities and 1 are not")


def test_without_groups_superclasses_are_the_classes() -> None:
    alone = superclasses(mapping={"archery": "archery"})
    report = build_report([PREDICTIONS], RELEASE, resamples=50)
    assert alone.by_class == alone.by_superclass
    assert alone.by_class == report.systems[0].overall


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(30)))
def test_the_order_of_columns_means_nothing(order: list[int]) -> None:
    names = tuple((PREDICTIONS.class_names or ())[column] for column in order)
    shuffled = replace(PREDICTIONS, class_names=names, scores=PREDICTIONS.scores[:, order])
    assert superclasses(shuffled) == superclasses()


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[0.5, 0.5], [1.0, 0.0]], (2, 0)),
        ([[0.495, 0.495], [1.01, 0.0]], (2, 0)),
        ([[0.5, 0.5], [0.9, 0.9]], (1, 1)),
        ([[1.5, -0.5], [1.0, 0.0]], (1, 1)),
        ([[50.0, 50.0], [99.0, 1.0]], (0, 2)),
        ([[0.5, 0.5], [np.nan, 1.0]], (1, 0)),
        ([[np.nan, 0.5], [np.nan, 1.0]], (0, 0)),
        ([[0.0, 0.0], [0.3, 0.7]], (1, 0)),
        ([[0.0, 0.0], [-3.0, 3.0]], (0, 1)),
    ],
)
def test_what_counts_as_probabilities(rows: list[list[float]], expected: tuple[int, int]) -> None:
    assert count_probabilities(np.array(rows), np.array([True, True])) == expected


def test_rows_of_no_clip_do_not_decide_what_the_scores_are() -> None:
    rows = np.array([[0.5, 0.5], [7.0, 8.0]])
    assert count_probabilities(rows, np.array([True, False])) == (1, 0)


def test_rows_with_nan_are_wrong_by_superclass_too() -> None:
    from mimecurate.evaluation.matching import Policy

    scores = PREDICTIONS.scores.copy()
    scores[0, 5] = np.nan
    report = build_report(
        [replace(PREDICTIONS, scores=scores)],
        RELEASE,
        superclasses=MAPPING,
        policy=Policy(nan="wrong"),
        resamples=0,
    )
    found = report.systems[0].superclasses
    assert found is not None
    assert found.by_class.clips == 60


def test_unknown_classes_of_the_mapping_are_mentioned() -> None:
    report = build_report(
        [PREDICTIONS], RELEASE, superclasses={**MAPPING, "archry": "aiming"}, resamples=0
    )
    assert "1 classes of the superclass file have no column, such as 'archry'" in " ".join(
        report.systems[0].warnings
    )


@pytest.mark.parametrize(
    "mapping", [{"other 1": "drinking"}, {"drinking": "archery", "archery": "aiming"}]
)
def test_a_superclass_with_the_name_of_another_class_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(MimecurateError, match="is also a class"):
        group_columns(PREDICTIONS.class_names or (), mapping)


@pytest.mark.parametrize(
    "text",
    [
        '{"aiming": ["archery", "bowling"], "music": ["playing_bass_guitar"]}',
        '{"archery": "aiming", "bowling": "aiming", "playing bass guitar": "music"}',
        "class,superclass\narchery,aiming\nbowling,aiming\nplaying_bass_guitar,music\n",
        "archery,aiming\n\nbowling,aiming\nplaying bass guitar,music\n",
        "archery\taiming\nbowling\taiming\nplaying bass guitar\tmusic\n",
    ],
    ids=["lists", "pairs", "csv", "csv without header", "tsv"],
)
def test_every_form_of_the_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text(text)
    assert read_superclasses(path) == {
        "archery": "aiming",
        "bowling": "aiming",
        "playing bass guitar": "music",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "names no class"),
        (b"{}", "names no class"),
        (b"{", "is no JSON"),
        (b'{"a": 1}', "'a' must have a list of classes"),
        (b'{"a": ["x"], "b": ["x"]}', "class 'x' is in both 'a' and 'b'"),
        (b"x,a\nx,b\n", "line 2: class 'x' is in both 'a' and 'b'"),
        (b"x,a\ny\nz,b,c\n", "line 2: has 1 columns"),
        (b"x,\n", "printable text"),
        (b"x,\x1b[m\n", "printable text"),
        (b"\xff,a\n", "not UTF-8"),
        (b'{"a":' * 9999, "is no JSON"),
    ],
)
def test_files_that_are_wrong(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InvalidInputError) as raised:
        read_superclasses(tmp_path / "f")
    assert words in str(raised.value)
    with pytest.raises(InvalidInputError, match="can't be read"):
        read_superclasses(tmp_path / "absent")

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scoring import WRITERS, make_predictions, make_release, write_csv, write_npz

from mimecurate.errors import InvalidInputError
from mimecurate.evaluation.predictions import Predictions, load_predictions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RELEASE = make_release(12)
PREDICTIONS = make_predictions(RELEASE, ways=7)


def problem(path: Path) -> str:
    with pytest.raises(InvalidInputError) as raised:
        load_predictions(path)
    return str(raised.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_format_gives_the_same_predictions(kind: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path / "some.file", PREDICTIONS)
    found = load_predictions(path)
    assert found.name == "some"
    assert found.file == "some.file"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert found.clip_ids == PREDICTIONS.clip_ids
    assert found.class_names == PREDICTIONS.class_names
    assert np.array_equal(found.scores, PREDICTIONS.scores)
    assert found.ways == 7


@pytest.mark.parametrize("kind", WRITERS)
def test_double_precision_is_kept(kind: str, tmp_path: Path) -> None:
    exact = make_predictions(RELEASE, ways=7, dtype=np.float64)
    found = load_predictions(WRITERS[kind](tmp_path / "f", exact))
    assert found.scores.dtype == np.float64
    assert np.array_equal(found.scores, exact.scores)


@pytest.mark.parametrize("name", ["a.txt", "b.npz", "c"])
def test_the_file_name_does_not_tell_the_format(name: str, tmp_path: Path) -> None:
    assert load_predictions(write_csv(tmp_path / name, PREDICTIONS)).ways == 7


def test_the_given_name_wins(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", PREDICTIONS)
    assert load_predictions(path, name="SlowFast").name == "SlowFast"
    assert load_predictions(path, name="a\x1b[31m\n").name == "a?[31m?"


def test_underscores_are_spaces_in_class_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("clip_id,playing_bass_guitar, drinking \nx,1,2\n")
    assert load_predictions(path).class_names == ("playing bass guitar", "drinking")


def test_two_spellings_of_a_class_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("clip_id,tying_tie,tying tie\nx,1,2\n")
    assert "more than one column for 'tying tie'" in problem(path)


def test_json_lines_follow_the_class_names_of_their_own_line(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [
        {"class_names": ["a", "b", "c"], "clip_id": "x", "scores": [1, 2, 3]},
        {"clip_id": "y", "scores": [4, 5, 6]},
        {"class_names": ["c", "a", "b"]},
        {"clip_id": "z", "scores": [9, 7, 8]},
        {"class_names": ["a", "b", "c"], "clip_id": "w", "scores": [10, 11, 12]},
    ]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    found = load_predictions(path)
    assert found.class_names == ("a", "b", "c")
    assert found.scores.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    path.write_text("\n".join(map(json.dumps, [*lines, {"class_names": ["a", "b", "d"]}])))
    assert "line 6" in problem(path)
    path.write_text("\n".join(map(json.dumps, lines[1:])))
    assert "no class_names so far" in problem(path)


@pytest.mark.parametrize("half", [np.float16, np.float32])
def test_half_precision_becomes_single(half: type, tmp_path: Path) -> None:
    scores: NDArray[Any] = np.array([[0.5, 2.0]], half)
    path = write_npz(tmp_path / "a.npz", Predictions("a", ("x",), ("a", "b"), scores))
    assert load_predictions(path).scores.dtype == np.float32
    table = pa.table({"clip_id": ["x"], "a": scores[:, 0], "b": scores[:, 1]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = load_predictions(tmp_path / "a.parquet")
    assert found.scores.dtype == np.float32
    assert found.scores.tolist() == [[0.5, 2.0]]


def test_bytes_as_ids_and_integers_as_scores(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz",
        clip_ids=np.array([b"x"]),
        class_names=np.array([b"a", b"b"]),
        scores=np.array([[1, 2]]),
    )
    found = load_predictions(tmp_path / "a.npz")
    assert found.clip_ids == ("x",)
    assert found.scores.tolist() == [[1.0, 2.0]]


def test_fortran_order_in_npz(tmp_path: Path) -> None:
    scores = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    names = Predictions("a", ("x", "y"), ("a", "b", "c"), scores)
    for compressed in (False, True):
        path = write_npz(tmp_path / "a.npz", names, compressed=compressed)
        assert np.array_equal(load_predictions(path).scores, scores)


@pytest.mark.parametrize("cell", ["", "nan", "NaN", "NA", "null"])
def test_a_cell_without_a_score_is_nan(cell: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"clip_id,a,b\nx,1,{cell}\n")
    assert np.isnan(load_predictions(path).scores).tolist() == [[False, True]]


def test_null_in_parquet_and_json_is_nan(tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {"clip_id": ["x"], "a": [1.0], "b": [None]},
            schema=pa.schema({"clip_id": pa.string(), "a": pa.float32(), "b": pa.int16()}),
        ),
        tmp_path / "a.parquet",
    )
    (tmp_path / "a.json").write_text('{"class_names": ["a", "b"], "scores": {"x": [1, null]}}')
    (tmp_path / "b.json").write_text('{"x": {"a": 1}, "y": {"a": 1, "b": NaN}}')
    for name in ("a.parquet", "a.json"):
        assert np.isnan(load_predictions(tmp_path / name).scores).tolist() == [[False, True]]
    assert np.isnan(load_predictions(tmp_path / "b.json").scores[:, 1]).all()


def test_the_index_that_pandas_writes_is_no_class(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"clip_id": ["x", "y"], "a": [1.0, 2], "b": [3.0, 4]}, index=[7, 9])
    frame.to_csv(tmp_path / "a.csv")
    frame.to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "a.parquet"):
        found = load_predictions(tmp_path / name)
        assert found.class_names == ("a", "b")
        assert "index" in " ".join(found.warnings) or "no name" in " ".join(found.warnings)


def test_a_named_pandas_index_is_read(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame({"a": [1.0]}, index=pd.Index(["x"], name="clip_id"))
    frame.to_parquet(tmp_path / "a.parquet")
    assert load_predictions(tmp_path / "a.parquet").clip_ids == ("x",)


def test_a_frame_is_taken_as_it_is() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        PREDICTIONS.scores,
        index=list(PREDICTIONS.clip_ids),
        columns=list(PREDICTIONS.class_names or ()),
    )
    found = Predictions.from_frame(frame, "m")
    assert np.array_equal(found.scores, PREDICTIONS.scores)
    assert found.scores.dtype == np.float32
    named = frame.reset_index(names="clip_id")
    assert Predictions.from_frame(named, "m").clip_ids == PREDICTIONS.clip_ids
    with pytest.raises(InvalidInputError, match="numbers"):
        Predictions.from_frame(frame.assign(label="x"), "m")


def test_json_lines_with_lists_follow_the_names_of_an_earlier_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        '{"class_names": ["a", "b"]}\n{"clip_id": "x", "scores": [1, 2]}\n'
        '\n{"clip_id": "y", "scores": [3, 4]}\n'
    )
    assert load_predictions(path).scores.tolist() == [[1, 2], [3, 4]]


def test_json_lines_with_a_member_per_class(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"clip_id": "x", "a": 1, "b": 2}\n{"clip_id": "y", "b": 4, "a": 3}\n')
    assert load_predictions(path).scores.tolist() == [[1, 2], [3, 4]]


def test_one_line_and_a_list_of_records_are_read_as_records(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"clip_id": "x", "scores": {"a": 1}}')
    assert load_predictions(path).clip_ids == ("x",)
    path.write_text('[{"clip_id": "x", "a": 1}, {"clip_id": "y", "a": 2}]')
    assert load_predictions(path).clip_ids == ("x", "y")


def test_pretty_printed_json_is_no_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"x": {"a": 1.5}, "y": {"a": 2.5}}, indent=2))
    assert load_predictions(path).scores.tolist() == [[1.5], [2.5]]


def test_json_keeps_both_of_two_equal_clips(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"class_names": ["a"], "scores": {"x": [1], "x": [2]}}')
    assert load_predictions(path).clip_ids == ("x", "x")


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfclip_id,a,b\r\nx,1,2\r\ny,3,4\r\n")
    assert load_predictions(path).scores.tolist() == [[1, 2], [3, 4]]
    path.write_bytes(b'\xef\xbb\xbf{"class_names": ["a"], "scores": {"x": [1]}}')
    assert load_predictions(path).clip_ids == ("x",)


def test_csv_larger_than_one_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.evaluation.predictions_csv._WHOLE_BYTES", 0)
    found = load_predictions(write_csv(tmp_path / "a.csv", PREDICTIONS))
    assert np.array_equal(found.scores, PREDICTIONS.scores)


def test_all_wrong_cells_are_named_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("clip_id,a,b\nx,1,two\ny,3\nz,four,5\n")
    message = problem(path)
    assert "line 2: 'two' in column 'b' is not a number" in message
    assert "line 3: has 2 cells, the header has 3" in message
    assert "line 4: 'four' in column 'a'" in message


def test_a_label_column_is_refused_with_what_would_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("clip_id,label,a\nx,archery,1\n")
    assert "Keep clip_id and one column of numbers per class" in problem(tmp_path / "a.csv")
    pq.write_table(pa.table({"clip_id": ["x"], "label": ["a"], "a": [1.0]}), tmp_path / "b")
    assert "column 'label' holds string, not scores" in problem(tmp_path / "b")


def test_a_classes_file_names_no_columns_that_have_names(tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\n")
    path = write_csv(tmp_path / "a.csv", PREDICTIONS)
    with pytest.raises(InvalidInputError, match="names its classes itself"):
        load_predictions(path, classes=tmp_path / "names.txt")

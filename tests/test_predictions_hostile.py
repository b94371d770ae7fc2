"""Prediction files that are damaged or meant to do harm: one clear refusal each, no traceback."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.lib import format as npy
from scoring import WRITERS, make_predictions, make_release

from mimecurate.errors import InvalidInputError
from mimecurate.evaluation.predictions import load_predictions

if TYPE_CHECKING:
    from pathlib import Path

PREDICTIONS = make_predictions(make_release(6), ways=6)
IDS, NAMES = np.array(["x", "y"]), np.array(["a", "b"])


def refused(path: Path) -> str:
    with pytest.raises(InvalidInputError) as raised:
        load_predictions(path)
    message = str(raised.value)
    assert message.startswith(path.name) or str(path) in message
    assert len(message) < 4000
    return message


def npz(path: Path, **arrays: Any) -> Path:
    fields = {"clip_ids": IDS, "class_names": NAMES, "scores": np.zeros((2, 2)), **arrays}
    np.savez(path, **{k: v for k, v in fields.items() if v is not None})
    return path


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        pytest.param({"scores": None}, "has no scores", id="no scores"),
        pytest.param({"scores": np.zeros(4)}, "two-dimensional", id="flat"),
        pytest.param({"scores": np.zeros((2, 2, 2))}, "two-dimensional", id="cube"),
        pytest.param({"scores": np.zeros((2, 3))}, "2 class names for 3 columns", id="columns"),
        pytest.param({"scores": np.zeros((3, 2))}, "2 clip ids for 3 rows", id="rows"),
        pytest.param({"scores": np.zeros((0, 2))}, "nothing to score", id="no rows"),
        pytest.param({"scores": np.zeros((2, 0))}, "nothing to score", id="no columns"),
        pytest.param({"scores": np.zeros((2, 2), complex)}, "real numbers", id="complex"),
        pytest.param({"scores": np.array([["a", "b"]] * 2)}, "real numbers", id="text"),
        pytest.param({"scores": np.zeros((2, 2), bool)}, "real numbers", id="truth"),
        pytest.param({"scores": np.zeros((2, 2), object)}, "Python objects", id="objects"),
        pytest.param({"clip_ids": IDS.astype(object)}, "Python objects", id="object ids"),
        pytest.param({"clip_ids": np.array([1, 2])}, "must be text", id="integer ids"),
        pytest.param({"clip_ids": np.array(["x", ""])}, "texts of 1 to 200", id="empty id"),
        pytest.param({"clip_ids": np.array(["x", "y" * 999])}, "texts of 1 to 200", id="long id"),
        pytest.param({"clip_ids": np.array([["x", "y"]])}, "one-dimensional", id="ids 2-d"),
        pytest.param({"clip_ids": np.array([b"x", b"\xff"])}, "not UTF-8", id="latin ids"),
        pytest.param({"class_names": np.array(["a", "a"])}, "more than one column", id="twice"),
        pytest.param({"class_names": np.array(["a", "b\x1b[0m"])}, "printable", id="escape"),
        pytest.param({"class_names": np.array(["a", "_"])}, "printable", id="blank"),
    ],
)
def test_npz_arrays_that_do_not_fit(arrays: dict[str, Any], words: str, tmp_path: Path) -> None:
    assert words in refused(npz(tmp_path / "a.npz", **arrays))


def write_archive(path: Path, header: bytes, body: bytes = b"", **options: Any) -> Path:
    with zipfile.ZipFile(path, "w", **options) as archive:
        for field, array in (("clip_ids", IDS), ("class_names", NAMES)):
            stream = io.BytesIO()
            npy.write_array(stream, array)
            archive.writestr(f"{field}.npy", stream.getvalue())
        archive.writestr("scores.npy", header + body)
    return path


def npy_header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"shape": shape, "fortran_order": False, "descr": descr})
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**40, 2**30), (2, -5), (-1, -4)])
def test_npz_that_declares_more_than_it_holds(shape: tuple[int, ...], tmp_path: Path) -> None:
    assert "declares shape" in refused(write_archive(tmp_path / "a", npy_header(shape), b"\0" * 16))


def test_npz_bomb_is_not_expanded(tmp_path: Path) -> None:
    size = 1 << 20
    header = npy_header((size, 512))
    path = write_archive(tmp_path / "a", header, b"\0" * 4096, compression=zipfile.ZIP_DEFLATED)
    # The archive's directory claims the full size, as the header does.
    data = bytearray(path.read_bytes())
    true_size = (len(header) + 4096).to_bytes(4, "little")
    claimed = (len(header) + size * 512 * 4).to_bytes(4, "little")
    assert data.count(true_size) == 2
    path.write_bytes(bytes(data).replace(true_size, claimed))
    assert "not expanded" in refused(path)


@pytest.mark.parametrize("field", ["clip_ids", "scores"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_with_a_changed_byte_is_refused(save: Any, field: str, tmp_path: Path) -> None:
    # Larger than what zipfile reads ahead: it checks small members while the header is read.
    ids = np.array([f"clip{i:05}" for i in range(9000)])
    fields = {"clip_ids": ids, "class_names": NAMES, "scores": np.zeros((9000, 2))}
    save(tmp_path / "a", **fields)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{field}.npy")
    data = bytearray(path.read_bytes())
    sizes = int.from_bytes(data[info.header_offset + 26 :][:2], "little") + int.from_bytes(
        data[info.header_offset + 28 :][:2], "little"
    )
    data[info.header_offset + 30 + sizes + info.compress_size - 4] ^= 1
    path.write_bytes(bytes(data))
    assert "damaged" in refused(path)


@pytest.mark.parametrize(("shape", "descr"), [((10**30,), "<U0"), ((0, 10**30), "<U1")])
def test_npz_names_of_no_bytes(shape: tuple[int, ...], descr: str, tmp_path: Path) -> None:
    path = tmp_path / "a"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("clip_ids.npy", npy_header(shape, descr))
        for field, array in (("class_names", NAMES), ("scores", np.zeros((2, 2)))):
            stream = io.BytesIO()
            npy.write_array(stream, array)
            archive.writestr(f"{field}.npy", stream.getvalue())
    refused(path)


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x93NUMPY\x01\x00\xff\xff", id="short"),
        pytest.param(b"\x93NUMPY\x07\x00" + b" " * 20, id="version"),
        pytest.param(b"\x93NUMPY\x01\x00\x0a\x00" + b"(" * 10, id="no dict"),
        pytest.param(
            b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').system('true')".ljust(64), id="code"
        ),
    ],
)
def test_npz_headers_that_are_none(header: bytes, tmp_path: Path) -> None:
    assert "no NumPy array" in refused(write_archive(tmp_path / "a", header))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"  \n \n", "is empty", id="blank"),
        pytest.param(b"\x1f\x8b\x08\0", "gzip", id="gzip"),
        pytest.param(b"\xff\xfec\0l\0i\0p\0", "UTF-16", id="utf-16"),
        pytest.param(b"\x93NUMPY\x01\0", "bare NumPy array", id="npy"),
        pytest.param(b"\x89HDF\r\n", "HDF5", id="hdf5"),
        pytest.param(b"\0\1\2\3" * 9, "is neither", id="bytes"),
        pytest.param(b"PK\x03\x04 no archive", "damaged archive", id="zip"),
        pytest.param(b"PAR1 no parquet PAR1", "damaged Parquet", id="parquet"),
        pytest.param(b"\x80\x04\x95", "damaged", id="pickle"),
        pytest.param(b"some words\n", "one column clip_id", id="words"),
        pytest.param(b"clip_id,a\nx,1\xff\n", "is not UTF-8", id="latin cell"),
        pytest.param(b"clip_id,\xe9\nx,1\n", "is not UTF-8", id="latin header"),
        pytest.param(b"clip_id,a\n", "nothing to score", id="header only"),
        pytest.param(b"clip_id\nx\n", "nothing to score", id="no classes"),
        pytest.param(b"clip_id,clip_id,a\nx,y,1\n", "one column clip_id", id="two ids"),
        pytest.param(b"clip_id,a,a\nx,1,2\n", "more than one column", id="two columns"),
        pytest.param(b"clip_id,a,\nx,1,2\n", "have no name", id="no name"),
        pytest.param(b'clip_id,a,"b\nx,1,2\n', "no CSV", id="quote"),
        pytest.param(b"clip_id,a\n,1\n", "texts of 1 to 200", id="no id"),
        pytest.param(b"{", "is no JSON", id="brace"),
        pytest.param(b"{}", "nothing to score", id="no clips"),
        pytest.param(b"[]", "nothing to score", id="empty list"),
        pytest.param(b"[[[[", "is no JSON", id="open lists"),
        pytest.param(b'{"x": 1}', "neither a list nor an object", id="a number"),
        pytest.param(b'{"x": [1, 2]}', "no class_names", id="no names"),
        pytest.param(b'{"x": {"a": "1"}}', "score '1', not a number", id="text score"),
        pytest.param(b'{"x": {"a": true}}', "score True, not a number", id="true"),
        pytest.param(b'{"x": {"a": [1]}}', "score a list", id="list score"),
        pytest.param(b'{"x": {"a": 1, "a": 2}}', "names a class twice", id="class twice"),
        pytest.param(b'{"x": {}}', "nothing to score", id="no scores"),
        pytest.param(b'{"x": {"a": 1}, "y": [1]}', "an object of scores", id="mixed"),
        pytest.param(
            b'{"class_names": ["a"], "scores": {"x": [1, 2]}}', "2 scores for 1", id="long row"
        ),
        pytest.param(b'{"class_names": "a", "scores": {"x": [1]}}', "list of texts", id="names"),
        pytest.param(b'{"class_names": ["a"], "scores": [[1]]}', "must be an object", id="rows"),
        pytest.param(b'{"class_names": [1], "scores": {"x": [1]}}', "list of texts", id="numbers"),
        pytest.param(b'{"clip_id": 5, "a": 1}\n{"clip_id": "x", "a": 1}', "must be text", id="id"),
        pytest.param(b'{"clip_id": "x"}\n{"clip_id": "y"', "line 2", id="broken line"),
        pytest.param(b'{"clip_id": "x", "scores": 3}\n{"a": 1}', "a list or an object", id="3"),
        pytest.param(
            b'{"x": {"a": 1e400}, "y": {"a": 1' + b"0" * 400 + b"}}", "too large", id="big"
        ),
        pytest.param(b'{"x": {"a": 1' + b"0" * 5000 + b"}}", "can be read", id="digits"),
        pytest.param(b'{"a":' * 100_000, "too deeply", id="nested objects"),
        pytest.param(b"[" * 1_000_000, "too deeply", id="nested lists"),
    ],
)
def test_contents_that_are_no_predictions(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "scores"
    path.write_bytes(content)
    assert words in refused(path)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param({"a": [1.0]}, "one column clip_id", id="no ids"),
        pytest.param({"clip_id": [1], "a": [1.0]}, "must hold text", id="integer ids"),
        pytest.param({"clip_id": [None], "a": [1.0]}, "must hold text", id="null type"),
        pytest.param({"clip_id": pa.array([None], pa.string()), "a": [1.0]}, "texts", id="null"),
        pytest.param({"clip_id": ["x"], "a": ["y"]}, "'a' holds string", id="text"),
        pytest.param({"clip_id": ["x"], "a": [True]}, "'a' holds bool", id="truth"),
        pytest.param({"clip_id": ["x"], "a": [{"b": 1}]}, "holds struct", id="struct"),
        pytest.param({"clip_id": ["x"]}, "nothing to score", id="no classes"),
        pytest.param({"clip_id": pa.array([], pa.string()), "a": pa.array([], pa.float32())},
                     "nothing to score", id="no rows"),
        pytest.param({"clip_id": ["x"], "s": [[1.0]]}, "no class names", id="list, no names"),
        pytest.param({"clip_id": ["x"], "s": [[1.0]], "t": [[1.0]]}, "beside", id="two lists"),
        pytest.param({"clip_id": ["x"], "s": [[1.0]], "a": [1.0]}, "beside", id="list and more"),
        pytest.param({"clip_id": ["x", "y"], "s": [[1.0], [1.0, 2.0]],
                      "class_names": [["a"], ["a"]]}, "must all hold 1", id="ragged"),
        pytest.param({"clip_id": ["x", "y"], "s": [[1.0], [1.0]],
                      "class_names": [["a"], ["b"]]}, "same list", id="names differ"),
        pytest.param({"clip_id": ["x"], "s": [["p"]], "class_names": [["a"]]},
                     "not lists of scores", id="list of texts"),
        pytest.param({"clip_id": ["x"], "s": [[1.0]], "class_names": [1]},
                     "holds int64, not lists of texts", id="names are one number"),
        pytest.param({"clip_id": ["x"], "s": [[1.0]], "class_names": [[1]]}, "list of texts",
                     id="names are numbers"),
        pytest.param({"clip_id": ["x"], "s": [None], "class_names": [["a"]]}, "holds null",
                     id="null list"),
    ],
)  # fmt: skip
def test_parquet_that_does_not_fit(columns: dict[str, Any], words: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    assert words in refused(tmp_path / "a.parquet")


def test_parquet_with_broken_names_in_its_metadata(tmp_path: Path) -> None:
    for text, words in (("[", "not JSON"), ('{"a": 1}', "list of texts"), ("[1]", "list of texts")):
        table = pa.table({"clip_id": ["x"], "s": [[1.0]]})
        pq.write_table(table.replace_schema_metadata({"class_names": text}), tmp_path / "a")
        assert words in refused(tmp_path / "a")


def test_parquet_bomb_is_not_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.evaluation.score_table.FREE_BYTES", 1 << 16)
    column = pa.array(np.zeros(1 << 20, np.float32))
    ids = pa.array(["x"] * (1 << 20)).dictionary_encode()
    pq.write_table(pa.table({"clip_id": ids, "a": column}), tmp_path / "a")
    assert "not expanded" in refused(tmp_path / "a")


def test_what_is_no_readable_file(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent.npz")
    assert "Is a directory" in refused(tmp_path)


BASES: dict[str, bytes] = {}


@pytest.fixture(scope="module", autouse=True)
def _bases(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("bases")
    for kind, write in WRITERS.items():
        BASES[kind] = write(folder / "f", PREDICTIONS).read_bytes()


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_in_words(
    kind: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(BASES[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content))) :]
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(bytes(content))
    try:
        found = load_predictions(path)
    except InvalidInputError:
        return
    assert found.scores.shape == (len(found.clip_ids), found.ways)


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["class_names", "scores", "clip_id", "x", "a"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_refused_in_words(document: Any) -> None:
    from pathlib import Path
    from tempfile import NamedTemporaryFile

    with NamedTemporaryFile("w", suffix=".json") as file:
        file.write(json.dumps(document))
        file.flush()
        with contextlib.suppress(InvalidInputError):
            load_predictions(Path(file.name))

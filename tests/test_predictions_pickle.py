from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scoring import make_predictions, make_release, true_columns
from testbed import need
from torch_pickles import Tensor, samples, stand_in_for_torch, storage_bytes

from mimecurate.errors import InvalidInputError
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.predictions import load_predictions
from mimecurate.evaluation.safe_unpickle import UnsafePickleError, safe_unpickle

if TYPE_CHECKING:
    from pathlib import Path

HAS_TORCH = find_spec("torch") is not None  # asked before a fixture puts a stand-in there
RELEASE = make_release(20)
PREDICTIONS = make_predictions(RELEASE, ways=9)
LABELS = true_columns(RELEASE, PREDICTIONS)


@pytest.fixture(autouse=True)
def _torch(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_for_torch(monkeypatch)


def dump(path: Path, content: Any, protocol: int = 2) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def as_dumped(*, older: bool = False) -> list[dict[str, Any]]:
    return list(samples(PREDICTIONS.clip_ids, PREDICTIONS.scores, LABELS, older=older))


def refused(path: Path) -> str:
    with pytest.raises(InvalidInputError) as raised:
        load_predictions(path)
    return str(raised.value)


@pytest.mark.parametrize("older", [False, True], ids=["1.1 and later", "1.0"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_dump_of_torch_tensors_is_read(older: bool, protocol: int, tmp_path: Path) -> None:
    found = load_predictions(dump(tmp_path / "a.pkl", as_dumped(older=older), protocol))
    assert found.scores.dtype == np.float32
    assert np.array_equal(found.scores, PREDICTIONS.scores)
    assert found.true_columns is not None
    assert np.array_equal(found.true_columns, LABELS)
    assert found.class_names is None


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_dump_of_numpy_arrays_is_read(protocol: int, tmp_path: Path) -> None:
    content = [
        {"pred_score": row, "gt_label": np.array([label]), "img_key": clip}
        for clip, row, label in zip(PREDICTIONS.clip_ids, PREDICTIONS.scores, LABELS, strict=True)
    ]
    found = load_predictions(dump(tmp_path / "a.pkl", content, protocol))
    assert np.array_equal(found.scores, PREDICTIONS.scores)
    assert found.true_columns is not None
    assert np.array_equal(found.true_columns, LABELS)


def test_torch_is_not_imported(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", as_dumped())
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mimecurate.evaluation.predictions import load_predictions\n"
        f"assert load_predictions({str(path)!r}).scores.shape == (20, 9)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dump_scores_as_the_same_scores_with_names_do(tmp_path: Path) -> None:
    found = load_predictions(dump(tmp_path / "a.pkl", as_dumped()))
    dumped, named = (
        build_report([p], RELEASE, resamples=0).systems[0] for p in (found, PREDICTIONS)
    )
    assert dumped.overall == named.overall
    assert dumped.coverage.scored == 20
    assert "5 of 9 columns are known from its gt_label" in " ".join(dumped.warnings)


def test_class_names_can_be_given_for_a_dump(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", as_dumped())
    names = tmp_path / "label_map.txt"
    names.write_text("\n".join(PREDICTIONS.class_names or ()) + "\n")
    assert load_predictions(path, classes=names).class_names == PREDICTIONS.class_names
    names.write_text("archery\n")
    with pytest.raises(InvalidInputError, match=r"names 1 classes; a\.pkl has 9 columns"):
        load_predictions(path, classes=names)


def test_class_names_in_another_order_than_gt_label_are_refused(tmp_path: Path) -> None:
    path = dump(tmp_path / "a.pkl", as_dumped())
    names = tmp_path / "label_map.txt"
    names.write_text("\n".join(reversed(PREDICTIONS.class_names or ())))
    found = load_predictions(path, classes=names)
    with pytest.raises(InvalidInputError, match="the class names are in another order"):
        build_report([found], RELEASE, resamples=0)


def test_a_gt_label_that_contradicts_the_release_is_refused(tmp_path: Path) -> None:
    content = list(samples(PREDICTIONS.clip_ids, PREDICTIONS.scores, LABELS * 0))
    found = load_predictions(dump(tmp_path / "a.pkl", content))
    with pytest.raises(InvalidInputError, match="contradicts the release's classes"):
        build_report([found], RELEASE, resamples=0)


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        pytest.param({"pred_score": np.zeros(3)}, "gives samples no name", id="no id"),
        pytest.param({"filename": 5, "pred_score": np.zeros(3)}, "gives samples no name", id="5"),
        pytest.param({"filename": "x"}, "no vector of numbers", id="no scores"),
        pytest.param({"filename": "x", "pred_score": "y"}, "no vector", id="text"),
        pytest.param({"filename": "x", "pred_score": np.zeros((2, 3))}, "no vector", id="matrix"),
        pytest.param({"filename": "x", "pred_score": np.array(["a"])}, "no vector", id="texts"),
        pytest.param({"filename": "x", "pred_score": [1, "a"]}, "no vector", id="mixed"),
        pytest.param(np.zeros(3), "without clip ids", id="mmaction 0.x"),
    ],
)
def test_samples_that_do_not_fit(sample: Any, words: str, tmp_path: Path) -> None:
    message = refused(dump(tmp_path / "a.pkl", [sample]))
    assert words in message
    if "id" in words or "name" in words:
        assert "PackActionInputs(meta_keys=" in message


def test_samples_of_different_length_are_refused(tmp_path: Path) -> None:
    content = [{"filename": "x", "pred_score": np.zeros(n)} for n in (3, 4)]
    assert "sample 2 has 4 scores, others 3" in refused(dump(tmp_path / "a.pkl", content))


def test_one_row_named_many_times_is_not_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mimecurate.evaluation.score_table.FREE_BYTES", 1 << 16)
    sample = {"filename": "x", "pred_score": np.zeros(2000)}
    assert "not expanded" in refused(dump(tmp_path / "a.pkl", [sample] * 20_000))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param({"class_names": ["a", "b"], "scores": {"x": np.array([1.0, 2])}}, id="dict"),
        pytest.param({"x": {"a": 1.0, "b": 2}}, id="dict of dicts"),
        pytest.param(
            {"class_names": np.array(["a", "b"]), "clip_ids": np.array(["x"]),
             "scores": np.array([[1.0, 2]])}, id="arrays"),
    ],
)  # fmt: skip
def test_the_forms_of_json_and_npz_may_be_pickled(content: Any, tmp_path: Path) -> None:
    found = load_predictions(dump(tmp_path / "a.pkl", content))
    assert (found.clip_ids, found.class_names) == (("x",), ("a", "b"))
    assert found.scores.tolist() == [[1, 2]]


class Runs:
    """Runs ``function(*arguments)`` when it is unpickled by pickle."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def make_file(path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write("run")


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("wrap", ["bare", "in a sample", "in a torch storage", "as dict key"])
def test_a_hostile_pickle_is_refused_and_runs_nothing(
    protocol: int, wrap: str, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    hostile: Any = Runs(make_file, str(ran))
    if wrap == "in a sample":
        hostile = [{"filename": "x", "pred_score": np.zeros(3), "extra": hostile}]
    elif wrap == "in a torch storage":
        inner = pickle.dumps(hostile, protocol=2)
        hostile = [{"filename": "x", "pred_score": Tensor(np.zeros(3), storage=inner)}]
    elif wrap == "as dict key":
        hostile = {hostile: 1}
    path = dump(tmp_path / "a.pkl", hostile, protocol)
    assert "is a pickle that is not read" in refused(path)
    assert not ran.exists()
    if wrap == "bare":
        pickle.loads(path.read_bytes())
        assert ran.exists()  # the same file does run when it is read carelessly


GADGETS = {
    "os.system": b"cos\nsystem\n(S'true'\ntR.",
    "eval": b"\x80\x02c__builtin__\neval\nX\x04\0\0\0exit\x85R.",
    "getattr": b"\x80\x02cbuiltins\ngetattr\n.",
    "numpy.load": b"\x80\x02cnumpy\nload\n.",
    "dotted": b"\x80\x04\x8c\x05numpy\x8c\x0acore.print\x93.",
    "codec": b"\x80\x02c_codecs\nencode\nX\x01\0\0\0aX\x05\0\0\0rot13\x86R.",
    "extension registry": b"\x80\x02\x82\x01.",
    "persistent id": b"\x80\x02K\x01Q.",
    "instance": b"\x80\x02(c_codecs\nencode\no.",
    "new object": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
    "build on a function": b"\x80\x02c_codecs\nencode\n}X\x01\0\0\0aK\x01sb.",
    "build on a list": b"\x80\x02]}b.",
    "set of items": b"\x80\x04\x8f.",
    "item of a list": b"\x80\x02]K\x01K\x02s.",
    "long bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
    "long byte array": b"\x80\x05\x96" + b"\xff" * 7 + b"\x3f.",
    "long frame": b"\x80\x04\x95" + b"\xff" * 7 + b"\x3f.",
    "negative put": b"\x80\x02]p-5\n.",
    "stack underflow": b"\x80\x02R.",
    "no stop": b"\x80\x02]",
    "deep key": b"\x80\x02}K\x01" + b"\x85" * 200_000 + b"K\x02s.",
}


@pytest.mark.parametrize("name", GADGETS)
def test_known_tricks_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafePickleError):
        safe_unpickle(GADGETS[name])


def test_a_huge_memo_index_takes_no_memory() -> None:
    assert safe_unpickle(b"\x80\x02]r\xff\xff\xff\x7f0K\x07.") == 7


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        pytest.param({"size": (9,), "stride": (1,)}, "outside its memory", id="too long"),
        pytest.param({"offset": 2}, "outside its memory", id="offset"),
        pytest.param({"size": (2,), "stride": (100,)}, "outside its memory", id="stride"),
        pytest.param({"size": (2,), "stride": (-1,)}, "impossible shape", id="backwards"),
        pytest.param({"size": (-1,), "stride": (1,)}, "impossible shape", id="negative"),
        pytest.param({"size": (2**40,), "stride": (0,)}, "impossible shape", id="huge"),
        pytest.param({"size": (2**20,), "stride": (0,)}, "outside its memory", id="expanded"),
        pytest.param({"size": (1, 1), "stride": (1,)}, "impossible shape", id="ranks differ"),
        pytest.param({"storage": b"x"}, "damaged", id="no storage"),
    ],
)
def test_tensors_that_reach_outside(tensor: dict[str, Any], words: str, tmp_path: Path) -> None:
    content = [{"filename": "x", "pred_score": Tensor(np.zeros(3), **tensor)}]
    assert words in refused(dump(tmp_path / "a.pkl", content))


def test_a_storage_that_lies_about_its_length_is_refused(tmp_path: Path) -> None:
    for count in (-1, 2, 2**60):
        lying = Tensor(np.zeros(3), storage=storage_bytes(np.zeros(3), count=count))
        content = [{"filename": "x", "pred_score": lying}]
        assert "another size than it has" in refused(dump(tmp_path / "a.pkl", content))


@pytest.mark.parametrize("kind", ["f2", "f8", "bf2", "i8"])
def test_other_kinds_of_tensors(kind: str, tmp_path: Path) -> None:
    values = np.array([0.5, -2.0, 3.0]) if kind != "i8" else np.array([1, -2, 3])
    content = [{"filename": "x", "pred_score": Tensor(values, kind=kind)}]
    assert load_predictions(dump(tmp_path / "a.pkl", content)).scores[0].tolist() == values.tolist()


def test_views_of_a_larger_storage(tmp_path: Path) -> None:
    storage = storage_bytes(np.arange(12.0))
    every_third = Tensor(np.zeros(0), storage=storage, offset=1, size=(3,), stride=(3,))
    row = Tensor(np.zeros(0), storage=storage, offset=4, size=(1, 3), stride=(4, 1))
    content = [{"filename": n, "pred_score": t} for n, t in (("x", every_third), ("y", row))]
    found = load_predictions(dump(tmp_path / "a.pkl", content))
    assert found.scores.tolist() == [[1, 4, 7], [4, 5, 6]]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), protocol=st.sampled_from([2, 4, 5]))
def test_a_damaged_pickle_is_read_or_refused(data: st.DataObject, protocol: int) -> None:
    content = bytearray(pickle.dumps(as_dumped()[:2], protocol=protocol))
    for _ in range(data.draw(st.integers(1, 10))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    try:
        safe_unpickle(bytes(content))
    except UnsafePickleError as error:
        words = str(error)
        assert words, content


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_what_torch_itself_pickles_is_read(dtype: str, tmp_path: Path) -> None:
    need("torch", HAS_TORCH, "torch is not installed")
    code = (
        "import sys, pickle, torch\n"
        f"score = (torch.arange(12).to(torch.{dtype}) / 4).reshape(3, 4)\n"
        "label = torch.tensor([2])\n"
        "content = [{'filename': 'x', 'pred_score': row, 'gt_label': label} for row in score]\n"
        "pickle.dump(content, open(sys.argv[1], 'wb'), protocol=int(sys.argv[2]))\n"
    )
    for protocol in (2, 5):
        path = tmp_path / f"{protocol}.pkl"
        subprocess.run([sys.executable, "-c", code, str(path), str(protocol)], check=True)
        found = load_predictions(path)
        assert np.array_equal(found.scores, np.arange(12).reshape(3, 4) / 4)
        assert found.true_columns is not None
        assert found.true_columns.tolist() == [2, 2, 2]


@pytest.mark.parametrize("label", [2**64 - 1, 2**63, 2**40])
def test_a_gt_label_beyond_every_column_is_none(label: int, tmp_path: Path) -> None:
    content = [{"pred_score": [0.5, 1.0], "gt_label": np.array([label], np.uint64), "img_key": "x"}]
    found = load_predictions(dump(tmp_path / "a.pkl", content))
    assert found.true_columns is not None
    assert found.true_columns.tolist() == [-1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param([{"pred_score": [10**400], "img_key": "x"}], "no vector", id="huge score"),
        pytest.param({"scores": {10**5000: [1]}, "class_names": ["a"]}, "not text", id="huge id"),
    ],
)
def test_numbers_that_no_column_holds(content: Any, words: str, tmp_path: Path) -> None:
    assert words in refused(dump(tmp_path / "a.pkl", content))


DEEP = b")" + b"\x85" * 3_000_000  # () in a tuple in a tuple …
SHARED = b")" + b"2\x86" * 60  # 2**60 times () when it is walked
ENCODE = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00a"
DTYPE = b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R"
FROM_BUFFER = b"\x80\x04cnumpy.core.numeric\n_frombuffer\n(C\x00" + DTYPE[2:] + b")"


@pytest.mark.parametrize("evil", [DEEP, SHARED], ids=["deep", "shared"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(ENCODE, b"\x86R.", id="codec"),
        pytest.param(DTYPE + b"K\x03", b"\x86b.", id="dtype"),
        pytest.param(FROM_BUFFER, b"tR.", id="order"),
    ],
)
def test_a_tuple_where_text_belongs_is_not_hashed(before: bytes, evil: bytes, after: bytes) -> None:
    code = (
        "import sys\n"
        "from mimecurate.evaluation.safe_unpickle import UnsafePickleError, safe_unpickle\n"
        "try:\n    safe_unpickle(sys.stdin.buffer.read())\n"
        "except UnsafePickleError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], input=before + evil + after, capture_output=True, timeout=30
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert b"unknown" in done.stdout or b"not plain numbers" in done.stdout

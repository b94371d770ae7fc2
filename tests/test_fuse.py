from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from scoring import write_npz

from mimecurate.baselines.fuse import fuse, kind_of
from mimecurate.commands.root import cli
from mimecurate.errors import InvalidInputError, MimecurateError
from mimecurate.evaluation.predictions import Predictions, load_predictions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CLASSES = ("archery", "bowling", "drinking", "juggling balls")


def system(
    scores: NDArray[Any],
    name: str = "a",
    clips: Sequence[str] | None = None,
    classes: Sequence[str] = CLASSES,
) -> Predictions:
    ids = [f"clip{i}" for i in range(len(scores))] if clips is None else clips
    return Predictions(name, tuple(ids), tuple(classes[: scores.shape[1]]), scores)


def probabilities(clips: int = 5, classes: int = 4, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), clips)


seeds = st.integers(0, 2**32 - 1)
weight_lists = st.lists(st.floats(0.001, 1000), min_size=2, max_size=4)


@given(seeds, st.integers(1, 4))
def test_a_file_fused_with_itself_is_itself(seed: int, times: int) -> None:
    scores = probabilities(seed=seed)
    fused = fuse([system(scores)] * times)
    assert np.allclose(fused.scores, scores, atol=1e-7)


@given(seeds, weight_lists, st.floats(1e-300, 1e300))
def test_only_the_ratios_of_weights_matter(seed: int, weights: list[float], factor: float) -> None:
    files = [system(probabilities(seed=seed + i)) for i in range(len(weights))]
    plain = fuse(files, weights=weights)
    scaled = fuse(files, weights=[weight * factor for weight in weights])
    assert np.allclose(plain.scores, scaled.scores, atol=1e-6)


@given(seeds, weight_lists)
def test_fused_rows_are_the_weighted_mean_and_sum_to_one(seed: int, weights: list[float]) -> None:
    parts = [probabilities(seed=seed + i) for i in range(len(weights))]
    fused = fuse([system(part) for part in parts], weights=weights)
    assert np.allclose(fused.scores, np.average(parts, axis=0, weights=weights), atol=1e-6)
    assert np.allclose(fused.scores.sum(1), 1, atol=1e-5)


@settings(max_examples=30)
@given(seeds, st.permutations(range(5)), st.permutations(range(4)))
def test_orders_of_rows_and_columns_mean_nothing(
    seed: int, rows: list[int], columns: list[int]
) -> None:
    first, second = probabilities(seed=seed), probabilities(seed=seed + 1)
    shuffled = system(
        second[rows][:, columns],
        clips=[f"clip{i}" for i in rows],
        classes=[CLASSES[i] for i in columns],
    )
    fused = fuse([system(first), shuffled])
    assert fused.clip_ids == tuple(f"clip{i}" for i in range(5))
    assert fused.class_names == CLASSES
    assert np.allclose(fused.scores, (first + second) / 2, atol=1e-6)


def test_a_weight_of_nothing_leaves_a_file_out() -> None:
    first, second = probabilities(seed=1), probabilities(seed=2)
    fused = fuse([system(first), system(second)], weights=[0, 2])
    assert np.allclose(fused.scores, second, atol=1e-7)


def test_logits_go_through_a_softmax_each_file_for_itself() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)) * 800
    even = np.full((5, 4), 0.25)
    fused = fuse([system(logits), system(even)])
    assert fused.kinds == ("logits", "probabilities")
    assert np.allclose(fused.scores, (softmax(logits, axis=1) + even) / 2, atol=1e-6)


@pytest.mark.parametrize(
    ("scores", "kind"),
    [
        ([[0.5, 0.5], [1, 0]], "probabilities"),
        ([[0.333, 0.666]], "probabilities"),
        ([[1.5, 0.2]], "logits"),
        ([[-0.1, 0.9]], "logits"),
        ([[-np.inf, 2.0]], "logits"),
        ([[np.nan, np.nan], [0.5, 0.5]], "probabilities"),
        (log_softmax([[1.0, 2.0]], axis=1), "logits"),
    ],
)
def test_what_a_file_holds_is_told_by_its_values(scores: Any, kind: str) -> None:
    assert kind_of(system(np.asarray(scores))) == kind


def test_what_may_be_either_is_refused_until_told() -> None:
    either = system(np.array([[0.9, 0.8], [0.5, 0.5]]))
    with pytest.raises(InvalidInputError, match=r"0\.7 off .* say which with --scores"):
        fuse([either])
    assert np.allclose(fuse([either], scores="probabilities").scores[0], [0.9, 0.8])
    assert np.allclose(fuse([either], scores="logits").scores[0], softmax([0.9, 0.8]))


def test_logits_called_probabilities_are_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"holds -1 to 2: no probabilities"):
        fuse([system(np.array([[-1.0, 2.0]]))], scores="probabilities")


def test_clips_and_classes_that_differ_are_named_or_left_out() -> None:
    first = system(probabilities(), "rgb")
    second = system(probabilities(4, 3), "flow", clips=["clip3", "clip1", "clip0", "other"])
    with pytest.raises(InvalidInputError, match="in clips") as refused:
        fuse([first, second])
    assert "rgb has no 'other'" in str(refused.value)
    assert "flow has no 'clip2', 'clip4'" in str(refused.value)
    fused = fuse([first, second], missing="skip")
    assert fused.clip_ids == ("clip0", "clip1", "clip3")
    assert fused.skipped_clips == ("clip2", "clip4", "other")
    assert fused.class_names == CLASSES[:3]
    assert fused.skipped_classes == CLASSES[3:]
    expected = (first.scores[0, :3] + second.scores[2]) / 2
    assert np.allclose(fused.scores[0], expected, atol=1e-6)


def test_a_row_of_nan_alone_is_no_row() -> None:
    scores = probabilities()
    scores[2] = np.nan
    with pytest.raises(InvalidInputError, match="b has no 'clip2'"):
        fuse([system(probabilities()), system(scores, "b")])
    fused = fuse([system(probabilities()), system(scores)], missing="skip")
    assert "clip2" not in fused.clip_ids


@pytest.mark.parametrize("bad", [[0.5, np.nan], [np.inf, 0.0], [-np.inf, -np.inf]])
def test_other_nan_and_infinity_is_refused(bad: list[float]) -> None:
    with pytest.raises(InvalidInputError, match=r"NaN or infinity .*'clip0'"):
        fuse([system(np.array([bad]))])


def test_nothing_in_common_and_rows_that_repeat_are_refused() -> None:
    first = system(probabilities(1))
    with pytest.raises(MimecurateError, match="no clips are in every file"):
        fuse([first, system(probabilities(1), clips=["x"])], missing="skip")
    with pytest.raises(InvalidInputError, match="several rows for 'x'"):
        fuse([system(probabilities(2), clips=["x", "x"])])
    nameless = Predictions("dump", ("a",), None, np.ones((1, 2)))
    with pytest.raises(InvalidInputError, match="--classes"):
        fuse([nameless])


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")]])
def test_weights_that_are_none_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights"):
        fuse([system(probabilities())] * 2, weights=weights)


def run(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["baseline", "fuse", *map(str, arguments)])


@pytest.mark.parametrize("ending", ["parquet", "npz", "csv"])
def test_the_command_writes_what_evaluate_reads(tmp_path: Path, ending: str) -> None:
    first, second = probabilities(seed=1), np.log(probabilities(seed=2))
    a = write_npz(tmp_path / "rgb.npz", system(first))
    b = write_npz(tmp_path / "flow.npz", system(second))
    out = tmp_path / f"fused.{ending}"
    done = run(a, b, "--weights", "1,3", "--out", out, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [source["weight"] for source in document["sources"]] == [0.25, 0.75]
    assert [source["scores"] for source in document["sources"]] == ["probabilities", "logits"]
    assert document["sources"][0]["sha256"] == load_predictions(a).sha256
    fused = load_predictions(out)
    assert np.allclose(fused.scores, first / 4 + np.exp(second) * 3 / 4, atol=1e-6)
    assert sorted(path.name for path in tmp_path.glob(".*")) == []


def test_the_file_names_its_sources_and_what_was_said_of_them(tmp_path: Path) -> None:
    a = write_npz(tmp_path / "rgb.npz", system(probabilities()))
    note = {"model": "r3d_18", "note": "random weights, no accuracy"}
    (tmp_path / "rgb.npz.manifest.json").write_text(json.dumps(note), "utf-8")
    out = tmp_path / "fused.parquet"
    assert run(a, "--out", out).exit_code == 0
    manifest = json.loads(pq.read_schema(out).metadata[b"mimecurate_manifest"])
    assert manifest["settings"]["sources"][0]["file"] == "rgb.npz"
    assert manifest["note"] == "rgb.npz: random weights, no accuracy"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--weights", "1,2"], 2, "2 weights for 1 prediction files"),
        (["--weights", "x"], 2, "write numbers with commas"),
        (["--weights", "0"], 2, "not all 0"),
        (["--out", "rgb.npz"], 2, "would write over a source"),
        (["--out", "no/such.npz"], 1, "there is no folder no"),
        (["--out", "fused.txt"], 1, "ends in .parquet, .npz, .csv"),
    ],
)
def test_wrong_use_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_npz(tmp_path / "rgb.npz", system(probabilities()))
    done = run("rgb.npz", "--out", "fused.npz", *arguments)
    assert (done.exit_code, words in done.output) == (status, True), done.output
    assert not (tmp_path / "fused.npz").exists()

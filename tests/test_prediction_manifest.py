from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from scoring import make_predictions, make_release, write_csv
from testbed import REPOSITORY

from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.prediction_manifest import (
    MANIFEST_KEY,
    manifest_line,
    manifest_path,
    parse_manifest,
)
from mimecurate.evaluation.predictions import load_predictions
from mimecurate.evaluation.report_html import report_page
from mimecurate.evaluation.report_json import report_json
from mimecurate.evaluation.table_formats import as_latex, as_markdown, as_text

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.evaluation.report import Report

RELEASE = make_release(12)
MANIFEST = {
    "model": "r2plus1d_18",
    "paper": "Tran et al., CVPR 2018",
    "weights": {"file": "r2plus1d_18-91a641e6.pth", "sha256": "91a641e6" * 8, "source": "there"},
    "settings": {"amp": None, "views": 5, "protocol": {"frames": 16}},
    "seed": 0,
    "versions": {"torch": "2.15.0"},
    "device": "NVIDIA H200",
    "date": "2026-01-01T00:00:00+00:00",
    "clips": 10,
    "failed": {"a": "corrupt: cut off", "b": "corrupt: no", "c": "no_person: nobody"},
}
LINE = (
    "r2plus1d_18, weights r2plus1d_18-91a641e6.pth (91a641e691a6), NVIDIA H200, "
    "2026-01-01T00:00:00+00:00, 3 clips failed (corrupt 2, no_person 1)"
)


def write(path: Path, manifest: bytes | str) -> Path:
    predictions = make_predictions(RELEASE, ways=8)
    names = predictions.class_names or ()
    columns = {name: predictions.scores[:, i] for i, name in enumerate(names)}
    table = pa.table({"clip_id": list(predictions.clip_ids), **columns})
    pq.write_table(table.replace_schema_metadata({MANIFEST_KEY: manifest}), path)
    return path


def report_of(path: Path) -> Report:
    return build_report([load_predictions(path)], RELEASE, resamples=0)


def check_schema(document: Any) -> None:
    schema = json.loads((REPOSITORY / "schemas" / "evaluation.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(document)


def test_every_output_says_how_scores_came_to_be(tmp_path: Path) -> None:
    report = report_of(write(tmp_path / "rgb.parquet", json.dumps(MANIFEST)))
    document = report_json(report)
    check_schema(document)
    found = document["systems"][0]["manifest"]
    assert found["weights"] == MANIFEST["weights"]
    assert found["failed"] == {"corrupt": 2, "no_person": 1}
    assert found["settings"] == {"amp": None, "views": 5, "protocol": '{"frames": 16}'}
    assert f"rgb: made by {LINE}" in as_text(report, None)
    assert "91a641e691a6" in as_markdown(report)
    assert "91a641e691a6" in as_latex(report)
    page = report_page(report)
    assert f"<summary><bdi>{LINE}</bdi></summary>" in page
    assert "<bdi>versions torch</bdi>" in page


def test_a_file_without_a_manifest_has_none(tmp_path: Path) -> None:
    report = report_of(write_csv(tmp_path / "a.csv", make_predictions(RELEASE, ways=8)))
    assert report.systems[0].manifest is None
    document = report_json(report)
    check_schema(document)
    assert document["systems"][0]["manifest"] is None
    assert "made by" not in as_text(report, None)


def test_the_manifest_beside_a_file_is_read(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", make_predictions(RELEASE, ways=8))
    manifest_path(path).write_text(json.dumps(MANIFEST), "utf-8")
    assert report_of(path).systems[0].manifest == parse_manifest(json.dumps(MANIFEST))
    manifest_path(path).write_bytes(b"\xff\xfe no JSON")
    assert report_of(path).systems[0].manifest is None


HOSTILE: dict[str, bytes | str] = {
    "no JSON": "{" * 100,
    "not UTF-8": b"\xff\xfe\x00",
    "a list": "[1, 2]",
    "deep": '{"model":' * 5000,
    "no model": '{"seed": 0}',
    "model of a wrong type": '{"model": {"a": 1}}',
    "NaN": '{"model": "a", "seed": NaN, "seconds": 1e999}',
    "wrong types": '{"model": "a", "seed": "0", "failed": [1], "weights": 3, "device": null}',
    "huge text": json.dumps({"model": "a" * 1_000_000}),
    "huge number": '{"model": "a", "seed": ' + "9" * 4000 + "}",
    "many keys": json.dumps({"model": "a", "settings": {str(i): i for i in range(100_000)}}),
    "many reasons": json.dumps({"model": "a", "failed": {str(i): f"r{i}" for i in range(9999)}}),
    "markup": json.dumps({"model": "</summary><script>alert(1)</script>", "device": "<img src=x>"}),
    "control": json.dumps({"model": "a\x1b[31m\u202e\nb", "note": "\ud800"}),
    "latex": json.dumps({"model": r"\input{/etc/passwd} $ & % _ #", "paper": "|"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_manifest_does_no_harm(name: str, tmp_path: Path) -> None:
    report = report_of(write(tmp_path / "p.parquet", HOSTILE[name]))
    document = report_json(report)
    check_schema(document)
    text = json.dumps(document["systems"][0]["manifest"], allow_nan=False)
    assert len(text) < 100_000
    page, plain = report_page(report), as_text(report, None)
    assert "<script>alert" not in page
    assert "<img src" not in page
    assert "\x1b" not in page + plain
    assert "\u202e" not in page + plain
    latex = [line for line in as_latex(report).splitlines() if "passwd" in line]
    assert all(line.startswith("% ") for line in latex)
    page.encode()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.sampled_from(["model", "seed", "weights", "failed", "note", "settings"]),
)
def test_any_value_under_any_key_is_taken_or_left(value: Any, key: str) -> None:
    found = parse_manifest(json.dumps({"model": "m", key: value}))
    if found is not None:
        assert manifest_line(found)
        json.dumps(found, allow_nan=False).encode()


def test_large_scores_keep_their_type_beside_a_manifest(tmp_path: Path) -> None:
    found = load_predictions(write(tmp_path / "p.parquet", json.dumps(MANIFEST)))
    assert found.scores.dtype == np.float32
    assert found.manifest is not None

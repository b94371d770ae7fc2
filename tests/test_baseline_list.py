from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mimecurate.baselines.registry import model_cards
from mimecurate.commands.baseline_list import command
from mimecurate.errors import MimecurateError


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_table_fits_80_columns_and_breaks_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = listed().splitlines()
    assert max(map(len, lines)) <= 80
    table = lines[: lines.index("")]
    rows = {line.split()[0]: line for line in table[-len(model_cards()) :]}
    assert set(rows) == set(model_cards())
    assert "(M)" in " ".join(table[: -len(model_cards())])
    assert rows["r2plus1d_18"].split() == [
        *("r2plus1d_18", "16x112x112", "rgb", "31.5", "40.5", "400", "Tran", "2018"),
    ]


def test_every_model_stands_under_where_its_weights_come_from() -> None:
    below = listed().split("\n\n")[1]
    named = [name for name in model_cards() if f" {name}" in below.replace("\n", " ")]
    assert named == list(model_cards())
    assert "by hand, MIT" in below
    assert "download.pytorch.org, BSD-3-Clause" in below


def test_json_holds_every_card() -> None:
    cards = json.loads(listed("--json"))
    assert [card["name"] for card in cards] == list(model_cards())
    for card in cards:
        for key in ("paper", "classes", "parameters", "gflops", "weights", "modality"):
            assert key in card
        for weights in card["weights"]:
            assert weights["licence"]
            assert weights["url"] or weights["where"]


def test_one_model_in_words_and_as_json() -> None:
    words = listed("swin3d_b")
    assert "Video Swin Transformer, CVPR 2022" in words
    assert "https://download.pytorch.org/models/swin3d_b_22k-7c6ae6fa.pth" in words
    assert "begins 7c6ae6fa" in words
    assert "settings" not in words  # its own name alone
    assert json.loads(listed("swin3d_b", "--json"))["parameters"] == 88_048_984
    words = listed("resnext101_flow_64f")
    assert "(to be downloaded by hand)" in " ".join(words.split())
    assert "where:" not in words


def test_an_unknown_model_says_what_is_near() -> None:
    with pytest.raises(MimecurateError, match="'swin'; did you mean swin3d_t, swin3d_s, swin3d_b"):
        CliRunner().invoke(command, ["swin"], catch_exceptions=False)


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys\nfrom mimecurate.cli import main\nsys.argv = ['mimecurate', 'baseline', 'list']"
        "\ntry:\n    main()\nfinally:\n    assert 'torch' not in sys.modules"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

"""Tables on terminals of every width: figures stay whole."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.console import print_table

COLUMNS = ["class", "searched", "found", "yes", "yield [90 %]", "yes/search"]
ROWS = [
    ["skiing (not slalom or crosscountry)", 50, 28_000_123, 1, "25 [0, 77]", 0.123],
    ["archery", 1_234, 5, 0, "", 0],
]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 200])
def test_figures_and_words_are_whole_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(COLUMNS, ROWS)
    shown = capsys.readouterr().out
    for figure in ("28000123", "25 [0, 77]", "0.123", "1234", "skiing", "crosscountry)", "archery"):
        assert figure in shown


def test_a_table_is_no_wider_than_the_terminal_where_that_can_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    print_table(COLUMNS, ROWS)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 70


def test_what_people_copy_is_broken_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    print_table(["clip_id", "why"], [["0zFbEjoGlhc_000192_000202", "a long reason " * 9]])
    assert "0zFbEjoGlhc_000192_000202" in capsys.readouterr().out


@given(
    rows=st.lists(st.tuples(st.text(max_size=40), st.integers(0, 10**12)), max_size=4),
    width=st.integers(1, 100),
)
def test_no_table_loses_a_number(rows: list[tuple[str, int]], width: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width))
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            print_table(["words", "numbers"], rows)
    found = re.findall(r"\d+$", out.getvalue(), re.MULTILINE)
    assert [n for _, n in rows if str(n) not in found] == []

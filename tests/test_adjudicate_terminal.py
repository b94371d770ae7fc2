"""Deciding in the terminal: keys from a pipe and from a real terminal."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from release_lists import annotate, clip, know_classes

from mimecurate.annotation.adjudicate_decisions import record_decision
from mimecurate.commands.root import cli
from mimecurate.curation.release_rule import Outcome
from mimecurate.curation.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.workspace import Workspace

VERDICT, LABEL, TRIM = (clip(f"v{number}-00000000", 10, 15) for number in range(3))


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with three clips in dispute: the verdict, the label and a flag, the trim."""
    with open_workspace(tmp_path) as space:
        know_classes(space.db)
        yes = {"label": "archery", "mime_artist": "no"}
        annotate(space.db, VERDICT, "ann", **yes)
        annotate(space.db, VERDICT, "bob", verdict="no", note="only \x1b[31mred")
        annotate(space.db, LABEL, "ann", **yes)
        annotate(space.db, LABEL, "bob", **yes | {"label": "drinking", "mime_artist": "yes"})
        annotate(space.db, TRIM, "ann", **yes, start_ms=11_000, end_ms=14_500)
        annotate(space.db, TRIM, "bob", **yes)
        yield space


def _press(space: Workspace, keys: str, *more: str) -> tuple[list[Any], str]:
    """Return what is decided then, and what was shown."""
    arguments = ["annotate", "adjudicate", "-w", str(space.root), "--terminal", "--by", "Ada"]
    result = CliRunner().invoke(cli, [*arguments, *more], input=keys)
    assert result.exit_code == 0, result.output
    return _decided(space), result.stderr


def _decided(space: Workspace) -> list[Any]:
    return space.db.execute(
        "SELECT clip_id, verdict, label, mime_artist, start_ms, end_ms, why FROM current_decisions "
        "ORDER BY clip_id"
    ).fetchall()


def test_a_persons_answer_is_taken_by_its_number(space: Workspace) -> None:
    decided, shown = _press(space, "121")
    assert decided == [
        (VERDICT.clip_id, "yes", "archery", "no", None, None, "took the answer of ann"),
        (LABEL.clip_id, "yes", "drinking", "yes", None, None, "took the answer of bob"),
        (TRIM.clip_id, "yes", "archery", "no", 11_000, 14_500, "took the answer of ann"),
    ]
    assert "clip 3 of 3" in shown
    assert "watch?v=v0-00000000&t=10s" in shown
    assert "verdict *" in shown
    assert "only \\x1b[31mred" in shown


def test_a_no_is_only_a_no(space: Workspace) -> None:
    """What somebody left on the form beside a no is not decided."""
    annotate(space.db, VERDICT, "bob", verdict="no", label="archery", at="2026-02-02T00:00:00Z")
    assert _press(space, "2")[0] == [
        (VERDICT.clip_id, "no", None, None, None, None, "took the answer of bob")
    ]


def test_field_by_field_asks_for_what_differs(space: Workspace) -> None:
    decided, _ = _press(space, "fyf2yf1")
    assert [row[1:6] for row in decided] == [
        ("yes", "archery", "no", None, None),
        ("yes", "drinking", "yes", None, None),
        ("yes", "archery", "no", None, None),
    ]
    assert decided[0][6] == "field by field"


def test_another_class_is_typed_by_a_part_of_its_name(space: Workspace) -> None:
    decided, shown = _press(space, "sf/nothing\nboxing\nn")
    assert decided[0][1:4] == ("yes", "punching person (boxing)", "no")
    assert "no class 'nothing'" in shown


def test_decided_anew_with_a_reason(space: Workspace) -> None:
    decided, _ = _press(space, "wnobody imitates it\nnwthe player hangs\nxu")
    assert [(row[1], row[6]) for row in decided] == [
        ("no", "nobody imitates it; decided anew"),
        ("unplayable", "the player hangs; decided anew"),
        ("unsure", "decided anew"),
    ]


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "en_US.UTF-8"])
def test_bytes_that_are_not_utf8_are_kept_as_replaced(space: Workspace, locale: str) -> None:
    command = [sys.executable, "-m", "mimecurate", "annotate", "adjudicate", "--terminal"]
    result = subprocess.run(
        [*command, "-w", str(space.root), "--by", "Ada"],
        input=b"\xffwcaf\xe9\n1",
        capture_output=True,
        env={**os.environ, "LC_ALL": locale, "PYTHONUTF8": "0"},
        timeout=60,
    )
    assert result.returncode == 0, result.stderr.decode()
    assert [row[6] for row in _decided(space)] == ["caf\ufffd; took the answer of ann"]


def test_back_takes_back_as_often_as_pressed(space: Workspace) -> None:
    decided, shown = _press(space, "b1sbb2q")
    assert [(row[0], row[1]) for row in decided] == [(VERDICT.clip_id, "no")]
    assert "nothing to go back to" in shown
    assert "taken back" in shown
    assert space.db.execute("SELECT count(*) FROM decisions").fetchone() == (2,)


@pytest.mark.parametrize("end", ["q", "", "f", "w", "f/"])
def test_whatever_ends_it_what_was_decided_is_kept(space: Workspace, end: str) -> None:
    decided, shown = _press(space, "1" + end)
    assert [row[0] for row in decided] == [VERDICT.clip_id]
    assert "1 clip decided, 2 in dispute" in shown


def test_unknown_keys_do_nothing(space: Workspace) -> None:
    decided, shown = _press(space, "39\x1b?1")
    assert [row[0] for row in decided] == [VERDICT.clip_id]
    assert "no key '3' here" in shown
    assert "s skip" in shown


def test_names_can_be_hidden_but_are_recorded(space: Workspace) -> None:
    decided, shown = _press(space, "1", "--anonymous")
    assert "1 A" in shown
    assert "ann" not in shown.split("decided")[0]
    assert decided[0][6] in {"took the answer of ann", "took the answer of bob"}


def test_what_somebody_else_decided_meanwhile_is_passed_over(
    space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mimecurate.commands import adjudicate_terminal

    read_key = adjudicate_terminal._read_key

    def read_while_others_work() -> str:
        if not _decided(space):
            record_decision(
                space.db, LABEL.clip_id, Outcome("no"), method="imported", by="Eve", why=""
            )
        return read_key()

    monkeypatch.setattr(adjudicate_terminal, "_read_key", read_while_others_work)
    decided, shown = _press(space, "11")
    assert [row[0] for row in decided] == [VERDICT.clip_id, LABEL.clip_id, TRIM.clip_id]
    assert f"{LABEL.clip_id}: Eve decided meanwhile" in shown


def test_a_clip_without_any_class_needs_one(space: Workspace) -> None:
    space.db.execute("UPDATE clips SET label = NULL")
    annotate(space.db, VERDICT, "ann", at="2026-02-02T00:00:00Z")
    decided, _ = _press(space, "1arch\n")
    assert decided[0][2] == "archery"


def test_contact_sheet_is_written_where_no_terminal_is(
    space: Workspace, sample: SampleMaker
) -> None:
    from mimecurate.curation.samples import VideoSpec

    _, shown = _press(space, "cq")
    assert "No such file" in shown
    path = space.root / "clips" / VERDICT.clip_id[:2] / f"{VERDICT.clip_id}.mp4"
    path.parent.mkdir(parents=True)
    path.write_bytes(sample(VideoSpec()).path.read_bytes())
    _, shown = _press(space, "cq")
    assert "contact-sheet.png" in shown
    assert (space.state_dir / "contact-sheet.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_single_keys_in_a_real_terminal(space: Workspace) -> None:
    """No Enter is needed, Ctrl-C ends it, and what was decided is kept."""
    import pty

    lead, terminal = pty.openpty()
    command = [sys.executable, "-m", "mimecurate", "annotate", "adjudicate", "--terminal"]
    process = subprocess.Popen(
        [*command, "--by", "Ada", "-w", str(space.root)],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=os.environ | {"COLUMNS": "80", "TERM": "xterm"},
        start_new_session=True,
    )
    os.close(terminal)
    try:
        _press_for_real(lead, b"for help): ", b"1")
        _press_for_real(lead, b"clip 2 of 3", b"\x03")
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
        os.close(lead)
    assert [row[0] for row in _decided(space)] == [VERDICT.clip_id]


def _press_for_real(terminal: int, words: bytes, key: bytes) -> None:
    """Press a key once some words were seen and a single key is read; earlier ones are lost."""
    import termios

    seen = b""
    end = time.monotonic() + 60
    while words not in seen:
        ready, _, _ = select.select([terminal], [], [], max(0.0, end - time.monotonic()))
        assert ready, seen
        seen += os.read(terminal, 65536)
    while termios.tcgetattr(terminal)[3] & termios.ICANON:
        assert time.monotonic() < end
        time.sleep(0.01)
    os.write(terminal, key)

"""Decisions in and out as CSV: everything wrong is said at once, and nothing is half taken over."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from release_lists import CLIPS, annotate, clip, know, know_classes

from mimecurate.annotation.adjudicate import find_standing
from mimecurate.annotation.adjudicate_csv import Imported, export_decisions, import_decisions
from mimecurate.annotation.adjudicate_decisions import current_decisions, record_decision
from mimecurate.commands.root import cli
from mimecurate.curation.release_rule import Outcome
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import InvalidInputError
from mimecurate.schemas.database import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

FIRST, SECOND, DASHED, HALVES = CLIPS
UNLISTED = clip("unlisted-01", 3, 8)
HEADER = "clip_id,verdict,label,mime_artist,object_relevant,scene_relevant,start,end,why,decided_by"


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path) as space:
        know_classes(space.db)
        for one in (*CLIPS, UNLISTED):
            know(space.db, one)
        space.db.execute("UPDATE clips SET label = NULL WHERE video_id = 'unlisted-01'")
        yield space


def _import(space: Workspace, *rows: str, header: str = HEADER, dry_run: bool = False) -> Imported:
    text = "\n".join([header, *rows])
    return import_decisions(
        space.db, io.BytesIO(text.encode()), "d.csv", by="lead", dry_run=dry_run
    )


def _problems(space: Workspace, *rows: str, header: str = HEADER) -> list[str]:
    before = list(space.db.conn.iterdump())
    with pytest.raises(InvalidInputError) as raised:
        _import(space, *rows, header=header)
    assert list(space.db.conn.iterdump()) == before
    return [str(problem) for problem in raised.value.problems]


def test_rows_become_decisions(space: Workspace) -> None:
    done = _import(
        space,
        f"{FIRST.clip_id},yes,,no,unsure,,,,,",
        f"{SECOND.clip_id}, YES ,punching_person (boxing),,,,00:05,8.25,a reason,Ada",
        f"{DASHED.clip_id},no,,,,,,,,",
        f"{HALVES.clip_id},,,,,,,,,",
        "",
    )
    assert done == Imported(decided=3, changed=0, unchanged=0, left_open=1)
    found = current_decisions(space.db)
    assert found[FIRST.clip_id].outcome == Outcome("yes", None, "no", "unsure", None, None)
    second = found[SECOND.clip_id]
    assert second.outcome.label == "punching person (boxing)"
    assert second.outcome.trim == (5000, 8250)
    assert (second.why, second.decided_by, second.method) == ("a reason", "Ada", "imported")
    assert found[DASHED.clip_id].decided_by == "lead"


def test_columns_in_any_order_other_delimiters_and_more_columns(space: Workspace) -> None:
    done = _import(
        space, f"x;no;{FIRST.clip_id};\ufeff", header="\ufeffvotes;Verdict;clip_id;another"
    )
    assert done.decided == 1
    assert _import(space, f"{FIRST.clip_id}\tno", header="clip_id\tverdict").unchanged == 1


def test_everything_wrong_is_said_at_once_with_its_place(space: Workspace) -> None:
    one, two = FIRST.clip_id, SECOND.clip_id
    long = "w" * 10_001
    assert _problems(
        space,
        f"{one},maybe,archerry,no,oui,,,,,",
        f"{one},no,,,,,,,,",
        "nobody,yes,,,,,,,,",
        f"{two},yes,,,,,9,4,,",
        f"{DASHED.clip_id},yes,,,,,0,2,,",
        f"{HALVES.clip_id},yes,,,,,3,,,",
        f"{UNLISTED.clip_id},yes,,,,,1:99,4,,",
        "short,yes",
        'open,"yes',
        f"vid,unplayable,,yes,,,,,{long},",
        ",,archery,,,,,,,",
    ) == [
        f"line 2, column {len(one) + 2}: verdict 'maybe' must be one of yes, no, unsure, "
        "unplayable",
        f"line 2, column {len(one) + 8}: label 'archerry' is no class of this workspace; did you "
        "mean 'archery'?",
        f"line 2, column {len(one) + 20}: object_relevant 'oui' must be one of yes, no, unsure",
        f"line 3, column 1: clip_id {one!r} is on line 2 already",
        "line 4, column 1: clip_id 'nobody' is no clip here; see `mimecurate clips list`",
        f"line 5, column {len(two) + 12}: end 4 is not after the start, 9",
        f"line 6, column {len(DASHED.clip_id) + 12}: end 2 is outside the clip, 0-1 s of the video",
        f"line 7, column {len(HALVES.clip_id) + 12}: end is missing; a trim has both",
        f"line 8, column {len(UNLISTED.clip_id) + 10}: start can't be read: time '1:99' has 60 or "
        "more after a colon",
        f"line 8, column {len(UNLISTED.clip_id) + 6}: label is needed: the clip was listed without "
        "a class",
        "line 9: row has 2 cells, the header 10",
        "line 10: a quoted cell does not end on its line; keep a row on one",
        "line 11, column 1: clip_id 'vid' is no clip here; see `mimecurate clips list`",
        "line 11, column 17: mime_artist has no place beside the verdict unplayable; leave it "
        "empty",
        "line 11, column 25: why is over 10,000 characters",
        "line 12, column 1: clip_id '' is no clip here; see `mimecurate clips list`",
        "line 12, column 2: verdict is empty, and label is not; say yes, no, …, or nothing",
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"clip_id\nx\n", "line 1: the header has no column verdict", id="no-verdict"),
        pytest.param(b"clip_id,verdict,clip_id\n", "two columns clip_id", id="twice"),
        pytest.param(b"\xff\xfec\x00l\x00", "UTF-16", id="utf-16"),
        pytest.param(b"PK\x03\x04", "spreadsheet", id="spreadsheet"),
        pytest.param(b"clip_id,verdict\n\xe9,no\n", "line 2, column 1: byte 0xE9", id="latin-1"),
    ],
)
def test_what_is_no_such_csv(space: Workspace, content: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        import_decisions(space.db, io.BytesIO(content), "d.csv", by="lead")


def test_what_is_exported_can_be_imported_and_changes_nothing(space: Workspace) -> None:
    trimmed = Outcome("yes", "archery", "yes", "no", "unsure", (1500, 3999))
    for one, outcome, why in [
        (FIRST, trimmed, "=HYPERLINK(1), 'really'\nyes"),
        (SECOND, Outcome("no"), "-"),
        (DASHED, Outcome("yes", None, "no", None, None), ""),
    ]:
        record_decision(space.db, one.clip_id, outcome, method="rule", by="@ada", why=why)
    text = export_decisions(space.db)
    cells = list(csv.reader(io.StringIO(text)))
    assert not any(cell.startswith(("=", "@")) for row in cells for cell in row)
    before = list(space.db.conn.iterdump())
    done = import_decisions(space.db, io.BytesIO(text.encode()), "d.csv", by="lead")
    assert done == Imported(0, 0, 3, 0)
    assert list(space.db.conn.iterdump()) == before


outcomes = st.one_of(
    st.sampled_from([Outcome("no"), Outcome("unplayable")]),
    st.builds(
        Outcome,
        st.sampled_from(["yes", "unsure"]),
        st.sampled_from(["archery", "drinking"]),
        *[st.sampled_from([None, "yes", "no", "unsure"])] * 3,
        st.sampled_from([None, (1000, 1001), (1234, 3999), (1000, 4000)]),
    ),
)


@pytest.fixture(scope="module")
def one_clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = open_database(tmp_path_factory.mktemp("csv") / "mimecurate.db")
    know_classes(db)
    know(db, FIRST)
    yield db
    db.close()


@given(outcome=outcomes, why=st.text(max_size=30), by=st.text("=@'a b", min_size=1))
def test_round_trip(one_clip: Database, outcome: Outcome, why: str, by: str) -> None:
    """Whatever was decided comes back the same from its own export."""
    with one_clip.atomic():
        by = by.strip() or "x"
        record_decision(one_clip, FIRST.clip_id, outcome, method="rule", by=by, why=why)
    text = export_decisions(one_clip)
    done = import_decisions(one_clip, io.BytesIO(text.encode()), "d.csv", by="lead")
    assert (done.decided, done.changed, done.unchanged) == (0, 0, 1), text


def test_an_edited_row_is_a_later_decision(space: Workspace) -> None:
    row = f"{FIRST.clip_id},yes,,no,,,,,looks real,Ada"
    assert _import(space, row).decided == 1
    assert _import(space, row.replace("looks", "is")).changed == 1
    assert _import(space, row.replace(",no,", ",yes,"), dry_run=True).changed == 1
    assert current_decisions(space.db)[FIRST.clip_id].why == "is real"
    assert space.db.execute("SELECT count(*) FROM decisions").fetchone() == (2,)


def _run(space: Workspace, *arguments: str, input: bytes = b"") -> Result:
    return CliRunner().invoke(
        cli, ["annotate", "adjudicate", "-w", str(space.root), *arguments], input=input
    )


def test_a_lead_decides_in_a_spreadsheet(space: Workspace, tmp_path: Path) -> None:
    """Export what is open, fill in verdicts, import: no server and no terminal."""
    annotate(space.db, FIRST, "ann", label="archery")
    annotate(space.db, FIRST, "bob", verdict="no")
    path = tmp_path / "decisions.csv"
    assert _run(space, "--export", str(path)).exit_code == 0
    [row] = csv.DictReader(io.StringIO(path.read_text()))
    assert row["verdict"] == ""
    assert row["votes"] == "2 annotators: verdict 1 yes, 1 no; label 1 archery"
    again = _run(space, "--export", str(path))
    assert again.exit_code == 1
    assert "is there already" in again.output
    path.write_text(path.read_text().replace(",,", ",yes,", 1))
    dry = _run(space, "--import", str(path), "--dry-run", "--json")
    assert json.loads(dry.stdout)["imported"]["decided"] == 1
    assert current_decisions(space.db) == {}
    done = _run(space, "--import", str(path), "--by", "Ada")
    assert done.exit_code == 0, done.output
    assert "imported: 1 decided" in done.stderr
    assert current_decisions(space.db)[FIRST.clip_id].decided_by == "Ada"
    assert find_standing(space.db, min_annotators=2).disputes == []


def test_pipes(space: Workspace) -> None:
    done = _run(space, "--import", "-", input=f"clip_id,verdict\n{FIRST.clip_id},no\n".encode())
    assert done.exit_code == 0, done.output
    out = _run(space, "--export", "-")
    assert out.stdout.startswith(HEADER + ",votes\n" + FIRST.clip_id)
    wrong = _run(space, "--import", "-", input=b"clip_id,verdict\nx,y\n")
    assert wrong.exit_code == 1
    assert "line 2, column 3: verdict 'y'" in wrong.output
    missing: Any = _run(space, "--import", str(space.root / "none.csv"))
    assert missing.exit_code == 1
    assert "none.csv: can't be read" in missing.output

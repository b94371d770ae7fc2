"""Classes: reading, names in Kinetics, changes that reach decisions and leave releases alone."""

from __future__ import annotations

import csv
import json
from importlib import resources
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from discovering import judge, want
from hypothesis import given
from hypothesis import strategies as st
from release_lists import release

from mimecurate.commands.root import cli
from mimecurate.curation.class_changes import apply_change, combine, drop, rename, split
from mimecurate.curation.class_maps import as_document, diff_classes, from_document, map_version
from mimecurate.curation.classes import (
    COLUMNS,
    ClassEntry,
    class_rows,
    default_superclasses,
    find_class,
    kinetics_names,
    load_classes,
    read_classes,
    save_classes,
)
from mimecurate.curation.discover_record import store_queries
from mimecurate.curation.query_sets import Query, kinetics400_names
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import InvalidInputError, MimecurateError
from mimecurate.evaluation.superclasses import group_columns, read_superclasses

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRIES = [
    ClassEntry("reading book", "of paper", "small", False, "reading"),
    ClassEntry("reading newspaper", None, "large", False, "reading"),
    ClassEntry("drinking", None, "small", False),
    ClassEntry("hurdling", None, "none", True),
]


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as opened:
        with opened.db.atomic():
            save_classes(opened.db, ENTRIES)
        yield opened


def run(space: Workspace, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli, ["classes", *arguments, "-w", str(space.root)])
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.stderr


def decided(space: Workspace, clip_id: str) -> tuple[str, str | None, str]:
    row = space.db.execute(
        "SELECT verdict, coalesce(current_decisions.label, clips.label), method "
        "FROM current_decisions JOIN clips USING (clip_id) WHERE clip_id = ?",
        [clip_id],
    ).fetchone()
    return row[0], row[1], row[2]


def test_four_mimetics_classes_have_no_name_in_kinetics_600_and_700(shared: Path) -> None:
    lines = (shared / "mimetics-v1.0/mimetics_v1.0_clsannot.txt").read_text().splitlines()[1:]
    classes = [line.split()[0].replace("_", " ") for line in lines]
    for vocabulary, missing in (("kinetics400", 0), ("kinetics600", 4), ("kinetics700", 4)):
        lacking = [c for c in classes if not kinetics_names(ClassEntry(c))[vocabulary].names]  # type: ignore[index]
        assert len(lacking) == missing
    assert lacking == [
        "drinking",
        "opening bottle",
        "skiing (not slalom or crosscountry)",
        "tying tie",
    ]
    assert len(kinetics400_names()) == 400


def test_the_shipped_names_are_as_many_as_kinetics_has() -> None:
    with resources.files("mimecurate.schemas").joinpath("kinetics_names.csv").open() as file:
        rows = list(csv.DictReader(file))
    for vocabulary, count in (("kinetics400", 400), ("kinetics600", 600), ("kinetics700", 700)):
        assert sum(row[vocabulary] == "yes" for row in rows) == count
    old = {row["name"] for row in rows if row["kinetics400"]}
    assert {row["close_to"] for row in rows if row["close_to"]} <= old


def test_the_default_superclasses_are_classes_of_kinetics_400(tmp_path: Path) -> None:
    groups = default_superclasses()
    path = tmp_path / "s.json"
    done = CliRunner().invoke(cli, ["classes", "superclasses", "--kinetics400"])
    assert "not those of the paper's Figure 10" in done.stderr
    path.write_text(done.stdout, "utf-8")
    mapping = read_superclasses(path)
    assert mapping == {name: group for group, names in groups.items() for name in names}
    assert set(mapping) <= set(kinetics400_names())
    grouping = group_columns(kinetics400_names(), mapping)
    assert grouping.unknown == ()
    assert len(grouping.names) == 400 - len(mapping) + len(groups)


names = st.text(st.characters(categories=["L", "Nd"]), min_size=1, max_size=8)
entries = st.builds(
    ClassEntry,
    names,
    st.none() | names,
    st.none() | st.sampled_from(["none", "small", "medium", "large"]),
    st.none() | st.booleans(),
    st.none() | names,
    st.lists(names, unique=True, max_size=3).map(lambda x: tuple(sorted(x))),
)


@given(st.lists(entries, unique_by=lambda e: e.name, max_size=5))
def test_lists_survive_json_and_differ_from_none_of_their_own(given_: list[ClassEntry]) -> None:
    ordered = sorted(given_, key=lambda e: e.name)
    assert from_document(json.loads(json.dumps(as_document(given_)))) == ordered
    same = diff_classes(given_, ordered)
    assert (same.added, same.removed, same.changed) == ((), (), ())


def test_a_list_survives_its_csv_and_the_database(space: Workspace, tmp_path: Path) -> None:
    full = ClassEntry(
        "tying tie", 'a, "b"', "small", None, "tying", ("necktie",), (), ("tying necktie",)
    )
    with space.db.atomic():
        save_classes(space.db, [*ENTRIES, full])
    path = tmp_path / "c.csv"
    path.write_text(run(space, "list", "--csv"), "utf-8")
    assert read_classes(path) == load_classes(space.db)
    assert len(class_rows([full])[0]) == len(COLUMNS)
    assert "note" not in run(space, "load", str(path))


def test_a_wrong_list_names_every_line(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_text(
        "name,object_size,scene,aliases,superclass\na,huge,,,\nb,,maybe,,\nc,,,d,\nd,,,,\nd,,,,\n"
        "e,,,c|f,\ng,,,f,\nh,,,,i\ni,,,,j\n"
    )
    with pytest.raises(InvalidInputError) as caught:
        read_classes(path)
    assert [p.line for p in caught.value.problems] == [2, 3, 4, 6, 7, 8, 9]


def test_rename_moves_decisions_queries_and_wanted_clips(space: Workspace) -> None:
    yes = judge(space.db, "vid-0000001", "yes", "drinking")
    other = judge(space.db, "vid-0000002", "yes", "hurdling", decided="drinking")
    wanted = want(space.db, "vid-0000003", "drinking")
    store_queries(space.db, [Query("mime drink", "en", "drinking", "miming", "drink")])
    plan = rename(space.db, "drinking", "drinking water")
    before = load_classes(space.db)
    tried = apply_change(space.db, plan, who="ann", reason="", dry_run=True)
    assert load_classes(space.db) == before
    assert tried.version is None
    done = apply_change(space.db, plan, who="ann", reason="clearer")
    assert done.effects == tried.effects
    assert (done.effects.decided, done.effects.listed, done.effects.queries) == (2, 2, 1)
    assert decided(space, yes) == ("yes", "drinking water", "rule")
    assert decided(space, other) == ("yes", "drinking water", "rule")
    row = space.db.execute("SELECT label FROM clips WHERE clip_id = ?", [wanted]).fetchone()
    assert row == ("drinking water",)
    assert find_class(space.db, "drinking") == "drinking water"
    assert (done.diff.added, done.diff.removed) == (("drinking water",), ("drinking",))
    (entry,) = [e for e in load_classes(space.db) if e.name == "drinking water"]
    assert entry.kinetics400 == ("drinking",)
    why = space.db.execute("SELECT why FROM current_decisions WHERE clip_id = ?", [yes]).fetchone()
    assert "clearer" in why[0]


def test_a_release_keeps_its_classes_and_its_list(space: Workspace) -> None:
    apply_change(space.db, drop(space.db, "hurdling"), who="ann", reason="too few")
    release(space.db, "m@1.0.0")
    row = space.db.execute("SELECT clip_id, label FROM release_rows ORDER BY 1").fetchone()
    with space.db.atomic():
        save_classes(space.db, [*load_classes(space.db), ClassEntry(row[1])])
        space.db.execute(
            "INSERT INTO decisions (clip_id, verdict, label, method, decided_by, decided_at) "
            "VALUES (?, 'yes', ?, 'adjudicated', 'ann', 'x')",
            list(row),
        )
    done = apply_change(space.db, rename(space.db, row[1], "renamed"), who="ann", reason="")
    assert done.effects.released >= 1
    assert done.effects.decided == 0
    assert decided(space, row[0])[1] == row[1]
    kept = space.db.execute("SELECT version FROM release_class_maps").fetchone()
    assert kept == (2,)
    assert "hurdling" not in {e.name for e in map_version(space.db, 2)}
    assert "hurdling" in {e.name for e in map_version(space.db, 1)}
    listed = json.loads(run(space, "list", "--release", "m@1.0.0", "--json"))
    assert [e["name"] for e in listed] == [e.name for e in map_version(space.db, 2)]
    assert "no release" in run(space, "list", "--release", "x@1.0.0", status=1).lower()
    history = json.loads(run(space, "history", "--json"))
    assert [h["releases"] for h in history] == ["", "m@1.0.0", "", ""]


def test_combine_makes_one_class_with_the_names_of_all(space: Workspace) -> None:
    a = judge(space.db, "vid-0000001", "yes", "reading book")
    b = judge(space.db, "vid-0000002", "no", "reading newspaper")
    done = apply_change(
        space.db,
        combine(space.db, ["reading book", "reading newspaper"], "reading something"),
        who="ann",
        reason="",
    )
    assert done.effects.decided == 1
    assert decided(space, a)[:2] == ("yes", "reading something")
    assert decided(space, b)[0] == "no"
    (entry,) = [e for e in load_classes(space.db) if e.name == "reading something"]
    assert entry.aliases == entry.kinetics700 == ("reading book", "reading newspaper")
    into = combine(space.db, ["drinking", "hurdling"], "drinking")
    assert {e.name for e in into.after} == {"drinking", "reading something"}
    for names_, into_ in ((["drinking"], "x"), (["drinking", "hurdling"], "reading something")):
        with pytest.raises(MimecurateError):
            combine(space.db, names_, into_)


def test_split_asks_again_where_nobody_assigned(space: Workspace, tmp_path: Path) -> None:
    a = judge(space.db, "vid-0000001", "yes", "drinking")
    b = judge(space.db, "vid-0000002", "yes", "drinking")
    c = want(space.db, "vid-0000003", "drinking")
    store_queries(space.db, [Query("mime drink", "en", "drinking", "miming", "drink")])
    assign = tmp_path / "a.csv"
    assign.write_text(f"clip_id,class\n{a},drinking tea\n{c},drinking_water\n")
    out = json.loads(
        run(
            space,
            "split",
            "drinking",
            "--into",
            "drinking tea",
            "--into",
            "drinking water",
            "--assign",
            str(assign),
            "--json",
        )
    )
    assert (out["effects"]["decided"], out["effects"]["undecided_again"]) == (1, 1)
    assert decided(space, a)[:2] == ("yes", "drinking tea")
    assert decided(space, b)[:2] == ("unsure", None)
    labels = {x for (x,) in space.db.execute("SELECT label FROM query_classes").fetchall()}
    assert labels == {"drinking tea", "drinking water"}
    row = space.db.execute("SELECT label FROM clips WHERE clip_id = ?", [c]).fetchone()
    assert row == ("drinking water",)
    with pytest.raises(MimecurateError, match="is no part"):
        split(space.db, "hurdling", ["a", "b"], {"x": "c"})


def test_drop_rejects_and_says_why(space: Workspace) -> None:
    a = judge(space.db, "vid-0000001", "yes", "hurdling")
    run(space, "drop", "hurdling", status=2)
    run(space, "drop", "hurdling", "--reason", "4 clips after 60 queries")
    assert decided(space, a)[0] == "no"
    out = json.loads(run(space, "history", "--json"))
    assert out[-1]["reason"] == "4 clips after 60 queries"
    assert "no class 'hurdling'" in run(space, "drop", "hurdling", "--reason", "x", status=1)
    changes = json.loads(run(space, "diff", "1", "2", "--json"))
    assert changes == {"added": [], "removed": ["hurdling"], "changed": []}


def test_a_list_that_changed_otherwise_is_kept_before_the_next_change(
    space: Workspace, tmp_path: Path
) -> None:
    run(space, "rename", "drinking", "sipping")
    listed = tmp_path / "more.csv"
    listed.write_text("name\njuggling\n")
    CliRunner().invoke(cli, ["init", str(space.root), "--classes", str(listed)])
    run(space, "drop", "hurdling", "--reason", "few")
    told = [row["change"] for row in json.loads(run(space, "history", "--json"))]
    assert told[0] == told[2] == "as it was found"
    changes = json.loads(run(space, "diff", "3", "4", "--json"))
    assert changes == {"added": [], "removed": ["hurdling"], "changed": []}


def test_what_can_t_be_written_or_assigned_is_refused(space: Workspace, tmp_path: Path) -> None:
    parts = tmp_path / "parts.csv"
    parts.write_text("clip_id,class\nnobody,sipping\n")
    into = ["--into", "sipping", "--into", "gulping", "--assign", str(parts)]
    assert "no clip 'nobody' is here" in run(space, "split", "drinking", *into, status=1)
    assert "stands between names" in run(space, "rename", "drinking", "a|b", status=1)


def test_a_failed_change_changes_nothing(space: Workspace) -> None:
    clash = rename(space.db, "drinking", "sipping")
    with space.db.atomic():
        space.db.execute("INSERT INTO class_names VALUES ('hurdling', 'alias', 'sipping')")
    after = tuple(
        ClassEntry(e.name, aliases=("sipping",)) if e.name == "hurdling" else e for e in clash.after
    )
    from dataclasses import replace

    before = load_classes(space.db)
    with pytest.raises(InvalidInputError, match="already means"):
        apply_change(space.db, replace(clash, after=after), who="ann", reason="")
    assert load_classes(space.db) == before
    assert space.db["class_maps"].count == 0


def test_the_commands_show_what_they_do(space: Workspace) -> None:
    assert "reading book" in run(space, "list")
    run(space, "rename", "drinking", "sipping", "--dry-run")
    assert "drinking" in run(space, "list")
    missing = json.loads(run(space, "kinetics", "--missing", "--json"))
    assert set(missing) == {"drinking"}
    groups = json.loads(run(space, "superclasses"))
    assert groups == {"reading": ["reading book", "reading newspaper"]}
    assert (
        "did you mean 'drinking'"
        in CliRunner()
        .invoke(
            cli,
            ["discover", "add", "0zFbEjoGlhc", "--class", "drinkin", "-w", str(space.root)],
        )
        .stderr
    )


def test_a_list_of_a_name_per_line_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "classes.txt"
    path.write_text("# what we collect\n\nplaying_bass_guitar\narchery\n")
    with open_workspace(tmp_path / "w") as empty:
        words = run(empty, "drop", "archery", "--reason", "x", status=1)
        assert "the list of classes is empty; load one with `mimecurate classes load" in words
        run(empty, "load", str(path))
        assert [entry.name for entry in load_classes(empty.db)] == [
            "archery",
            "playing bass guitar",
        ]
        path.write_text("archery\nbowling\narchery\n")
        assert "line 3: class 'archery' is already in line 1" in run(
            empty, "load", str(path), status=1
        )
        path.write_text("class,definition\narchery,of bows\n")
        assert "the header has no column 'name'" in run(empty, "load", str(path), status=1)


def test_what_a_change_reaches_is_counted_in_words(space: Workspace) -> None:
    judge(space.db, "vid-0000001", "yes", "hurdling")
    store_queries(space.db, [Query("mime hurdles", "en", "hurdling")])
    line = ["classes", "drop", "hurdling", "--reason", "x", "--dry-run", "-w", str(space.root)]
    said = CliRunner().invoke(cli, line).stderr
    assert "that become no: 1; 0 clips and 1 query go along" in said
    assert "1 decisions" not in said

"""What a change of the classes does to yields, to what was found by hand, and to releases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from discovering import judge, want
from release_lists import CLASSES, clip, decide, know_classes

from mimecurate.commands.root import cli
from mimecurate.curation.class_changes import apply_change, combine, drop, load, rename, split
from mimecurate.curation.class_maps import map_version, version_of_release
from mimecurate.curation.classes import ClassEntry, find_class, load_classes, save_classes
from mimecurate.curation.discover_candidates import list_candidates
from mimecurate.curation.discover_classes import known_class
from mimecurate.curation.discover_economics import By, economics, read_ledger
from mimecurate.curation.discover_export import fetch_list
from mimecurate.curation.discover_record import record_page, record_spending, store_queries
from mimecurate.curation.discover_sources import Found, Page
from mimecurate.curation.query_sets import Query
from mimecurate.curation.release_create import Recipe, create_release
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import MimecurateError
from mimecurate.schemas.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mimecurate.curation.class_changes import Change

DRINK = Query("mime drink", "en", "drinking", "miming", "drink")
ARCHERY = Query("arc invisible", "fr", "archery", "invisible", "arc")
PARTS = ["drinking tea", "drinking water"]


class Source:
    name, refresh_days = "s", None


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    """Both queries found the same five videos."""
    with open_workspace(tmp_path / "w") as opened:
        db = opened.db
        with db.atomic():
            save_classes(db, [ClassEntry("archery"), ClassEntry("drinking", aliases=("sipping",))])
        for query_id, _ in store_queries(db, [DRINK, ARCHERY]):
            record_spending(db, "s", "search", query_id)
            page = Page(tuple(Found(f"vid-000000{n}", f"https://x.org/{n}") for n in range(5)))
            record_page(db, query_id, Source(), page=1, first_rank=1, answer=page)  # type: ignore[arg-type]
        yield opened


def change(space: Workspace, plan: Change) -> None:
    apply_change(space.db, plan, who="ann", reason="")


def verified(space: Workspace, by: By = "class") -> dict[str, tuple[int, int]]:
    return {row.key: (row.yes, row.no) for row in economics(read_ledger(space.db), by)}


def add(space: Workspace, video_id: str, label: str) -> None:
    line = ["discover", "add", f"https://youtu.be/{video_id}", "--at", "9", "--class", label]
    done = CliRunner().invoke(cli, [*line, "-w", str(space.root)])
    assert done.exit_code == 0, done.output


def test_a_class_that_is_dropped_keeps_the_yield_that_people_saw(space: Workspace) -> None:
    judge(space.db, "vid-0000000", "yes", "drinking")
    judge(space.db, "vid-0000001", "no", "drinking")
    judge(space.db, "vid-0000002", "unsure", "drinking")
    before = verified(space)
    assert before["drinking"] == (1, 1)
    change(space, drop(space.db, "drinking"))
    assert verified(space) == before
    judge(space.db, "vid-0000000", "no", "drinking")
    assert verified(space)["drinking"] == (0, 2), "a person said so later"


def test_a_class_that_is_combined_and_then_dropped_keeps_it_too(space: Workspace) -> None:
    judge(space.db, "vid-0000000", "yes", "drinking")
    change(space, combine(space.db, ["drinking", "archery"], "acting"))
    assert verified(space) == {"acting": (1, 0)}
    change(space, drop(space.db, "acting"))
    assert verified(space) == {"acting": (1, 0)}


def test_a_part_that_is_dropped_keeps_its_yield_and_the_other_part_its_own(
    space: Workspace,
) -> None:
    yes = judge(space.db, "vid-0000000", "yes", "drinking")
    judge(space.db, "vid-0000001", "no", "drinking")
    judge(space.db, "vid-0000002", "no", "sipping")
    change(space, split(space.db, "drinking", PARTS, {yes: PARTS[0]}))
    before = verified(space)
    assert [before[part] for part in PARTS] == [(1, 2), (0, 2)]
    for part in PARTS:
        change(space, drop(space.db, part))
        assert verified(space) == before
        assert verified(space, "template")["miming"] == (1, 2)


def test_a_class_that_was_renamed_or_kept_its_name_in_a_split_is_dropped_with_it(
    space: Workspace,
) -> None:
    judge(space.db, "vid-0000000", "no", "drinking")
    change(space, split(space.db, "drinking", ["drinking", "drinking tea"], {}))
    add(space, "vid-0000001", "archery")
    where = ["--class", "archery", "--why", "a real bow", "-w", str(space.root)]
    assert CliRunner().invoke(cli, ["discover", "reject", "vid-0000001", *where]).exit_code == 0
    change(space, rename(space.db, "archery", "shooting a bow"))
    before = verified(space)
    assert before == {"drinking": (0, 1), "drinking tea": (0, 0), "shooting a bow": (0, 1)}
    for name in ("drinking", "shooting a bow"):
        change(space, drop(space.db, name))
        assert verified(space) == before
    change(space, load(space.db, [ClassEntry("shooting a bow")]))
    change(space, rename(space.db, "shooting a bow", "archery"))
    assert verified(space)["archery"] == (0, 1), "it is collected again"


def test_a_split_makes_no_verdict_into_a_no(space: Workspace) -> None:
    judge(space.db, "vid-0000000", "yes", "drinking")
    judge(space.db, "vid-0000001", "no", "drinking")
    annotated = want(space.db, "vid-0000002", "drinking")
    with space.db.atomic():
        space.db.execute(
            "INSERT INTO annotations (clip_id, annotator, at, verdict, label) "
            "VALUES (?, 'ann', 'x', 'yes', 'drinking')",
            [annotated],
        )
    assert verified(space)["archery"] == (0, 0)
    change(space, split(space.db, "drinking", PARTS, {}))
    found = verified(space)
    assert [found[part] for part in PARTS] == [(0, 1), (0, 1)]
    assert verified(space, "template")["miming"] == (1, 1), "of one part or the other: a yes"


def test_finds_and_rejections_of_a_split_class_count_for_each_part(space: Workspace) -> None:
    find, old, rejected = "0zFbEjoGlhc", "1zFbEjoGlhc", "vid-0000003"
    add(space, find, "drinking")
    add(space, old, "sipping")
    where = ["-w", str(space.root)]
    no = ["discover", "reject", rejected, "--class", "drinking", "--why", "a real glass", *where]
    assert CliRunner().invoke(cli, no).exit_code == 0
    line = ["classes", "split", "drinking", "--into", PARTS[0], "--into", PARTS[1], *where]
    tried = CliRunner().invoke(cli, [*line, "--dry-run"])
    assert "by hand that go along: 3; they count for each part" in tried.stderr
    assert json.loads(CliRunner().invoke(cli, [*line, "--json"]).stdout)["effects"]["by_hand"] == 3
    for part in PARTS:
        listed = {str(c["video_id"]): c for c in list_candidates(space.db, label=part)}
        assert {find, old} <= set(listed)
        assert listed[find]["labels"] == "; ".join(PARTS)
        assert rejected not in listed
        rows = {row[4]: row[3] for row in fetch_list(space.db, label=part, states=(), limit=None)}
        assert rows[find] == rows[old] == part
        assert verified(space)[part] == (0, 1)
    assert rejected in {c["video_id"] for c in list_candidates(space.db, label="archery")}
    rows = {row[4]: row[3] for row in fetch_list(space.db, label=None, states=(), limit=None)}
    assert rows[find] == "", "nobody knows which"
    for find_it in (find_class, known_class):
        with pytest.raises(MimecurateError, match="was split: name one of 'drinking tea'"):
            find_it(space.db, "drinking")
    change(space, combine(space.db, PARTS, "drinking (again)"))
    rows = {row[4]: row[3] for row in fetch_list(space.db, label=None, states=(), limit=None)}
    assert rows[find] == rows[old] == "drinking (again)"


def test_a_query_file_from_before_a_split_is_for_each_part(space: Workspace) -> None:
    change(space, split(space.db, "drinking", PARTS, {}))
    store_queries(space.db, [DRINK, Query("mime sip", "en", "sipping", "miming", "sip")])
    labels = [label for (label,) in space.db.execute("SELECT label FROM query_classes ORDER BY 1")]
    assert labels == ["archery", PARTS[0], PARTS[0], PARTS[1], PARTS[1]]


def test_a_part_that_keeps_the_name_keeps_what_was_said_by_it(space: Workspace) -> None:
    add(space, "0zFbEjoGlhc", "drinking")
    change(space, split(space.db, "drinking", ["drinking", "drinking tea"], {}))
    (labels,) = {c["labels"] for c in list_candidates(space.db) if c["source"] == "by hand"}
    assert labels == "drinking"
    for entry in load_classes(space.db):
        assert entry.name not in entry.split_from


def test_a_release_keeps_a_list_that_changed_without_a_change(tmp_path: Path) -> None:
    clips = [clip(), clip("vid-0000002", 0, 4, "drinking"), clip("vid-0000003", 5, 9, "juggling")]
    with open_workspace(tmp_path / "w") as space:
        know_classes(space.db, CLASSES[:2])
        for one in clips[:2]:
            decide(space.db, one)
        create_release(space, "m", parse_version("1.0.0"), Recipe())
        csv = tmp_path / "more.csv"
        csv.write_text("name\njuggling\n")
        CliRunner().invoke(cli, ["init", str(space.root), "--classes", str(csv)])
        decide(space.db, clips[2])
        create_release(space, "m", parse_version("1.1.0"), Recipe())
        names = [
            [entry.name for entry in map_version(space.db, version_of_release(space.db, ref))]
            for ref in ("m@1.0.0", "m@1.1.0")
        ]
        assert names == [["archery", "drinking"], ["archery", "drinking", "juggling"]]
        change(space, drop(space.db, "drinking"))
        withdraw(space, "m", "asked", clip_ids=[clips[0].clip_id])
        assert version_of_release(space.db, "m@2.0.0") == version_of_release(space.db, "m@1.1.0")

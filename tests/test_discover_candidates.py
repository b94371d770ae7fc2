"""Candidates: state, what people add and reject, refreshing, hostile titles on all ways out."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from discovering import QUERIES, api, judge, video_ids, want
from release_lists import CLIPS, know, release

from mimecurate.commands.root import cli
from mimecurate.curation.classes import ClassEntry, save_classes
from mimecurate.curation.discover import discover
from mimecurate.curation.discover_candidates import list_candidates
from mimecurate.curation.discover_economics import clips_per_class, economics, read_ledger
from mimecurate.curation.discover_record import record_page, store_queries
from mimecurate.curation.discover_refresh import count_due, delete_due, refresh
from mimecurate.curation.discover_sources import Found, Page
from mimecurate.curation.loopback_youtube import Catalogue, LoopbackYouTube
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.url_list import ClipRequest, read_url_list
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[LoopbackYouTube]:
    catalogue = Catalogue(videos=60, per_query=20, hostile_every=1)
    with LoopbackYouTube(catalogue=catalogue) as running:
        yield running


@pytest.fixture
def space(tmp_path: Path, server: LoopbackYouTube) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as opened:
        discover(opened, QUERIES, api(server), per_query=20)
        yield opened


def run(space: Workspace, *arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli, [*arguments, "-w", str(space.root)])
    assert result.exit_code == status, result.output
    return result.stdout


def states(space: Workspace) -> dict[str, str]:
    found = list_candidates(space.db, states=(), limit=None)
    return {str(c["video_id"]): str(c["state"]) for c in found}


def test_states_follow_what_became_of_a_video(space: Workspace) -> None:
    a, b, c, d, e, f, *_ = video_ids(space.db, QUERIES[0].text)
    judge(space.db, a, "yes", "archery")
    judge(space.db, b, "no", "archery")
    clip_id = judge(space.db, c, "unsure", "archery")
    judge(space.db, d, "no", "archery")
    judge(space.db, d, "yes", "archery")
    space.db.execute(
        "INSERT INTO release_rows (clip_id, row_hash, video_id, start_ms, end_ms, label) "
        "VALUES ('x', zeroblob(32), ?, 0, 1, 'archery')",
        [e],
    )
    run(space, "discover", "reject", f, "--why", "a real bow")
    found = states(space)
    assert [found[v] for v in (a, b, c, d, e, f)] == [
        "verified",
        "rejected",
        "listed",
        "verified",
        "released",
        "rejected",
    ]
    space.db.execute(
        "INSERT INTO media VALUES (?,'clips/c/c.mp4','0',1,1000,16,16,30.0,30,'h264',NULL,"
        "'smart',0,NULL,'',x'00','x','x')",
        [clip_id],
    )
    assert states(space)[c] == "fetched"
    shown = json.loads(run(space, "discover", "list", "--class", "archery", "--json"))
    assert not {a, b, c, d, e, f} & {row["video_id"] for row in shown}
    everything = json.loads(
        run(space, "discover", "list", "--class", "archery", "--all", "--limit", "999", "--json")
    )
    assert {a, e, f} <= {row["video_id"] for row in everything}


def test_annotations_count_where_nobody_decided(space: Workspace) -> None:
    a, b, *_ = video_ids(space.db, QUERIES[0].text)
    clips = [want(space.db, video_id, "archery") for video_id in (a, b)]
    for clip_id, verdicts in zip(clips, (["yes", "yes", "no"], ["yes", "no"]), strict=True):
        for i, verdict in enumerate(verdicts):
            space.db.execute(
                "INSERT INTO annotations (clip_id, annotator, at, verdict, label) "
                "VALUES (?, ?, ?, ?, 'archery')",
                [clip_id, f"p{i}", now(), verdict],
            )
    said = dict(space.db.execute("SELECT clip_id, verdict FROM clip_verdicts").fetchall())
    assert [said[clip_id] for clip_id in clips] == ["yes", "unsure"]
    judge(space.db, b, "no", "archery")
    assert states(space)[b] == "rejected"


def test_a_rejection_for_one_class_leaves_the_others(space: Workspace) -> None:
    archery = {str(c["video_id"]) for c in list_candidates(space.db, label="archery", limit=None)}
    bowling = {str(c["video_id"]) for c in list_candidates(space.db, label="bowling", limit=None)}
    both = sorted(archery & bowling)[0]
    run(space, "discover", "reject", both, "--class", "archery", "--why", "bowling only")
    assert both not in {
        c["video_id"] for c in list_candidates(space.db, label="archery", limit=999)
    }
    assert both in {c["video_id"] for c in list_candidates(space.db, label="bowling", limit=999)}


def test_a_manual_find_has_provenance_and_becomes_an_interval(space: Workspace) -> None:
    url = "https://youtu.be/0zFbEjoGlhc?t=9"
    line = ("discover", "add", url, "--at", "3:12", "--class", "archery", "--note", "encore")
    assert json.loads(run(space, *line, "--by", "ann", "--json"))["was_known"] is False
    again = (*line[:3], "--at", "1:00", "--until", "1:04.5", "--class", "archery")
    assert json.loads(run(space, *again, "--json"))["was_known"] is True
    shown = json.loads(run(space, "discover", "show", "0zFbEjoGlhc", "--json"))
    assert next((f["start_ms"], f["note"], f["found_by"]) for f in shown["by_hand"]) == (
        192_000,
        "encore",
        "ann",
    )
    exported = run(space, "discover", "export", "--class", "archery", "--state", "open")
    requests = list(read_url_list(io.BytesIO(exported.encode()), name="x"))
    assert all(isinstance(r, ClipRequest) for r in requests)
    spans = {
        (r.start_ms, r.end_ms, r.label)
        for r in requests
        if isinstance(r, ClipRequest) and r.video_id == "0zFbEjoGlhc"
    }
    assert spans == {(192_000, 202_000, "archery"), (60_000, 64_500, "archery")}
    run(space, *line[:3], "--class", "bowling")
    found = json.loads(run(space, "discover", "show", "0zFbEjoGlhc", "--json"))["by_hand"]
    assert (found[-1]["label"], found[-1]["start_ms"]) == ("bowling", 9_000), "t=9 of the link"
    run(space, *line[:2], "ftp://x", status=1)
    run(space, *line[:3], "--until", "9", status=2)
    run(space, *line[:3], "--at", "nine", status=2)
    run(space, "discover", "show", "nobody", status=1)


def test_a_moment_in_a_video_that_is_not_open_is_kept_told_and_exported(space: Workspace) -> None:
    released, rejected, no, *_ = video_ids(space.db, QUERIES[0].text)
    space.db.execute(
        "INSERT INTO release_rows (clip_id, row_hash, video_id, start_ms, end_ms, label) "
        "VALUES ('x', zeroblob(32), ?, 0, 1, 'archery')",
        [released],
    )
    run(space, "discover", "reject", rejected, "--why", "a real bow")
    judge(space.db, no, "no", "archery")
    where = ["--class", "archery", "-w", str(space.root)]
    for video_id, state in ((released, "released"), (rejected, "rejected"), (no, "rejected")):
        line = ["discover", "add", f"https://youtu.be/{video_id}", "--at", "1:00", *where]
        said = CliRunner().invoke(cli, line).stderr
        assert said == f"kept: {video_id} at 60 s; the video was known already, and is {state}\n"
    told = CliRunner().invoke(cli, ["discover", "add", f"https://youtu.be/{no}", *where]).stderr
    assert "not exported without a time" in told

    def moments(*more: str) -> list[str]:
        rows = csv.reader(io.StringIO(run(space, "discover", "export", *more)))
        return [row[4] for row in rows if row[1:4] == ["60", "70", "archery"]]

    assert sorted(moments()) == sorted(moments("--class", "archery"))
    assert sorted(moments()) == sorted([released, rejected, no])
    assert len(moments("--limit", "2")) == 2
    assert moments("--class", "bowling") == []
    shown = CliRunner().invoke(cli, ["discover", "export", *where]).stderr
    assert "not open: 1 released, 2 rejected" in shown or "2 rejected, 1 released" in shown
    with space.db.atomic():
        space.db.execute(
            "INSERT INTO rejections (candidate_id, label, why, rejected_by, at) SELECT "
            "candidate_id, 'archery', 'seen', 'ann', '2999' FROM candidates WHERE video_id = ?",
            [rejected],
        )
        space.db.execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, added_at) "
            "VALUES ('y', ?, 60000, 70000, 'x')",
            [no],
        )
    assert moments() == [released], "rejected later; a clip is wanted already"


def test_hostile_titles_come_out_tame_on_every_way(space: Workspace, tmp_path: Path) -> None:
    hostile = ("\x1b", "\x00", "\u202e", "\x07", "\ud800")
    page = tmp_path / "page.html"
    video_id = video_ids(space.db, QUERIES[0].text)[0]
    outputs = [
        run(space, "discover", "list", "--limit", "60"),
        run(space, "discover", "list", "--limit", "60", "--json"),
        run(space, "discover", "show", video_id),
        run(space, "discover", "export"),
        run(space, "discover", "economics", "--by", "query", "--html", str(page)),
        run(space, "discover", "next"),
        page.read_text("utf-8"),
    ]
    for text in outputs:
        assert not any(c in text for c in hostile)
    assert "=HYPERLINK" not in {row[0][:10] for row in csv.reader(io.StringIO(outputs[3])) if row}
    stored = [t for (t,) in space.db.execute("SELECT title FROM candidates WHERE title NOTNULL")]
    assert stored
    assert all(t.isprintable() and len(t) <= 300 for t in stored)


def test_a_hostile_class_or_query_is_escaped_in_the_page(space: Workspace, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    with space.db.atomic():
        space.db.execute("UPDATE query_classes SET label = ? WHERE label = 'bowling'", [evil])
    page = tmp_path / "p.html"
    run(space, "discover", "economics", "--html", str(page))
    text = page.read_text("utf-8")
    assert evil not in text
    assert "&lt;script&gt;" in text
    assert "script-src" not in text
    assert "default-src 'none'" in text


def test_metadata_is_refreshed_or_deleted_by_its_date(
    space: Workspace, server: LoopbackYouTube
) -> None:
    total = count_due(space.db, 30)
    assert total == space.db["candidates"].count
    assert count_due(space.db, 29) == 0
    gone = video_ids(space.db, QUERIES[0].text)[0]
    server.catalogue.gone = {gone}
    with space.db.atomic():
        space.db.execute("UPDATE candidates SET refresh_by = '2020-01-01', title = 'old'")
    report = refresh(space, api(server))
    assert (report.due, report.refreshed, report.gone) == (total, total - 1, 1)
    assert server.count("videos") == report.calls == -(-total // 50)
    row = space.db.execute(
        "SELECT title, gone_at IS NOT NULL, refresh_by FROM candidates WHERE video_id = ?", [gone]
    ).fetchone()
    assert row == (None, 1, None)
    assert states(space)[gone] == "gone"
    old = space.db.execute("SELECT count(*) FROM candidates WHERE title = 'old'").fetchone()
    assert old == (0,)
    assert count_due(space.db, 29) == 0
    assert refresh(space, api(server)).calls == 0
    with space.db.atomic():
        space.db.execute("UPDATE candidates SET refresh_by = '2020-01-01' WHERE title NOTNULL")
    assert delete_due(space).deleted > 0
    assert space.db.execute("SELECT count(title), count(channel) FROM candidates").fetchone() == (
        0,
        0,
    )
    assert len(video_ids(space.db, QUERIES[0].text)) == 20, "what found it stays"


def test_each_datum_is_as_old_as_what_said_it(space: Workspace, server: LoopbackYouTube) -> None:
    video_id = video_ids(space.db, QUERIES[0].text)[0]
    with space.db.atomic():
        space.db.execute("UPDATE candidates SET refresh_by = '2020-01-01'")
    refresh(space, api(server))
    old = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%d")
    with space.db.atomic():
        space.db.execute(
            "UPDATE candidates SET refresh_by = ?1, duration_refresh_by = ?1, published_at = 'old' "
            "WHERE video_id = ?2",
            [old, video_id],
        )
    ((query_id, _),) = store_queries(space.db, QUERIES[:1])

    def find(**source: object) -> tuple[Any, ...]:
        """A search finds it again, and says its title alone."""
        one = SimpleNamespace(**source)
        page = Page((Found(video_id, "https://x.org/", "anew"),))
        record_page(space.db, query_id, one, page=2, first_rank=1, answer=page)
        row = space.db.execute(
            "SELECT title, channel, published_at, duration_ms IS NULL, refresh_by, "
            "duration_refresh_by FROM candidates WHERE video_id = ?",
            [video_id],
        ).fetchone()
        return tuple(row)

    *_, published, without, searched_by, length_by = find(name="yt-dlp", refresh_days=None)
    assert (published, without, searched_by, length_by) == ("old", 0, old, old)
    title, *told, searched_by, length_by = find(name="youtube-api", refresh_days=30)
    assert (title, told, length_by) == ("anew", [None, None, 0], old)
    assert searched_by > old
    assert count_due(space.db, 3) == 1
    assert (delete_due(space, within_days=3).deleted, count_due(space.db, 3)) == (1, 0)
    shown = json.loads(run(space, "discover", "show", video_id, "--json"))
    assert (shown["title"], shown["duration_ms"]) == ("anew", None)


def test_a_length_that_yt_dlp_said_is_under_no_terms(space: Workspace) -> None:
    page = Page((Found("0zFbEjoGlhc", "https://x.org/", "title", None, 5_000),))
    ((query_id, _),) = store_queries(space.db, QUERIES[:1])
    lengthless = Page((replace(page.found[0], duration_ms=None),))
    for name, days, answer in (("yt-dlp", None, page), ("api", 30, lengthless)):
        source = SimpleNamespace(name=name, refresh_days=days)
        record_page(space.db, query_id, source, page=3, first_rank=1, answer=answer)
    delete_due(space, within_days=31)
    row = space.db.execute(
        "SELECT title, duration_ms FROM candidates WHERE video_id = '0zFbEjoGlhc'"
    ).fetchone()
    assert row == (None, 5_000)


def test_a_released_video_is_marked_when_it_is_found(
    tmp_path: Path, server: LoopbackYouTube
) -> None:
    with open_workspace(tmp_path / "r") as space:
        for one in CLIPS:
            know(space.db, one)
        release(space.db, "m@1.0.0")
        with space.db.atomic():
            space.db.execute(
                "INSERT INTO candidates (video_id, url, source, found_at) VALUES (?, 'u', 's', ?)",
                [CLIPS[0].video_id, now()],
            )
        assert states(space) == {CLIPS[0].video_id: "released"}
        assert list(list_candidates(space.db)) == []


def test_a_takedown_takes_what_is_known_of_the_candidate_for_good(
    tmp_path: Path, server: LoopbackYouTube
) -> None:
    class Source:
        name = "s"
        refresh_days = 30

    clip = CLIPS[0]
    page = Page((Found(clip.video_id, "https://x.org/", "a title", "a channel", 5_000),))
    with open_workspace(tmp_path / "t") as space:
        for one in CLIPS:
            know(space.db, one)
        release(space.db, "m@1.0.0")
        ((query_id, _),) = store_queries(space.db, QUERIES[:1])
        known = "SELECT url, title, channel, duration_ms, refresh_by FROM candidates"

        def find() -> None:
            record_page(space.db, query_id, Source(), page=1, first_rank=1, answer=page)  # type: ignore[arg-type]

        find()
        assert None not in space.db.execute(known).fetchone()
        withdraw(space, "m", "asked", video_ids=[clip.video_id])
        assert space.db.execute(known).fetchone() == (None,) * 5
        find()
        assert space.db.execute(known).fetchone() == (None,) * 5
        assert states(space) == {clip.video_id: "withdrawn"}
        assert list(list_candidates(space.db)) == []
        assert run(space, "discover", "export", "--state", "withdrawn").count("\n") == 1
        fresh = next(c.video_id for c in CLIPS if c.video_id != clip.video_id)
        withdraw(space, "m", "asked", video_ids=[fresh])
        later = Page((Found(fresh, "https://x.org/2", "found later"),))
        record_page(space.db, query_id, Source(), page=2, first_rank=2, answer=later)  # type: ignore[arg-type]
        rows = space.db.execute("SELECT count(title), count(url) FROM candidates").fetchone()
        assert rows == (0, 0)


def test_a_class_that_was_renamed_keeps_what_was_said_of_its_candidates(space: Workspace) -> None:
    with space.db.atomic():
        save_classes(space.db, [ClassEntry("archery"), ClassEntry("bowling")])
    unwanted, shown, accepted, *_ = video_ids(space.db, QUERIES[0].text)
    run(space, "discover", "reject", unwanted, "--class", "archery", "--why", "a real bow")
    link = f"https://youtu.be/{shown}"
    run(space, "discover", "add", link, "--at", "3:12", "--class", "archery")
    judge(space.db, accepted, "yes", "archery", decided="archery")
    before = {row.key: row for row in economics(read_ledger(space.db), "class")}["archery"]
    run(space, "classes", "rename", "archery", "shooting a bow")

    rows = {row.key: row for row in economics(read_ledger(space.db), "class")}
    assert rows["shooting a bow"] == replace(before, key="shooting a bow")
    assert (before.yes, before.no) == (1, 1)
    for name in ("shooting a bow", "archery"):
        listed = run(space, "discover", "list", "--class", name, "--json")
        found = {c["video_id"] for c in json.loads(listed)}
        assert shown in found
        assert unwanted not in found
        exported = run(space, "discover", "export", "--class", name)
        assert f"v={shown},192,202,shooting a bow,{shown}\n" in exported
    assert f"v={shown},192,202,shooting a bow,{shown}\n" in run(space, "discover", "export")
    run(space, "discover", "list", "--class", "shotting a bow", status=1)


def test_queries_of_a_renamed_class_are_for_what_it_is_called_now(space: Workspace) -> None:
    with space.db.atomic():
        save_classes(space.db, [ClassEntry("archery"), ClassEntry("bowling")])
    run(space, "classes", "rename", "archery", "shooting a bow")
    store_queries(space.db, QUERIES)
    labels = {label for (label,) in space.db.execute("SELECT label FROM query_classes")}
    assert labels == {"shooting a bow", "bowling"}


def test_clips_and_verdicts_by_the_old_name_count_for_a_renamed_class(space: Workspace) -> None:
    with space.db.atomic():
        save_classes(space.db, [ClassEntry("archery"), ClassEntry("drinking")])
    video_id = video_ids(space.db, QUERIES[0].text)[0]
    clip_id = want(space.db, video_id, "archery")
    with space.db.atomic():
        space.db.execute(
            "INSERT INTO annotations (clip_id, annotator, round, at, skipped, verdict, label, "
            "screen, origin) VALUES (?, 'ann', 'r', ?, 0, 'yes', 'archery', 's', 'o')",
            [clip_id, now()],
        )
    release(space.db, "m@1.0.0")
    assert clips_per_class(space.db)["archery"] == 2
    run(space, "classes", "rename", "archery", "shooting a bow")
    have = clips_per_class(space.db)
    assert (have.get("archery"), have["shooting a bow"]) == (None, 2)
    rows = {row.key: row for row in economics(read_ledger(space.db), "class")}
    assert (rows["shooting a bow"].yes, rows["shooting a bow"].no) == (1, 0)


def test_a_tombstone_that_came_with_a_bundle_keeps_its_video_away(space: Workspace) -> None:
    """Its clip is in no other table; ids may hold digits and underscores themselves."""
    with space.db.atomic():
        for clip_id in ("gone_1_000001_000002", "a_000001.500_000002.000"):
            space.db.execute("INSERT INTO withdrawals VALUES (?, '2026', 'asked', '')", [clip_id])
        for video_id in ("gone_1", "a", "gone", "a_000001"):
            space.db.execute(
                "INSERT INTO candidates (video_id, url, title, source, found_at) "
                "VALUES (?, 'u', 't', 's', '')",
                [video_id],
            )
    kept = dict(space.db.execute("SELECT video_id, title FROM candidates WHERE source = 's'"))
    assert kept == {"gone_1": None, "a": None, "gone": "t", "a_000001": "t"}


def test_a_mistyped_class_is_pointed_out_and_can_be_taken_back(space: Workspace) -> None:
    where = ["-w", str(space.root)]
    wrong = ["discover", "add", "https://youtu.be/0zFbEjoGlhc", "--at", "9", "--class", "archrey"]
    said = CliRunner().invoke(cli, [*wrong, *where])
    assert said.exit_code == 0
    assert "no class 'archrey'; did you mean 'archery'?" in said.stderr
    assert "discover reject 0zFbEjoGlhc" in said.stderr
    right = [*wrong[:-1], "archery"]
    assert "note" not in CliRunner().invoke(cli, [*right, *where]).stderr

    def entries(*more: str) -> list[str]:
        rows = csv.reader(io.StringIO(run(space, "discover", "export", *more)))
        return [",".join(row[1:4]) for row in rows if row[4] == "0zFbEjoGlhc"]

    assert sorted(entries()) == ["9,19,archery", "9,19,archrey"]
    reject = ["discover", "reject", "0zFbEjoGlhc", "--why", "typo", "--class"]
    run(space, *reject, "archrey")
    assert entries() == entries("--class", "archery") == ["9,19,archery"]
    run(space, *reject, "archery")
    assert entries() == [], "nothing is left of it"
    assert entries("--class", "archery", "--state", "rejected") == ["9,19,archery"]
    run(space, *right)
    assert entries() == ["9,19,archery"], "found again"
    run(space, "discover", "add", "https://youtu.be/1zFbEjoGlhc", "--class", "archrey")
    run(space, *reject[:2], "1zFbEjoGlhc", *reject[3:], "archrey")
    assert "1zFbEjoGlhc" not in run(space, "discover", "export")


def test_a_class_that_nothing_names_is_refused(space: Workspace, tmp_path: Path) -> None:
    scores = tmp_path / "scores.csv"
    scores.write_text("clip_id,archery\nx,1\n")
    a = video_ids(space.db, QUERIES[0].text)[0]
    lines = (
        ["list"],
        ["export"],
        ["windows"],
        ["rank", str(scores)],
        ["reject", a, "--why", "x"],
    )
    for line in lines:
        done = CliRunner().invoke(
            cli, ["discover", *line, "--class", "archrey", "-w", str(space.root)]
        )
        assert done.exit_code == 1, line
        assert done.stderr == "Error: no class 'archrey'; did you mean 'archery'?\n"
    assert space.db["rejections"].count == 0
    want(space.db, a, "yodelling")
    assert run(space, "discover", "list", "--class", "yodelling", "--json") == "[]\n"
    with open_workspace(tmp_path / "empty") as empty:
        done = CliRunner().invoke(
            cli, ["discover", "list", "--class", "archery", "-w", str(empty.root)]
        )
    assert done.exit_code == 1
    assert "the workspace knows no class yet" in done.stderr

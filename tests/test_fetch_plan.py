"""Plans: what a list asks for against what is there."""

from __future__ import annotations

import io
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from mimecurate.curation.fetch_plan import Plan, VideoJob, adopt_plan, jobs, make_plan
from mimecurate.curation.media_store import media_path
from mimecurate.curation.url_list import read_url_list
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def space(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "w") as workspace:
        yield workspace


def plan_of(space: Workspace, text: str, *, retry_failed: bool = False) -> Plan:
    entries = read_url_list(io.BytesIO(text.encode()), name="list")
    return make_plan(space.db, entries, root=space.root, retry_failed=retry_failed)


def have(space: Workspace, clip_id: str, data: bytes = b"clip") -> None:
    path = media_path(clip_id)
    (space.root / path).parent.mkdir(exist_ok=True, parents=True)
    (space.root / path).write_bytes(data)
    with space.db.atomic():
        space.db.execute(
            "INSERT INTO media VALUES (?, ?, 'x', 4, 1, 2, 2, 30.0, 30, 'h264', NULL, 'smart', 0, "
            "NULL, '', x'', 'x', 'x')",
            [clip_id, path.as_posix()],
        )


def fail(space: Workspace, clip_id: str, reason: str) -> None:
    with space.db.atomic():
        space.db.execute(
            "INSERT OR IGNORE INTO runs (run_id, command, version, settings, started_at) "
            "VALUES (1, 'fetch', '0', '{}', ?)",
            [now()],
        )
        space.db.execute(
            "INSERT INTO attempts (run_id, video_id, clip_id, at, status, reason) "
            "VALUES (1, 'v', ?, ?, 'failed', ?)",
            [clip_id, now(), reason],
        )


A, B = "http://a.example/a.mp4", "http://b.example/b.mp4"
HEAD = "url,start,end,label,video_id,split\n"


def test_lines_are_grouped_by_video_in_the_list_s_order(space: Workspace) -> None:
    text = f"{HEAD}{A},5,8,x,a,\n{B},1,2,y,b,\n{A},1,3,x,a,\n"
    plan = plan_of(space, text)
    assert (plan.clips, plan.videos, plan.to_fetch, plan.to_fetch_videos) == (3, 2, 3, 2)
    work = list(jobs(space.db))
    assert [(j.video_id, [(c.start_ms, c.end_ms) for c in j.clips]) for j in work] == [
        ("a", [(1000, 3000), (5000, 8000)]),
        ("b", [(1000, 2000)]),
    ]


def test_duplicates_are_merged_and_counted(space: Workspace) -> None:
    line = f"{A},5,8,,a,\n"
    plan = plan_of(space, HEAD + line * 3 + f"{A},5,8,x,a,test\n")
    assert (plan.clips, plan.duplicates, plan.problem_count) == (1, 3, 0)
    adopt_plan(space.db)
    assert space.db.execute("SELECT label, split FROM clips").fetchall() == [("x", "test")]


@pytest.mark.parametrize(
    ("lines", "wrong", "words"),
    [
        (
            f"{A},5,8,x,a,\n{A},5,8,y,a,\n{A},5,8,z,a,\n",
            [3, 4],
            "has the class 'y' here and 'x' in line 2",
        ),
        (
            f"{A},5,8,x,a,train\n{A},5,8,x,a,test\n",
            [3],
            "has the split 'test' here and 'train'",
        ),
        (
            f"{A},5,8,x,a,\n{B},1,2,x,a,\n",
            [3],
            f"has the link '{B}' here and '{A}' in line 2",
        ),
    ],
)
def test_lines_that_contradict_an_earlier_one_are_problems_and_left_out(
    space: Workspace, lines: str, wrong: list[int], words: str
) -> None:
    plan = plan_of(space, HEAD + lines)
    assert [p.line for p in plan.problems] == wrong
    assert words in plan.problems[0].message
    assert (plan.clips, plan.duplicates) == (1, 0)
    adopt_plan(space.db)
    assert space.db.execute(
        "SELECT clip_id, label, url FROM clips JOIN videos USING (video_id)"
    ).fetchall() == [("a_000005_000008", "x", A)]


def test_many_contradictions_take_no_time(space: Workspace) -> None:
    lines = (f"http://a.example/{i // 3}.mp4,1,5,label {i % 3},,\n" for i in range(9000))
    plan = plan_of(space, HEAD + "".join(lines))
    assert (plan.clips, plan.problem_count, len(plan.problems)) == (3000, 6000, 1000)


def test_what_the_workspace_knew_otherwise_is_noted(space: Workspace) -> None:
    plan_of(space, f"{HEAD}{A},5,8,x,a,train\n")
    adopt_plan(space.db)
    plan = plan_of(space, f"{HEAD}{B},5,8,y,a,test\n")
    assert [n.message for n in plan.notices] == [
        f"a had the link '{A}' before, now '{B}'",
        "a_000005_000008 had the class 'x' before, now 'y'",
        "a_000005_000008 had the split 'train' before, now 'test'",
    ]
    assert plan.problem_count == 0


def test_what_is_there_is_not_fetched_unless_its_file_went_away(space: Workspace) -> None:
    text = f"{HEAD}{A},5,8,x,a,\n{A},9,12,x,a,\n{A},20,22,x,a,\n"
    plan_of(space, text)
    adopt_plan(space.db)
    for name in ("a_000005_000008", "a_000009_000012", "a_000020_000022"):
        have(space, name)
    (space.root / media_path("a_000009_000012")).unlink()
    (space.root / media_path("a_000020_000022")).write_bytes(b"cut short by something"[:2])
    plan = plan_of(space, text)
    assert (plan.present, plan.to_fetch) == (1, 2)
    adopt_plan(space.db)
    assert space.db.execute("SELECT clip_id FROM media").fetchall() == [("a_000005_000008",)]


def test_what_failed_for_good_is_asked_again_only_on_request(space: Workspace) -> None:
    text = f"{HEAD}{A},5,8,x,a,\n{B},1,2,x,b,\n"
    plan_of(space, text)
    adopt_plan(space.db)
    fail(space, "a_000005_000008", "private")
    fail(space, "b_000001_000002", "timeout")
    plan = plan_of(space, text)
    assert (plan.failed_before, plan.to_fetch) == (1, 1)
    assert [job.video_id for job in jobs(space.db)] == ["b"]
    assert plan_of(space, text, retry_failed=True).to_fetch == 2


def test_only_the_last_attempt_counts(space: Workspace) -> None:
    text = f"{HEAD}{A},5,8,x,a,\n"
    plan_of(space, text)
    adopt_plan(space.db)
    fail(space, "a_000005_000008", "private")
    fail(space, "a_000005_000008", "timeout")
    assert plan_of(space, text).to_fetch == 1


def test_a_whole_video_that_is_there_is_known_again(space: Workspace) -> None:
    plan_of(space, f"{A}\n")
    adopt_plan(space.db)
    (video_id,) = space.db.execute("SELECT video_id FROM clips").fetchone()
    with space.db.atomic():
        space.db.execute(
            "UPDATE clips SET clip_id = ?, end_ms = 7000", [f"{video_id}_000000_000007"]
        )
    have(space, f"{video_id}_000000_000007")
    plan = plan_of(space, f"{A}\n")
    assert (plan.present, plan.to_fetch) == (1, 0)


def test_a_withdrawn_clip_is_left_out(space: Workspace) -> None:
    with space.db.atomic():
        space.db.execute(
            "INSERT INTO withdrawals (clip_id, withdrawn_at, reason) "
            "VALUES ('a_000005_000008', ?, 'the person asked')",
            [now()],
        )
    plan = plan_of(space, f"{HEAD}{A},5,8,x,a,\n{A},9,12,x,a,\n")
    assert (plan.withdrawn, plan.clips, plan.duplicates, plan.to_fetch) == (1, 1, 0, 1)


def test_planning_writes_nothing_to_the_workspace(space: Workspace) -> None:
    plan_of(space, f"{HEAD}{A},5,8,x,a,\n")
    assert space.db.execute("SELECT count(*) FROM clips").fetchone()[0] == 0


def test_many_videos_are_handed_out_once_each(space: Workspace) -> None:
    text = "".join(f"http://a.example/{i % 1500}.mp4 {i} {i + 2}\n" for i in range(3000))
    plan = plan_of(space, text)
    work: list[VideoJob] = list(jobs(space.db))
    assert plan.clips == 3000
    assert len(work) == len({j.video_id for j in work}) == 1500
    assert sum(len(j.clips) for j in work) == 3000


def test_a_long_list_needs_no_memory(space: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"http://a.example/{i}.mp4 1 3\n" for i in range(10_000))
    with path.open("rb") as stream:
        tracemalloc.start()
        plan = make_plan(space.db, read_url_list(stream, name="list"), root=space.root)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert plan.clips == 10_000
    assert peak < 2.5e6

"""What a list asks for, against what the workspace already has.

The list is staged in temporary SQLite tables, so 650,000 lines need no memory; nothing is written
to the workspace before the whole list was read.
"""

from __future__ import annotations

import pickle
import tempfile
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from mimecurate.curation.url_list import ClipRequest, Notice
from mimecurate.errors import Problem, Reason
from mimecurate.schemas.database import now
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from sqlite_utils import Database

PERMANENT = tuple(r.value for r in Reason if not r.is_temporary)
MOST_SHOWN = 1000
"""Problems and notices that are kept for showing; more are only counted."""
_STAGED = "line, clip_id, url, video_id, start_ms, end_ms, label, split"


@dataclass(frozen=True, slots=True)
class ClipJob:
    """One clip that is to be cut."""

    clip_id: str
    start_ms: int
    end_ms: int | None
    """None: to the end of the video."""


@dataclass(frozen=True, slots=True)
class VideoJob:
    """One video, asked for once, and the clips that are wanted of it."""

    video_id: str
    url: str
    clips: tuple[ClipJob, ...]
    failures: int = 0
    """Attempts at it that failed earlier in the run."""


class JobSpool:
    """Videos that wait in an unnamed temporary file, not in memory: put in, then taken out once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, closed by whoever drains it
        self._count = 0

    def __len__(self) -> int:
        """How many were put in."""
        return self._count

    def add(self, job: VideoJob) -> None:
        """Put one in."""
        pickle.dump(job, self._file)
        self._count += 1

    def close(self) -> None:
        """Forget them."""
        self._file.close()

    def drain(self) -> Iterator[VideoJob]:
        """Take them out, in the order in which they came, in any thread."""
        with self._file:
            self._file.seek(0)
            for _ in range(self._count):
                yield pickle.load(self._file)  # our own file, that nobody else can open


@dataclass(slots=True)
class Plan:
    """What a list asks for. The rows themselves are in the temporary table ``plan``."""

    lines: int = 0
    """Requests read, duplicates included."""
    clips: int = 0
    videos: int = 0
    present: int = 0
    failed_before: int = 0
    """Failed for good in an earlier run, not asked again."""
    withdrawn: int = 0
    """Taken down from a release; never fetched again."""
    to_fetch: int = 0
    to_fetch_videos: int = 0
    problems: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    notices: list[Notice] = field(default_factory=list)
    notice_count: int = 0

    @property
    def duplicates(self) -> int:
        """Requests that repeat an earlier line."""
        return self.lines - self.clips - self.withdrawn

    def add_problem(self, problem: Problem) -> None:
        """Count a problem, and keep it while there are few."""
        self.problem_count += 1
        if len(self.problems) < MOST_SHOWN:
            self.problems.append(problem)

    def add_notice(self, notice: Notice) -> None:
        """Count a notice, and keep it while there are few."""
        self.notice_count += 1
        if len(self.notices) < MOST_SHOWN:
            self.notices.append(notice)


def make_plan(
    db: Database,
    entries: Iterable[ClipRequest | Problem | Notice],
    *,
    root: Path,
    retry_failed: bool = False,
) -> Plan:
    """Stage a list and find out what is left to do.

    Args:
        db: the workspace's database; only its temporary tables are written.
        entries: what `read_url_list` yields.
        root: the workspace's folder, to see whether media are still there.
        retry_failed: ask again for what failed for good.
    """
    plan = Plan()
    _stage(db, entries, plan)
    _find_conflicts(db, plan)
    _merge(db)
    plan.withdrawn = _leave_out_withdrawn(db)
    _find_changes(db, plan)
    _find_todo(db, root, retry_failed)
    plan.clips = _count(db, "SELECT count(*) FROM temp.plan")
    plan.videos = _count(db, "SELECT count(DISTINCT video_id) FROM temp.plan")
    plan.present = _count(db, "SELECT count(*) FROM temp.plan WHERE state = 'present'")
    plan.failed_before = _count(db, "SELECT count(*) FROM temp.plan WHERE state = 'failed'")
    plan.to_fetch = _count(db, "SELECT count(*) FROM temp.plan WHERE state = 'todo'")
    plan.to_fetch_videos = _count(
        db, "SELECT count(DISTINCT video_id) FROM temp.plan WHERE state = 'todo'"
    )
    return plan


def adopt_plan(db: Database) -> None:
    """Write the plan's videos and clips to the workspace, in one transaction."""
    with db.atomic():
        db.execute(
            "INSERT INTO videos (video_id, url, added_at) "
            "SELECT video_id, url, :now FROM temp.plan WHERE true GROUP BY video_id "
            "ON CONFLICT (video_id) DO UPDATE SET url = excluded.url",
            {"now": now()},
        )
        db.execute(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, to_the_end, label, split, "
            "added_at) SELECT clip_id, video_id, start_ms, end_ms, end_ms IS NULL, label, split, "
            ":now FROM temp.plan WHERE true ON CONFLICT (clip_id) DO UPDATE SET "
            "label = coalesce(excluded.label, label), split = coalesce(excluded.split, split)",
            {"now": now()},
        )
        db.execute(
            "DELETE FROM media WHERE clip_id IN "
            "(SELECT clip_id FROM temp.plan WHERE state = 'todo')"
        )


def jobs(db: Database) -> Iterator[VideoJob]:
    """Return the videos that are left to do, each with all its clips.

    They come in the list's order, but those that were asked for in earlier runs last: where a
    run ends early, because nobody answers, the next one doesn't begin with the same videos.
    """
    spool = JobSpool()
    rows = db.execute(
        "SELECT place, video_id, url, clip_id, start_ms, end_ms, "
        "EXISTS (SELECT 1 FROM attempts WHERE attempts.video_id = plan.video_id) AS asked_before "
        "FROM temp.plan WHERE state = 'todo' ORDER BY asked_before, place, start_ms"
    )
    for _, group in groupby(rows, key=itemgetter(0)):
        of_video = list(group)
        clips = tuple(ClipJob(row[3], row[4], row[5]) for row in of_video)
        spool.add(VideoJob(of_video[0][1], of_video[0][2], clips))
    return spool.drain()


def to_the_end_id(video_id: str, start_ms: int) -> str:
    """Name a clip that goes to the end of its video until its end is known."""
    return f"{video_id}_{start_ms / 1000:010.3f}_end"


def _stage(db: Database, entries: Iterable[ClipRequest | Problem | Notice], plan: Plan) -> None:
    for table in ("staged", "plan"):
        db.execute(f"DROP TABLE IF EXISTS temp.{table}")
    db.execute(f"CREATE TEMP TABLE staged ({_STAGED})")
    rows = (row for entry in entries if (row := _row(entry, plan)))
    with db.atomic():
        db.conn.executemany(f"INSERT INTO temp.staged ({_STAGED}) VALUES (?,?,?,?,?,?,?,?)", rows)
    plan.lines = _count(db, "SELECT count(*) FROM temp.staged")


def _row(entry: ClipRequest | Problem | Notice, plan: Plan) -> tuple[object, ...] | None:
    if isinstance(entry, Problem):
        plan.add_problem(entry)
        return None
    if isinstance(entry, Notice):
        plan.add_notice(entry)
        return None
    start_ms = entry.start_ms or 0
    name = (
        to_the_end_id(entry.video_id, start_ms)
        if entry.end_ms is None
        else clip_id(entry.video_id, start_ms, entry.end_ms)
    )
    where = (entry.url, entry.video_id, start_ms, entry.end_ms)
    return (entry.line, name, *where, entry.label, entry.split)


def _find_conflicts(db: Database, plan: Plan) -> None:
    """Report lines that contradict an earlier one, and leave them out: both can't be right."""
    db.execute("CREATE INDEX temp.staged_clip ON staged (clip_id, line)")
    db.execute("CREATE INDEX temp.staged_video ON staged (video_id, line)")
    for key, column, what in (
        ("clip_id", "label", "class"),
        ("clip_id", "split", "split"),
        ("video_id", "url", "link"),
    ):
        with db.atomic():
            db.execute(
                f"""CREATE TEMP TABLE contrary AS SELECT * FROM (
                    SELECT line, {key} AS name, {column} AS value,
                        first_value({column}) OVER earlier AS first,
                        first_value(line) OVER earlier AS first_line
                    FROM temp.staged WHERE {column} IS NOT NULL
                    WINDOW earlier AS (PARTITION BY {key} ORDER BY line))
                WHERE value <> first ORDER BY line"""
            )
            for line, name, value, first, first_line in db.execute("SELECT * FROM temp.contrary"):
                words = f"the {what} {value!r} here and {first!r} in line {first_line}"
                plan.add_problem(Problem(f"{name} has {words}; keep one", line))
            db.execute("DELETE FROM temp.staged WHERE line IN (SELECT line FROM temp.contrary)")
            plan.lines = _count(db, "SELECT count(*) FROM temp.staged")
            db.execute("DROP TABLE temp.contrary")


def _find_changes(db: Database, plan: Plan) -> None:
    """Note where the list says other than the workspace knows; the list is taken at its word."""
    for line, name, new, known in db.execute(
        "SELECT min(line), p.video_id, p.url, v.url FROM temp.plan AS p "
        "JOIN videos AS v USING (video_id) WHERE p.url <> v.url GROUP BY p.video_id ORDER BY 1"
    ):
        plan.add_notice(Notice(line, f"{name} had the link {known!r} before, now {new!r}"))
    for column, what in (("label", "class"), ("split", "split")):
        for line, name, new, known in db.execute(
            f"SELECT p.line, clip_id, p.{column}, c.{column} FROM temp.plan AS p "
            f"JOIN clips AS c USING (clip_id) WHERE p.{column} <> c.{column} ORDER BY p.line"
        ):
            plan.add_notice(Notice(line, f"{name} had the {what} {known!r} before, now {new!r}"))


def _merge(db: Database) -> None:
    """Keep one row per clip; ``place`` is where its video first stands in the list."""
    db.execute(
        """CREATE TEMP TABLE plan AS
            SELECT s.clip_id, s.video_id, min(s.url) AS url, s.start_ms, s.end_ms,
                max(s.label) AS label, max(s.split) AS split, min(s.line) AS line, 'todo' AS state,
                (SELECT min(line) FROM temp.staged AS t WHERE t.video_id = s.video_id) AS place
            FROM temp.staged AS s GROUP BY s.clip_id"""
    )
    db.execute("DROP TABLE temp.staged")
    db.execute(
        """UPDATE temp.plan SET (clip_id, end_ms) = (
                SELECT clips.clip_id, clips.end_ms FROM clips
                WHERE clips.video_id = plan.video_id AND clips.start_ms = plan.start_ms
                AND clips.to_the_end = 1 AND clips.end_ms IS NOT NULL)
            WHERE end_ms IS NULL AND EXISTS (
                SELECT 1 FROM clips WHERE clips.video_id = plan.video_id
                AND clips.start_ms = plan.start_ms AND clips.to_the_end = 1
                AND clips.end_ms IS NOT NULL)"""
    )
    db.execute("CREATE UNIQUE INDEX temp.plan_clip ON plan (clip_id)")
    db.execute("CREATE INDEX temp.plan_place ON plan (state, place)")


def _leave_out_withdrawn(db: Database) -> int:
    with db.atomic():
        gone = "(SELECT clip_id FROM withdrawals)"
        return int(db.execute(f"DELETE FROM temp.plan WHERE clip_id IN {gone}").rowcount)


def _find_todo(db: Database, root: Path, retry_failed: bool) -> None:
    with db.atomic():
        db.execute(
            "UPDATE temp.plan SET state = 'present' WHERE clip_id IN (SELECT clip_id FROM media)"
        )
        held = db.execute("SELECT clip_id, path, bytes FROM temp.plan JOIN media USING (clip_id)")
        gone = [(name,) for name, path, size in held if not _is_there(root / path, size)]
        db.conn.executemany("UPDATE temp.plan SET state = 'todo' WHERE clip_id = ?", gone)
        if not retry_failed:
            marks = ",".join("?" * len(PERMANENT))
            db.execute(
                f"UPDATE temp.plan SET state = 'failed' WHERE state = 'todo' AND ("
                f"SELECT reason FROM attempts WHERE attempts.clip_id = plan.clip_id "
                f"ORDER BY attempt_id DESC LIMIT 1) IN ({marks})",
                PERMANENT,
            )


def _is_there(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def _count(db: Database, sql: str) -> int:
    return int(db.execute(sql).fetchone()[0])

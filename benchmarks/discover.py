"""Measure discovery in a large workspace: what its tables take with many candidates.

Run: python benchmarks/discover.py [--candidates 1000000]

Fills a workspace with synthetic queries, searches and candidates (a quarter of the finds are
repeats), 50,000 wanted clips, 20,000 media and 20,000 decisions, and a release of 5,000 videos.
Every table is then made in a process of its own; imports are not counted, the database's pages are
in the operating system's cache, as on a second call.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mimecurate.curation.discover import known_queries, plan_discover
from mimecurate.curation.discover_candidates import list_candidates, show_candidate
from mimecurate.curation.discover_economics import GROUPINGS, economics, read_ledger
from mimecurate.curation.discover_export import fetch_list
from mimecurate.curation.discover_files import FileSearch
from mimecurate.curation.discover_next import rank_queries
from mimecurate.curation.discover_record import record_page, record_spending, store_queries
from mimecurate.curation.discover_refresh import count_due
from mimecurate.curation.discover_sources import Found, Page
from mimecurate.curation.query_sets import build_queries, shipped_set
from mimecurate.curation.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlite_utils import Database

LIMIT_S = 1.0
"""Seconds of processor that each table may take at 1,000,000 candidates."""
PAGE = 50
LABEL = "playing guitar"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="where to make the workspace")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder)
        began = time.perf_counter()
        fill(root, arguments.candidates)
        size = sum(path.stat().st_size for path in root.glob("*.db*")) / 2**20
        seconds = time.perf_counter() - began
        print(f"{arguments.candidates:,} candidates, {size:,.0f} MiB, made in {seconds:.0f} s")
        slow = []
        for name, table in TABLES.items():
            seconds, cpu_s, mebibytes, rows = measure(root, table)
            times = f"{seconds:7.3f} s {cpu_s:7.3f} s CPU"
            print(f"{name:24} {times} {mebibytes:5.0f} MiB  {rows:,} rows", flush=True)
            if cpu_s > LIMIT_S:
                slow.append(name)
        if slow:
            raise SystemExit(f"over {LIMIT_S:g} s: {', '.join(slow)}")


def fill(root: Path, candidates: int) -> None:
    draw = random.Random(0)
    with open_workspace(root) as space:
        db = space.db
        db.execute("PRAGMA synchronous = OFF")
        stored = store_queries(db, build_queries(*shipped_set("mimetics")))
        source = FileSearch(root)
        made = page = 0
        while made < candidates:
            page += 1
            for query_id, _ in stored:
                old = [draw.randrange(made) for _ in range(PAGE // 4)] if made else []
                new = range(made, min(candidates, made + PAGE - len(old)))
                record_spending(db, source.name, "search", query_id)
                names = list(dict.fromkeys([*old, *new]))
                found = tuple(
                    Found(f"v{n:010d}", f"https://example.org/{n}", f"A mime, number {n}")
                    for n in names
                )
                record_page(
                    db,
                    query_id,
                    source,
                    page=page,
                    first_rank=(page - 1) * PAGE + 1,
                    answer=Page(found, str(page)),
                )
                made += len(new)
                if made >= candidates:
                    break
        verify(db, candidates, draw)
        db.execute("PRAGMA optimize")


def verify(db: Database, candidates: int, draw: random.Random) -> None:
    """Want clips of some candidates, fetch some of them, decide on some, release some."""
    share = candidates / 1_000_000
    wanted = draw.sample(range(candidates), int(50_000 * share))
    with db.atomic():
        many = db.conn.executemany
        many("INSERT INTO videos (video_id, added_at) VALUES (?, 'x')", ((vid(n),) for n in wanted))
        many(
            "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, added_at) "
            "VALUES (?, ?, 0, 10000, ?, 'x')",
            ((f"{vid(n)}_000000_000010", vid(n), LABEL) for n in wanted),
        )
        many(
            "INSERT INTO media VALUES (?, ?, '0', 1, 10000, 16, 16, 30.0, 30, 'h264', NULL, "
            "'smart', 0, NULL, '', x'00', 'x', 'x')",
            ((f"{vid(n)}_000000_000010", vid(n)) for n in wanted[: int(20_000 * share)]),
        )
        many(
            "INSERT INTO decisions (clip_id, verdict, method, decided_by, decided_at) "
            "VALUES (?, ?, 'adjudicated', 'a', 'x')",
            (
                (f"{vid(n)}_000000_000010", draw.choice(("yes", "no", "no", "no")))
                for n in wanted[: int(20_000 * share)]
            ),
        )
        many(
            "INSERT INTO release_rows (clip_id, row_hash, video_id, start_ms, end_ms, label) "
            "VALUES (?, zeroblob(32), ?, 0, 10000, ?)",
            ((f"{vid(n)}_000000_000010", vid(n), LABEL) for n in wanted[: int(5_000 * share)]),
        )


def vid(number: int) -> str:
    return f"v{number:010d}"


def plan(db: Database) -> int:
    queries = known_queries(db, build_queries(*shipped_set("mimetics")))
    return plan_discover(db, queries, FileSearch(Path(__file__).parent), per_query=50).queries


def all_economics(db: Database) -> int:
    ledger = read_ledger(db)
    return sum(len(economics(ledger, by)) for by in GROUPINGS)


TABLES: dict[str, Callable[[Database], int]] = {
    "list, newest first": lambda db: len(list(list_candidates(db))),
    "list, one class": lambda db: len(list(list_candidates(db, label=LABEL))),
    "list, verified": lambda db: len(list(list_candidates(db, label=LABEL, states=("verified",)))),
    "show": lambda db: len(show_candidate(db, vid(7))),
    "export, one class": lambda db: len(
        list(islice(fetch_list(db, label=LABEL, states=("open",), limit=200), 200))
    ),
    "plan": plan,
    "economics, by class": lambda db: len(economics(read_ledger(db), "class")),
    "economics, all tables": all_economics,
    "next": lambda db: len(rank_queries(db)),
    "refresh, count": lambda db: count_due(db, 3) + 1,
}


def measure(root: Path, table: Callable[[Database], int]) -> tuple[float, float, float, int]:
    """Make a table twice in a fresh process; return the second's seconds, CPU s, MiB and rows."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, root, table))
    process.start()
    sender.close()
    result: tuple[float, float, float, int] = receiver.recv()
    process.join()
    return result


def _measured(sender: object, root: Path, table: Callable[[Database], int]) -> None:
    with open_workspace(root, read_only=True) as space:
        table(space.db)
    with open_workspace(root, read_only=True) as space:
        began, cpu_began = time.perf_counter(), time.process_time()
        rows = table(space.db)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sender.send((seconds, cpu_s, peak, rows))  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()

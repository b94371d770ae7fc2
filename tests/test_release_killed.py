"""Power cuts and neighbours: the database is as before or as after, and readers never wait."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from release_lists import CLASSES, clip, decide, release

from mimecurate.curation import release_croissant_check
from mimecurate.curation.release_bundle_check import check_bundle
from mimecurate.curation.release_create import Recipe, create_release
from mimecurate.curation.release_freeze import staged_digest
from mimecurate.curation.release_read import list_releases, load_release
from mimecurate.curation.release_stage import open_stage, stage_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.database import open_database
from mimecurate.schemas.versions import Version

if TYPE_CHECKING:
    from pathlib import Path

CLIPS = 4_000
STRIKES = 3
PROGRAM = """
import sys
from pathlib import Path
from mimecurate.curation.release_create import Recipe, create_release
from mimecurate.curation.release_edition import load_edition
from mimecurate.curation.release_export import export_release
from mimecurate.curation.release_import import import_release
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.versions import Version
import pyarrow.parquet

root, work = Path(sys.argv[1]), sys.argv[2]
out = root.parent / "out"
print("ready", flush=True)
sys.stdin.readline()
with open_workspace(root) as space:
    if work == "import":
        import_release(space, root.parent / "list.csv", format="kinetics", name="k",
                       version=Version(1, 0, 0))
    elif work == "create":
        create_release(space, "m", Version(1, 1, 0), Recipe(),
                       allow=["unverified-media", "class-without-clips"])
    elif work == "withdraw":
        withdraw(space, "m", "asked", video_ids=[f"vid-{n:07d}" for n in range(1, 200)])
    else:
        export_release(load_edition("m@1.0.0", root), "bundle", out)
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    rows = [f"archery,vid-{n:07d},1,4,test" for n in range(1, CLIPS)]
    (tmp_path / "list.csv").write_text(
        "\n".join(["label,youtube_id,time_start,time_end,split", *rows, ""])
    )
    with open_workspace(tmp_path / "ws") as opened:
        released = [clip(f"vid-{n:07d}") for n in range(1, CLIPS)]
        release(opened.db, "m@1.0.0", released, CLASSES[:1])
        with opened.db.atomic():
            for n in range(1, 200):
                path = f"clips/vi/vid-{n:07d}_000001_000004.mp4"
                (opened.root / path).parent.mkdir(exist_ok=True, parents=True)
                (opened.root / path).write_bytes(b"media")
                opened.db.execute(
                    "INSERT INTO media VALUES (?, ?, '', 1, 1, 1, 1, 1.0, 1, 'h264', NULL, "
                    "'smart', 0, NULL, '', x'00', 'x', 'x')",
                    [released[n - 1].clip_id, path],
                )
            for n in range(CLIPS, CLIPS + 2_000):
                decide(opened.db, clip(f"vid-{n:07d}"))
    return tmp_path / "ws"


def _run(root: Path, work: str, strike_after_s: float | None = None) -> tuple[bool, float]:
    """Run the work, perhaps killing it; say whether it ended by itself, and after how long."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, root, work],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"ready\n"
    begin = time.monotonic()
    process.stdin.write(b"go\n")
    process.stdin.flush()
    try:
        _, stderr = process.communicate(timeout=strike_after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False, time.monotonic() - begin
    assert process.returncode == 0, stderr.decode()
    return True, time.monotonic() - begin


def _is_whole(root: Path) -> int:
    """Check that all that is frozen verifies and nothing hangs loose; count the releases."""
    db = open_database(root / "mimecurate.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert db.execute("PRAGMA foreign_key_check").fetchall() == []
    rows = list_releases(db)
    for row in rows:
        open_stage(db)
        stage_release(db, row["release_id"])
        assert staged_digest(db) == row["digest"]
    loose = "SELECT 1 FROM release_clips WHERE release_id NOT IN (SELECT release_id FROM releases)"
    assert db.execute(loose).fetchall() == []
    db.close()
    return len(rows)


@pytest.mark.parametrize(
    ("work", "before", "after"), [("import", 1, 2), ("create", 1, 2), ("withdraw", 1, 2)]
)
def test_killed_at_any_moment_it_is_as_before_or_as_after(
    root: Path, work: str, before: int, after: int
) -> None:
    moments = random.Random(work)
    length_s = 0.4
    for _ in range(STRIKES):
        done, took_s = _run(root, work, moments.uniform(0, length_s))
        found = _is_whole(root)
        assert found in {before, after}
        _withdrawn_as_a_whole(root)
        if done or found == after:
            break
        length_s = max(length_s, took_s * 1.5)
    _run(root, work)
    assert _is_whole(root) == after
    assert _withdrawn_as_a_whole(root) == (199 if work == "withdraw" else 0)
    media = list((root / "clips").rglob("*.mp4"))
    assert len(media) == (0 if work == "withdraw" else 199)


def _withdrawn_as_a_whole(root: Path) -> int:
    """Check that clips are withdrawn with their rows and media records, or not at all."""
    db = sqlite3.connect(root / "mimecurate.db")
    withdrawn, rows, media = db.execute(
        "SELECT (SELECT count(*) FROM withdrawals), (SELECT count(*) FROM release_rows WHERE "
        "clip_id IN (SELECT clip_id FROM withdrawals)), (SELECT count(*) FROM media)"
    ).fetchone()
    db.close()
    assert (withdrawn, rows, media) in {(0, 0, 2_199), (199, 0, 2_000)}
    return int(withdrawn)


def test_a_killed_export_leaves_nothing_or_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release_croissant_check, "find_spec", lambda name: None)
    out = root.parent / "out"
    moments = random.Random("export")
    for _ in range(STRIKES):
        done, _ = _run(root, "export", moments.uniform(0, 0.6))
        if out.exists():
            break
        assert not done
    else:
        _run(root, "export")
    assert check_bundle(out).clips == CLIPS - 1
    assert not list(root.parent.glob(".out.partial*"))


def test_readers_see_before_or_after_and_never_wait(root: Path) -> None:
    seen: list[tuple[int, int]] = []
    waits_s: list[float] = []
    stop = threading.Event()
    problems: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                begin = time.monotonic()
                with open_workspace(root, read_only=True) as space:
                    rows = list_releases(space.db)
                    last = f"{rows[-1]['name']}@{rows[-1]['version']}"
                seen.append((len(rows), len(load_release(last, root).clips)))
                waits_s.append(time.monotonic() - begin)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    with open_workspace(root) as space:
        create_release(
            space,
            "m",
            Version(1, 1, 0),
            Recipe(),
            allow=["unverified-media", "class-without-clips"],
        )
    written = len(seen)
    while len(seen) < written + 4 and not problems:
        time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []
    assert set(seen) <= {(1, CLIPS - 1), (2, CLIPS + 1_999)}
    assert seen[-1] == (2, CLIPS + 1_999)
    assert max(waits_s) < 10

"""Measure annotation against the bare calls of Label Studio's API, in the same run.

Run: python benchmarks/annotate.py [--clips 10000] [--runs 3]

Starts a Label Studio in a workspace of its own, with that many clips (links to one small film), and
compares, taking turns and by medians:

- push of all clips to a new round, the check of every clip included, with one bulk import of the
  same tasks into a new project; which of the two is first changes from run to run, and the ratio
  is the median of the runs' own ratios. The CPU seconds of the pushing process stand beside it;
- pull of 50 changes among them with the one filtered query that finds those;
- memory of a push of all clips with that of a tenth of them: each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from mimecurate.annotation.connection import Connection, connect
from mimecurate.annotation.pull import pull
from mimecurate.annotation.push import PushOptions, plan_push, push
from mimecurate.annotation.round_clips import Wanted
from mimecurate.annotation.server import serve
from mimecurate.curation.media_store import media_path
from mimecurate.curation.samples import VideoSpec, make_video
from mimecurate.curation.verify import verify_clip
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.database import now
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGES = 50
VIDEO = "vvvvvvvvvvv"
LIMITS = {"push / one bulk import": 1.5, "pull of 50 changes / the filtered query": 2.0}
_ANSWER = {
    "from_name": "verdict",
    "to_name": "video",
    "type": "choices",
    "value": {"choices": ["yes"]},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to make the workspace")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        root = Path(folder) / "workspace"
        film = make_video(Path(folder) / "film.mp4", VideoSpec(seconds=1, fps=25)).path
        fill(root, film, arguments.clips)
        with serve(root, 0) as started:
            key = started.server.read_credentials().api_key
            url = started.server.url
            in_process(push_once, root, url, key, "warm-up", 100)
            with connect(url, key) as connection:
                measure_push(root, connection, key, arguments.clips, arguments.runs)
                measure_pull(root, connection, arguments.runs)


def fill(root: Path, film: Path, count: int) -> None:
    """Make a workspace of fetched clips, all of which are the same film."""
    facts = verify_clip(film)
    at = now()
    with open_workspace(root) as workspace, workspace.db.atomic():
        db = workspace.db
        db.execute("INSERT INTO classes (name) VALUES ('archery'), ('bowling')")
        db.execute("INSERT INTO videos (video_id, added_at) VALUES (?, ?)", [VIDEO, at])
        for number in range(count):
            start_ms, end_ms = number * 1000, number * 1000 + 1000
            name = clip_id(VIDEO, start_ms, end_ms)
            path = media_path(name)
            (root / path).parent.mkdir(exist_ok=True)
            os.link(film, root / path)
            db.execute(
                "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, added_at) "
                "VALUES (?, ?, ?, ?, 'archery', ?)",
                [name, VIDEO, start_ms, end_ms, at],
            )
            db.execute(
                "INSERT INTO media (clip_id, path, sha256, bytes, duration_ms, width, height, fps, "
                "frames, video_codec, cut, start_ms, frame_hashes, fetched_at, verified_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'smart', ?, x'', ?, ?)",
                [
                    name,
                    path.as_posix(),
                    facts.sha256,
                    facts.bytes,
                    facts.duration_ms,
                    facts.width,
                    facts.height,
                    facts.fps,
                    facts.frames,
                    facts.video_codec,
                    start_ms,
                    at,
                    at,
                ],
            )


def measure_push(root: Path, connection: Connection, key: str, clips: int, runs: int) -> None:
    small = in_process(push_once, root, connection.url, key, "small", clips // 10)
    first = in_process(push_once, root, connection.url, key, "run 0", clips)
    like = first["project_id"]
    tasks = tasks_of(connection, like)
    pushes, imports = [], []
    for run in range(1, runs + 1):
        if run % 2:
            imports.append(import_once(connection, like, tasks))
        pushes.append(in_process(push_once, root, connection.url, key, f"run {run}", clips))
        if not run % 2:
            imports.append(import_once(connection, like, tasks))
    assert {pushed["created"] for pushed in pushes} == {clips}
    report("push / one bulk import", [pushed["seconds"] for pushed in pushes], imports)
    print(
        f"CPU of the pushing process: {listed([pushed['cpu_s'] for pushed in pushes])} s; peak "
        f"memory: {max(pushed['peak_mib'] for pushed in pushes):.0f} MiB for {clips:,} clips, "
        f"{small['peak_mib']:.0f} MiB for {clips // 10:,}",
        flush=True,
    )


def measure_pull(root: Path, connection: Connection, runs: int) -> None:
    pulls, queries = [], []
    with open_workspace(root) as workspace:
        pull(workspace, connection, rounds=["run 0"])
        project_id, tasks = workspace.db.execute(
            "SELECT project_id, json_group_array(task_id) FROM projects JOIN tasks USING "
            "(project_key) WHERE round = 'run 0'"
        ).fetchone()
        for run in range(runs):
            for task_id in json.loads(tasks)[run * CHANGES :][:CHANGES]:
                connection.post(f"/api/tasks/{task_id}/annotations", {"result": [_ANSWER]})
            since = workspace.db.execute(
                "SELECT pulled_until FROM projects WHERE round = 'run 0'"
            ).fetchone()[0]
            began = datetime.now(UTC) - timedelta(days=1)
            since = since or f"{began:%Y-%m-%dT%H:%M:%S.%fZ}"
            queries.append(timed(partial(changed, connection, project_id, since)))
            pulls.append(timed(lambda: pull(workspace, connection, rounds=["run 0"])))
    report("pull of 50 changes / the filtered query", pulls, queries)


def changed(connection: Connection, project_id: int, since: str) -> int:
    """Ask for what changed since then, as plainly as the API can be asked."""
    wanted = {
        "filter": "filter:tasks:updated_at",
        "operator": "greater",
        "type": "Datetime",
        "value": since,
    }
    query = {
        "project": project_id,
        "fields": "all",
        "query": json.dumps({"filters": {"conjunction": "and", "items": [wanted]}}),
    }
    return sum(len(page) for page in connection.pages("/api/tasks", query, page_size=500))


def push_once(root: Path, url: str, key: str, name: str, clips: int) -> dict[str, Any]:
    """Push a new round; what it took."""
    with open_workspace(root) as workspace, connect(url, key) as connection:
        began, cpu_began = time.perf_counter(), time.process_time()
        plan = plan_push(workspace.db, PushOptions(round=name, wanted=Wanted(limit=clips)))
        done = push(workspace, connection, plan)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "seconds": seconds,
        "cpu_s": cpu_s,
        "created": done.created,
        "project_id": done.project_id,
        "peak_mib": peak,
    }


def import_once(connection: Connection, like: int, tasks: list[dict[str, Any]]) -> float:
    """Import tasks in one request into a new project with another's screen; seconds."""
    config = connection.get(f"/api/projects/{like}")["label_config"]
    project = connection.post("/api/projects", {"title": "bare", "label_config": config})
    return timed(lambda: connection.post(f"/api/projects/{project['id']}/import", tasks))


def tasks_of(connection: Connection, project_id: int) -> list[dict[str, Any]]:
    query = {"project": project_id, "fields": "task_only", "include": "data"}
    return [
        {"data": task["data"]}
        for page in connection.pages("/api/tasks", query, page_size=2000)
        for task in page
    ]


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_process(work: Callable[..., dict[str, Any]], *arguments: object) -> dict[str, Any]:
    """Run in a fresh process, whose peak memory is its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def report(name: str, ours: list[float], bare: list[float]) -> None:
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    print(
        f"{name}: {median(ratios):.2f} (limit {LIMITS[name]}), of runs {listed(ratios)}: "
        f"{listed(ours)} s / {listed(bare)} s",
        flush=True,
    )


def listed(seconds: list[float]) -> str:
    return ", ".join(f"{s:.2f}" for s in seconds)


if __name__ == "__main__":
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    main()

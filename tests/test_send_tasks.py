"""Sending tasks to a project: each clip once, whatever goes wrong on the way.

The server here is a model of Label Studio's tasks whose faults are chosen; tests of the real one
are in test_push.py.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from mimecurate.annotation import send_tasks as module
from mimecurate.annotation.connection import LostAnswerError, ServerError
from mimecurate.annotation.send_tasks import NewTask, Sent, send_tasks
from mimecurate.annotation.task_store import StoredTask
from mimecurate.schemas.database import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

CLIPS = [f"v_{i:06d}_{i + 1:06d}" for i in range(23)]


class CrashError(BaseException):
    """The process ends here."""


@dataclass
class ModelServer:
    """Tasks with ids that are reused, as Label Studio's on SQLite."""

    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    answers: set[int] = field(default_factory=set)
    faults: Iterator[str] = field(default_factory=lambda: iter(()))
    """What becomes of each write: ``""``, ``lost`` (done, no answer), ``undone`` (not done, no
    answer), ``late`` (done after some more reads), ``crash``, ``race`` (somebody else first)."""
    late: list[tuple[int, Callable[[], object]]] = field(default_factory=list)
    other: Callable[[], object] = lambda: None
    """What somebody else does."""
    sends: list[int] = field(default_factory=list)

    def add(self, datas: Sequence[dict[str, Any]]) -> list[int]:
        first = max(self.tasks, default=0) + 1
        new = dict(enumerate(datas, first))
        self.tasks |= new
        return list(new)

    def pages(self) -> Iterator[list[StoredTask]]:
        self._read()
        everything = [StoredTask(i, dict(data)) for i, data in sorted(self.tasks.items())]
        for start in range(0, len(everything), 4):
            yield everything[start : start + 4]

    def count(self) -> int:
        self._read()
        return len(self.tasks)

    def send(self, tasks: Sequence[dict[str, object]]) -> list[int]:
        datas: list[Any] = [task["data"] for task in tasks]
        self.sends.append(len(datas))
        fault = next(self.faults, "")
        if fault == "crash":
            raise CrashError
        if fault == "race":
            self.other()
        if fault == "undone":
            raise LostAnswerError("undone")
        if fault == "late":
            self.late.append((4, lambda: self.add(datas)))
            raise LostAnswerError("late")
        made = self.add(datas)
        if fault == "lost":
            raise LostAnswerError("lost")
        if fault == "crash after":
            raise CrashError
        return made

    def answered(self, clip_ids: Mapping[int, str]) -> dict[int, bool]:
        return {
            i: i in self.answers
            for i, c in clip_ids.items()
            if self.tasks.get(i, {}).get("clip_id") == c
        }

    def update(self, task_id: int, data: dict[str, object]) -> None:
        self.tasks[task_id] = data

    def delete(self, task_ids: Sequence[int]) -> None:
        assert not self.answers.intersection(task_ids), "an answer is lost"
        fault = next(self.faults, "")
        for task_id in task_ids if fault != "undone" else ():
            self.tasks.pop(task_id, None)
        if fault in {"lost", "undone"}:
            raise LostAnswerError(fault)

    def _read(self) -> None:
        self.late = [(left - 1, do) for left, do in self.late]
        for left, do in self.late:
            if left <= 0:
                do()
        self.late = [(left, do) for left, do in self.late if left > 0]

    def clips(self) -> list[str]:
        return [data["clip_id"] for _, data in sorted(self.tasks.items())]


class Source:
    """Describes the clips of the workspace; some are refused."""

    def __init__(self, refused: Sequence[str] = (), fps: float = 25) -> None:
        self.refused, self.fps = refused, fps

    def describe(self, clip_ids: Sequence[str]) -> dict[str, NewTask]:
        return {
            c: NewTask({"clip_id": c, "fps": self.fps}, {"clip_id": c, "fps": self.fps})
            for c in clip_ids
            if c in CLIPS
        }

    def find_problem(self, task: NewTask) -> str:
        return "it does not play" if task.clip_id in self.refused else ""


class Clock:
    """Time that passes by sleeping alone."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


@pytest.fixture(autouse=True, scope="module")
def _no_waiting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time", Clock())
        yield


def make_database() -> Database:
    db = Database(sqlite3.connect(":memory:"))
    TEMPLATE.conn.backup(db.conn)
    return db


def make_template() -> Database:
    db = open_database(Path(":memory:"))
    with db.atomic():
        db.execute("INSERT INTO videos (video_id, added_at) VALUES ('v', '')")
        for i, clip_id in enumerate(CLIPS):
            db.execute(
                "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, added_at) "
                "VALUES (?, 'v', ?, ?, '')",
                [clip_id, i * 1000, i * 1000 + 1000],
            )
        db.execute("INSERT INTO screens VALUES ('s', '<View/>', '')")
        db.execute(
            "INSERT INTO rounds (round, kind, mark, made_at) VALUES ('1','annotation','m','')"
        )
        db.execute(
            "INSERT INTO projects (project_key, round, server, project_id, title, screen, made_at) "
            "VALUES (1, '1', 'http://x', 1, 'x', 's', '')"
        )
    return db


TEMPLATE = make_template()


def send(db: Database, server: ModelServer, clips: Sequence[str] = CLIPS, **more: Any) -> Sent:
    source = more.pop("source", None) or Source()
    return send_tasks(db, 1, server, clips, source, batch_size=5, quiet_s=1, **more)


def rows(db: Database) -> dict[str, int | None]:
    return dict(db.execute("SELECT clip_id, task_id FROM tasks"))


def test_sends_every_clip_once_in_the_order_given() -> None:
    db, server = make_database(), ModelServer()
    ordered = random.Random(1).sample(CLIPS, len(CLIPS))
    told: list[int] = []
    sent = send(db, server, ordered, advance=told.append)
    assert server.clips() == ordered
    assert server.sends == [1, 4, 5, 5, 5, 3]
    assert (sent.created, sent.existing, sum(told)) == (23, 0, 23)
    assert rows(db) == {data["clip_id"]: i for i, data in server.tasks.items()}


def test_ten_thousand_clips_go_in_few_requests_and_the_first_soon() -> None:
    batches = module._batches([f"c{i}" for i in range(10_000)], module.BATCH)
    assert [len(batch) for batch in batches] == [200, 800, 2000, 2000, 2000, 2000, 1000]


def test_second_run_sends_nothing() -> None:
    db, server = make_database(), ModelServer()
    send(db, server)
    server.sends.clear()
    sent = send(db, server)
    assert (sent.created, sent.existing, sent.updated, server.sends) == (0, 23, 0, [])


def test_sends_what_is_missing_only() -> None:
    db, server = make_database(), ModelServer()
    send(db, server, CLIPS[:7])
    server.sends.clear()
    sent = send(db, server, CLIPS[:10])
    assert (sent.created, sent.existing, server.sends) == (3, 7, [1, 2])


def test_deleted_task_is_sent_again_though_its_id_was_reused() -> None:
    db, server = make_database(), ModelServer()
    send(db, server, CLIPS[:5])
    del server.tasks[5]
    server.add([{"clip_id": CLIPS[9], "fps": 25}])  # gets the id 5
    send(db, server, CLIPS[:5])
    assert Counter(server.clips()) == Counter([*CLIPS[:5], CLIPS[9]])
    assert rows(db)[CLIPS[4]] == 6
    assert rows(db)[CLIPS[9]] == 5


def test_refused_clips_are_named_and_not_sent() -> None:
    db, server = make_database(), ModelServer()
    told: list[int] = []
    sent = send(db, server, source=Source(refused=CLIPS[2:4]), advance=told.append)
    assert [r.clip_id for r in sent.refused] == CLIPS[2:4]
    assert (sent.created, sum(told)) == (21, 23)
    assert not set(CLIPS[2:4]) & set(server.clips())
    assert not set(CLIPS[2:4]) & set(rows(db))


def test_changed_data_is_brought_up_to_date() -> None:
    db, server = make_database(), ModelServer()
    send(db, server, CLIPS[:5])
    sent = send(db, server, CLIPS[:5], source=Source(fps=30))
    assert (sent.updated, sent.created, len(server.tasks)) == (5, 0, 5)
    assert {data["fps"] for data in server.tasks.values()} == {30}
    assert {row[0] for row in db.execute("SELECT fps FROM tasks")} == {30}


def test_frame_rate_under_answers_stays() -> None:
    db, server = make_database(), ModelServer(answers={2})
    send(db, server, CLIPS[:3])
    sent = send(db, server, CLIPS[:3], source=Source(fps=30))
    assert [data["fps"] for data in server.tasks.values()] == [30, 25, 30]
    (refused,) = sent.refused
    assert refused.clip_id == CLIPS[1]
    assert "from 25 to 30 frames a second" in refused.problem
    assert (sent.existing, sent.updated) == (3, 2)


def test_answered_task_that_was_given_another_clips_name_stays_what_it_was() -> None:
    db, server = make_database(), ModelServer()
    send(db, server)
    told = rows(db)
    changed, other = told[CLIPS[3]], told[CLIPS[4]]
    assert changed is not None
    assert other is not None
    server.answers.add(changed)
    server.tasks[changed]["clip_id"] = CLIPS[4]
    del server.tasks[other]
    for _ in range(2):
        sent = send(db, server)
        assert sent.renamed == {changed: (CLIPS[3], CLIPS[4])}
        assert rows(db)[CLIPS[3]] == changed
        assert rows(db)[CLIPS[4]] not in {None, changed}
    assert sorted(server.clips()) == sorted([*CLIPS[:3], CLIPS[4], *CLIPS[4:]])


def test_tasks_of_others_are_left_alone() -> None:
    db, server = make_database(), ModelServer()
    server.add([{"text": "hello"}, {"clip_id": "unknown_000001_000002"}, {"clip_id": 7}])
    sent = send(db, server)
    assert (sent.foreign, sent.created, len(server.tasks)) == (3, 23, 26)


def test_of_two_tasks_the_answered_one_stays() -> None:
    db, server = make_database(), ModelServer()
    server.add([{"clip_id": c, "fps": 25} for c in CLIPS[:3] * 2])
    server.answers = {5, 3, 6}
    sent = send(db, server, CLIPS[:3])
    assert sorted(server.tasks) == [1, 3, 5, 6]
    assert (sent.removed, sent.doubled, sent.created) == (2, [CLIPS[2]], 0)
    assert rows(db)[CLIPS[1]] == 5


def test_gives_up_after_losing_answers_again_and_again() -> None:
    db, server = make_database(), ModelServer(faults=iter(["undone"] * 100))
    with pytest.raises(LostAnswerError, match="undone"):
        send(db, server)
    assert len(server.sends) == module.MOST_LOOKS
    assert send(db, ModelServer()).created == 23


def test_refusal_by_the_server_is_raised_at_once() -> None:
    class Refusing(ModelServer):
        def send(self, tasks: Sequence[dict[str, object]]) -> list[int]:
            self.sends.append(len(tasks))
            raise ServerError("400: no", 400)

    server = Refusing()
    with pytest.raises(ServerError, match="400"):
        send(make_database(), server)
    assert server.sends == [1]


def test_waits_for_a_batch_that_a_dead_run_left_behind() -> None:
    db, server = make_database(), ModelServer(faults=iter(["", "crash"]))
    with pytest.raises(CrashError):
        send(db, server)
    server.late.append((3, lambda: server.add([{"clip_id": c, "fps": 25} for c in CLIPS[5:10]])))
    server.faults = iter(())
    server.sends.clear()
    sent = send(db, server)
    assert Counter(server.clips()) == Counter(CLIPS)
    assert sent.created + sent.existing == 23
    assert (sum(server.sends), sent.removed) == (23 - 1 - 5, 0)


def test_waits_for_a_batch_whose_answer_was_lost() -> None:
    db, server = make_database(), ModelServer(faults=iter(["", "late"]))
    sent = send(db, server)
    assert Counter(server.clips()) == Counter(CLIPS)
    assert (sum(server.sends), sent.removed) == (23, 0)


def test_forgets_what_never_arrived() -> None:
    db, server = make_database(), ModelServer(faults=iter(["", "crash"]))
    with pytest.raises(CrashError):
        send(db, server)
    assert sum(task_id is None for task_id in rows(db).values()) == 4 + 5
    send(db, server, CLIPS[:1])
    assert list(rows(db)) == CLIPS[:1]


FAULTS = st.lists(
    st.sampled_from(["", "", "lost", "undone", "late", "crash", "crash after", "race"]),
    max_size=12,
)


@given(FAULTS, st.integers(0, 1000))
@settings(max_examples=150, deadline=None)
def test_whatever_happens_each_clip_ends_with_one_task(faults: list[str], seed: int) -> None:
    db = make_database()
    server, chance = ModelServer(faults=iter(faults)), random.Random(seed)
    server.other = lambda: server.add(
        [{"clip_id": c, "fps": 25} for c in chance.sample(CLIPS, chance.randint(0, 6))]
    )
    for _ in range(20):
        try:
            send(db, server)
        except (CrashError, ServerError):
            server.answers |= {i for i in server.tasks if chance.random() < 0.1}
            continue
        break
    else:
        pytest.fail("never done")
    counts = Counter(server.clips())
    answered = Counter(server.tasks[i]["clip_id"] for i in server.answers & server.tasks.keys())
    assert counts.keys() == set(CLIPS)
    assert all(n == max(1, answered[c]) for c, n in counts.items() if not server.late), counts
    assert all(rows(db)[data["clip_id"]] is not None for data in server.tasks.values())


@pytest.mark.parametrize("fault", ["lost", "undone"])
def test_lost_answer_to_a_deletion(fault: str) -> None:
    db, server = make_database(), ModelServer(faults=iter([fault]))
    server.add([{"clip_id": c, "fps": 25} for c in CLIPS * 2])
    send(db, server)
    assert Counter(server.clips()) == Counter(CLIPS)

"""Bring tasks to a project, each clip once, whatever happens on the way.

Label Studio knows no key of ours on its tasks: to send the same twice makes two. So what is there
is looked up first, only what is missing is sent, and nothing is sent again before another look.
What is about to be sent is written to the database first, as a task without an id: after a crash
that tells the next run to wait until the server is at rest before it looks.

Somebody else may write to the same project, from another copy of the workspace. The server's count
shows it, after the first batch and at the end; then the tasks are looked up again, and of two for
one clip the one that nobody answered is removed.
"""

from __future__ import annotations

import random
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mimecurate.annotation import task_rows
from mimecurate.annotation.connection import LostAnswerError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlite_utils import Database

    from mimecurate.annotation.task_store import StoredTask, TaskStore

BATCH = 2000
"""Tasks in a request. For each request Label Studio counts all tasks of the project anew; but
larger ones leave the server idle while the first of them is prepared."""
QUIET_S = 2.0
"""A server whose count stands still for so long is at rest."""
MOST_LOOKS = 8
"""Looks that a run takes after trouble, before it gives up."""
_POLL_S = 0.1
_DOUBLED = 50
"""Clips whose second tasks are removed at a time: between looking and deleting little passes."""


@dataclass(frozen=True, slots=True)
class NewTask:
    """A task as it should be on the server."""

    clip: Mapping[str, object]
    """The clip's row; ``clip_id`` and ``fps`` are read, and whatever `TaskSource` needs."""
    data: dict[str, object]
    predictions: tuple[dict[str, object], ...] = ()
    predicted_label: str | None = None
    gold_decision: int | None = None
    """The decision that tells a gold clip's right answer."""

    @property
    def clip_id(self) -> str:
        """The clip it is of."""
        return str(self.clip["clip_id"])

    def body(self) -> dict[str, object]:
        """Return it as Label Studio imports it."""
        if not self.predictions:
            return {"data": self.data}
        return {"data": self.data, "predictions": list(self.predictions)}


class TaskSource(Protocol):
    """Knows what a clip's task should be."""

    def describe(self, clip_ids: Sequence[str]) -> dict[str, NewTask]:
        """Return the task of each clip; none of a clip that can't have one."""
        ...

    def find_problem(self, task: NewTask) -> str:
        """Say why a task must not be sent; empty if it may."""
        ...


@dataclass(frozen=True, slots=True)
class RefusedClip:
    """A clip that gets no task, and why."""

    clip_id: str
    problem: str


@dataclass(slots=True)
class Sent:
    """What became of the tasks of one project."""

    created: int = 0
    """Clips of the plan that had no task and have one now."""
    existing: int = 0
    """Clips of the plan that had one."""
    updated: int = 0
    """Tasks whose data was brought up to date."""
    refused: list[RefusedClip] = field(default_factory=list)
    removed: int = 0
    """Second tasks of a clip that were removed."""
    doubled: list[str] = field(default_factory=list)
    """Clips with several tasks that are all answered: they stay."""
    renamed: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Answered tasks that name another clip than they were pushed as: both clips."""
    foreign: int = 0
    """Tasks of no fetched clip of this workspace, which are left alone."""


def send_tasks(
    db: Database,
    project_key: int,
    store: TaskStore,
    clip_ids: Sequence[str],
    source: TaskSource,
    *,
    advance: Callable[[int], object] = lambda done: None,
    batch_size: int = BATCH,
    quiet_s: float = QUIET_S,
) -> Sent:
    """Give each clip its task in a project, and bring old tasks up to date.

    At most two batches of tasks are in memory, and of all other tasks the clip's and the task's id.
    Run again after anything at all, it makes of the server what one undisturbed run would have.

    Args:
        db: the workspace's database; only this process writes it.
        project_key: of the project, in the table `projects`.
        store: the project's tasks.
        clip_ids: which clips, each once, in the order in which annotators get them.
        source: what their tasks should be.
        advance: told how many more clips are settled.
        batch_size: tasks in a request.
        quiet_s: how long the count must stand still after trouble.

    Raises:
        ServerError: the server refuses, is gone, or loses answers all the time; nothing is doubled
            or lost, and another run goes on from there.
    """
    run = _Run(db, project_key, store, source, advance, batch_size, quiet_s)
    wanted = dict.fromkeys(clip_ids)
    if task_rows.has_unconfirmed(db, project_key):
        run.wait_until_quiet()
    run.look(wanted, is_first=True)
    run.sent.existing = len(wanted.keys() & run.there.keys())
    run.settle(wanted)
    for _ in range(MOST_LOOKS):
        if run.send([c for c in wanted if c not in run.there and c not in run.refused]):
            task_rows.forget_unconfirmed(db, project_key)
            run.sent.created = len(wanted.keys() & run.there.keys()) - run.sent.existing
            return run.sent
        run.wait_until_quiet()
        run.look(wanted)
        run.settle(wanted)
    raise run.trouble or _is_busy()


class _Run:
    """One run of `send_tasks`: what it knows of the server."""

    def __init__(
        self,
        db: Database,
        project_key: int,
        store: TaskStore,
        source: TaskSource,
        advance: Callable[[int], object],
        batch_size: int,
        quiet_s: float,
    ) -> None:
        self._db, self._project_key, self._store, self._source = db, project_key, store, source
        self._advance, self._batch_size, self._quiet_s = advance, batch_size, quiet_s
        self._settled = 0
        self._count = 0
        self._doubled: dict[str, list[int]] = {}
        self.there: dict[str, int] = {}
        """The task of each clip on the server."""
        self.refused: set[str] = set()
        self.sent = Sent()
        self.trouble: ServerError | None = None

    def look(self, wanted: Mapping[str, None], *, is_first: bool = False) -> None:
        """Learn what is on the server; the first time, bring it up to date."""
        self.there, self._doubled = {}, {}
        self._count = self.sent.foreign = 0
        for page in self._store.pages():
            self._count += len(page)
            tasks = self._source.describe([t.clip_id for t in page if t.clip_id is not None])
            known = [t for t in page if t.clip_id in tasks]
            self.sent.foreign += len(page) - len(known)
            renamed = self._find_renamed(known)
            known = [t for t in known if t.task_id not in renamed]
            for task in known:
                self._note(str(task.clip_id), task.task_id)
            task_rows.confirm(self._db, self._project_key, known)
            if is_first:
                self._bring_up_to_date([(task, tasks[str(task.clip_id)]) for task in known])
        self._tell(len((self.there.keys() | self.refused) & wanted.keys()))

    def _find_renamed(self, tasks: Sequence[StoredTask]) -> set[int]:
        """Find answered tasks that somebody gave another clip's name; what was said is of the old.

        The clip that such a task was pushed as counts as sent, and the task is left alone.
        """
        pushed_as = task_rows.pushed_as(self._db, self._project_key, tasks)
        if not pushed_as:
            return set()
        says = {t.task_id: str(t.clip_id) for t in tasks if t.task_id in pushed_as}
        answered = self._store.answered(says)
        renamed = {task_id for task_id, is_answered in answered.items() if is_answered}
        for task_id in renamed:
            self._note(pushed_as[task_id], task_id)
            self.sent.renamed[task_id] = (pushed_as[task_id], says[task_id])
        return renamed

    def settle(self, wanted: Mapping[str, None]) -> None:
        """Remove second tasks, once the server is at rest."""
        for _ in range(MOST_LOOKS):
            if not self._doubled:
                return
            self.wait_until_quiet()
            self.look(wanted)
            try:
                self._remove_doubled()
            except LostAnswerError as error:
                self.trouble = error  # and look again
        raise self.trouble or _is_busy()

    def send(self, clip_ids: Sequence[str]) -> bool:
        """Send tasks batch by batch; the next is prepared while the server takes one in.

        Returns:
            Whether all arrived and nobody else wrote meanwhile; if not, it is time to look.
        """
        flight: tuple[list[NewTask], Future[list[int]]] | None = None
        landed = 0
        with ThreadPoolExecutor(1) as pool:
            for some in _batches(clip_ids, self._batch_size):
                batch = self._prepare(some)
                task_rows.announce(self._db, self._project_key, batch)
                bodies = [task.body() for task in batch]
                if flight is not None:
                    if not self._land(*flight) or (landed == 0 and not self._is_alone()):
                        return False
                    landed += 1
                flight = (batch, pool.submit(self._store.send, bodies)) if batch else None
            return (flight is None or self._land(*flight)) and self._is_alone()

    def wait_until_quiet(self) -> None:
        """Wait until the server's count has stood still; of two runs, one goes on first."""
        quiet_s = self._quiet_s * (1 + random.random())
        last, since = -1, time.monotonic()
        while time.monotonic() - since < quiet_s:
            if (now := self._store.count()) != last:
                last, since = now, time.monotonic()
            time.sleep(_POLL_S)

    def _note(self, clip_id: str, task_id: int) -> None:
        first = self.there.setdefault(clip_id, task_id)
        if first != task_id:
            self._doubled.setdefault(clip_id, [first]).append(task_id)

    def _prepare(self, clip_ids: Sequence[str]) -> list[NewTask]:
        batch = []
        tasks = self._source.describe(clip_ids)
        for clip_id in clip_ids:
            task = tasks.get(clip_id)
            problem = self._source.find_problem(task) if task else "it has no media any more"
            if task is None or problem:
                self._refuse(clip_id, problem)
            else:
                batch.append(task)
        return batch

    def _refuse(self, clip_id: str, problem: str) -> None:
        if clip_id not in self.there:
            self._tell(self._settled + 1)
        self.refused.add(clip_id)
        self.sent.refused.append(RefusedClip(clip_id, problem))

    def _land(self, batch: list[NewTask], answer: Future[list[int]]) -> bool:
        began = time.monotonic()
        try:
            task_ids = answer.result()
        except LostAnswerError as error:
            self.trouble = error
            self._quiet_s = max(self._quiet_s, time.monotonic() - began)
            return False
        if len(task_ids) != len(batch):
            return False
        pairs = list(zip([task.clip_id for task in batch], task_ids, strict=True))
        task_rows.set_ids(self._db, self._project_key, pairs)
        self.there.update(pairs)
        self._count += len(batch)
        self._tell(self._settled + len(batch))
        return True

    def _is_alone(self) -> bool:
        """Whether nobody else added or deleted tasks since the last look."""
        return self._store.count() == self._count

    def _tell(self, settled: int) -> None:
        self._advance(max(0, settled - self._settled))
        self._settled = max(settled, self._settled)

    def _bring_up_to_date(self, pairs: Sequence[tuple[StoredTask, NewTask]]) -> None:
        """Replace the data of tasks that changed, but no frame rate that answers rest on."""
        changed = [(old, new) for old, new in pairs if old.data != new.data]
        other_rate = {
            old.task_id: new.clip_id
            for old, new in changed
            if old.data.get("fps") != new.data.get("fps")
        }
        answered = self._store.answered(other_rate) if other_rate else {}
        for old, new in changed:
            if answered.get(old.task_id):
                problem = (
                    f"its media changed from {old.data.get('fps')} to {new.data.get('fps')} frames "
                    "a second and its answers count frames; pull them, and ask again in another "
                    "round"
                )
            else:
                problem = self._source.find_problem(new)
            if problem:
                self._refuse(new.clip_id, problem)
                continue
            self._store.update(old.task_id, new.data)
            task_rows.set_fps(self._db, self._project_key, new)
            self.sent.updated += 1

    def _remove_doubled(self) -> None:
        """Of several tasks of a clip keep those that are answered, or else the oldest."""
        while self._doubled:
            some = {c: self._doubled[c] for c in list(self._doubled)[:_DOUBLED]}
            answered = self._store.answered({i: c for c, ids in some.items() for i in ids})
            second: list[int] = []
            for clip_id, task_ids in some.items():
                left = [i for i in task_ids if i in answered]
                keep = [i for i in left if answered[i]] or left[:1]
                second += [i for i in left if i not in keep]
                self._keep(clip_id, keep)
            if second:
                self._store.delete(second)
                self.sent.removed += len(second)
            self._count -= sum(map(len, some.values())) - len(answered) + len(second)
            self._doubled = {c: ids for c, ids in self._doubled.items() if c not in some}

    def _keep(self, clip_id: str, task_ids: list[int]) -> None:
        if len(task_ids) > 1 and clip_id not in self.sent.doubled:
            self.sent.doubled.append(clip_id)
        if task_ids:
            self.there[clip_id] = task_ids[0]
            task_rows.set_ids(self._db, self._project_key, [(clip_id, task_ids[0])])
        else:
            del self.there[clip_id]


def _batches(clip_ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    """Cut into batches; the first are small, so that the server need not wait long for them."""
    start, length = 0, max(1, size // 10)
    while start < len(clip_ids):
        yield clip_ids[start : start + length]
        start += length
        length = min(size, 4 * length)


def _is_busy() -> ServerError:
    return ServerError(
        "somebody else keeps adding or deleting tasks in this project; "
        "run `mimecurate annotate push` again when they are done"
    )

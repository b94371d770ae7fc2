"""The optical flow of many clips, computed once: what is there stays, what fails is recorded."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from mimecurate.baselines.flow_store import BOUND, UNFINISHED
from mimecurate.curation import engine
from mimecurate.curation.media_store import publish, remove_unfinished
from mimecurate.errors import ClipError, MimecurateError, Reason, WorkspaceBusyError, plain_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

Method = Literal["tvl1", "opencv", "raft_large", "raft_small"]

SETTINGS_FILE = "flow.json"
"""In the store: the method and settings of all its files."""
FAILURES_FILE = "failed.json"
"""In the store: the clips without flow, with the reason of each."""
_LOCK_FILE = ".lock"


@dataclass(frozen=True, slots=True)
class FlowSettings:
    """How flow is computed.

    Attributes:
        method: ``tvl1`` (torch), ``opencv`` (the same algorithm on the CPU), or RAFT.
        short_side: pixels of the frames' shorter side, to which they are resized before.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        weights: file of RAFT's weights, or ``random``.
        weights_sha256: of that file.
        compiled: compile TV-L1's inner iteration.
        threads: that one operation may use on the CPU; 0: as torch wants.
    """

    method: Method = "tvl1"
    short_side: int = 256
    device: str = "cpu"
    weights: str | None = None
    weights_sha256: str | None = None
    compiled: bool = False
    threads: int = 0

    def recorded(self) -> dict[str, Any]:
        """Give what changes the result, as it is kept with each flow."""
        found: dict[str, Any] = {"bound": BOUND, "short_side": self.short_side}
        if self.weights is not None:
            found["weights"] = self.weights_sha256 or self.weights
        return found


@dataclass(frozen=True, slots=True)
class FlowJob:
    """A clip and its file."""

    clip_id: str
    path: Path


@dataclass(slots=True)
class FlowReport:
    """What became of the clips of a run."""

    computed: int = 0
    present: int = 0
    failed: dict[str, dict[str, str]] = field(default_factory=dict)
    """Clip id -> ``reason`` and ``message``."""

    @property
    def by_reason(self) -> dict[str, int]:
        """How many clips failed, by reason."""
        return dict(Counter(failure["reason"] for failure in self.failed.values()))


def run_flow(
    clips: Mapping[str, Path | None],
    folder: Path,
    settings: FlowSettings,
    *,
    workers: int = 1,
    on_result: Callable[[str, str], None] = lambda clip_id, outcome: None,
) -> FlowReport:
    """Compute the flow of clips into a store; those that are there, of the same file, stay.

    Every clip is computed in a worker process. Whenever the run ends, what was finished is there
    whole, and `FAILURES_FILE` says which clips failed.

    Args:
        clips: the file of each clip; ``None``: there is none.
        folder: the store; made if need be.
        settings: how. All of a store is of one method and size.
        workers: clips at the same time.
        on_result: called with a clip's id and ``computed``, ``present`` or ``failed``.

    Raises:
        MimecurateError: the store holds flow of other settings, or can't be written.
        WorkspaceBusyError: another run is writing to the store.
    """
    report = FlowReport()
    with _locked(folder):
        check_settings(folder, settings)
        _write_json(folder, SETTINGS_FILE, _settings_of_store(settings))
        try:
            for clip_id in (i for i, path in clips.items() if path is None):
                report.failed[clip_id] = _failure(Reason.UNAVAILABLE, "there is no file of it")
                on_result(clip_id, "failed")
            jobs = [FlowJob(i, path) for i, path in clips.items() if path is not None]
            _run(jobs, folder, settings, workers, report, on_result)
        finally:
            _keep_failures(folder, clips, report)
    return report


def check_settings(folder: Path, settings: FlowSettings) -> None:
    """Refuse a store of another method or size.

    Raises:
        MimecurateError: saying what it holds.
    """
    path = folder / SETTINGS_FILE
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError, RecursionError) as error:
        raise MimecurateError(f"{path} can't be read: {plain_words(error)}") from error
    if found != _settings_of_store(settings):
        held = json.dumps(found, sort_keys=True)[:200]
        raise MimecurateError(f"{folder} holds flow of other settings: {held}; give another --out")


def _run(
    jobs: Sequence[FlowJob],
    folder: Path,
    settings: FlowSettings,
    workers: int,
    report: FlowReport,
    on_result: Callable[[str, str], None],
) -> None:
    work = partial(_work, folder=folder, settings=settings)
    with contextlib.closing(engine.map(work, jobs, workers=workers, processes=True)) as outcomes:
        for outcome in outcomes:
            clip_id, error = outcome.item.clip_id, outcome.error
            if error is None:
                is_new = bool(outcome.value)
                report.computed += is_new
                report.present += not is_new
                on_result(clip_id, "computed" if is_new else "present")
                continue
            if not isinstance(error, MimecurateError):
                raise error
            reason = error.reason if isinstance(error, ClipError) else Reason.OTHER
            report.failed[clip_id] = _failure(reason, plain_words(error))
            on_result(clip_id, "failed")


def _work(job: FlowJob, *, folder: Path, settings: FlowSettings) -> bool:
    """Run in a worker process, where alone torch is imported."""
    from mimecurate.baselines.flow_clip import compute_clip

    return compute_clip(job, folder=folder, settings=settings)


def _settings_of_store(settings: FlowSettings) -> dict[str, Any]:
    return {"method": settings.method, **settings.recorded()}


def _failure(reason: Reason, message: str) -> dict[str, str]:
    return {"reason": reason.value, "message": message}


def _keep_failures(folder: Path, clips: Mapping[str, Path | None], report: FlowReport) -> None:
    """Write down which clips failed, beside those of earlier runs over other clips."""
    try:
        found = json.loads((folder / FAILURES_FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        found = {}
    others = found.items() if isinstance(found, dict) else ()
    kept = {clip_id: failure for clip_id, failure in others if clip_id not in clips}
    _write_json(folder, FAILURES_FILE, {**kept, **report.failed})


def _write_json(folder: Path, name: str, value: object) -> None:
    unfinished = folder / UNFINISHED / name
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", "utf-8")
        publish(unfinished, folder / name)
    except OSError as error:
        raise MimecurateError(f"{folder / name} can't be written: {plain_words(error)}") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the store, cleared of what dead runs left."""
    lock = FileLock(folder / _LOCK_FILE, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with lock:
            remove_unfinished(folder / UNFINISHED)
            yield
    except Timeout as error:
        raise WorkspaceBusyError(f"another run is writing to {folder}; wait for it") from error
    except OSError as error:
        raise MimecurateError(f"{folder} can't be written to: {plain_words(error)}") from error

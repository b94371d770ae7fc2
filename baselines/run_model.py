"""Run a model on the clips of a release and write its scores: `mimecurate baseline run`."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from mimecurate.baselines import check_torch
from mimecurate.baselines.decode import ffmpeg_version, settled_decoder
from mimecurate.baselines.devices import device_name, find_device
from mimecurate.baselines.prediction_file import check_output, write_predictions
from mimecurate.baselines.registry import find_card
from mimecurate.baselines.run_clips import (
    find_clips,
    people_settings,
    score_clips,
    settle_batch_size,
)
from mimecurate.baselines.run_journal import (
    JournalFile,
    JournalRows,
    is_begun,
    journal_folder,
    open_journal,
)
from mimecurate.baselines.run_ranks import join_ranks, sum_of_all, wait_for_all
from mimecurate.baselines.run_resume import (
    check_finished,
    finished_clips,
    raw_manifest,
    remove_journal,
    take_over,
)
from mimecurate.baselines.run_setup import (
    RANDOM,
    RANDOM_NOTE,
    git_revision,
    names_digest,
    ready_model,
    versions,
)
from mimecurate.curation.release_read import load_release
from mimecurate.errors import MimecurateError, counted, plain_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Literal

    from mimecurate.baselines.decode import Decoder
    from mimecurate.baselines.registry import ModelCard
    from mimecurate.baselines.run_clips import Scored
    from mimecurate.baselines.run_setup import ReadyModel
    from mimecurate.schemas.release import Release


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What a run is told; the names are those of `run` and of the command's options."""

    release: str | Path | Release
    out: Path
    workspace: Path = Path()
    clips: Path | None = None
    weights: str | None = None
    labels: Path | None = None
    people: Path | None = None
    flow: Path | None = None
    device: str | None = None
    amp: Literal["bf16"] | None = None
    compile: bool = False
    batch_size: int | Literal["auto"] = "auto"
    workers: int | None = None
    decoder: Decoder = "auto"
    limit: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended.

    Attributes:
        out: the prediction file.
        clips: how many have scores in it.
        skipped: how many of them were finished before.
        failed: why each of the others has none.
        seconds: that this run took.
        manifest: as it stands in the file.
    """

    out: Path
    clips: int
    skipped: int
    failed: Mapping[str, str]
    seconds: float
    manifest: Mapping[str, Any] = field(repr=False)


def run(
    model: str,
    *,
    release: str | Path | Release,
    out: str | Path,
    on_plan: Callable[[int, int], None] | None = None,
    on_clips: Callable[[int], None] | None = None,
    on_bytes: Callable[[int, int | None], None] | None = None,
    **options: Any,
) -> RunResult:
    """Score the clips of a release with a model and write a prediction file.

    Finished clips are kept in ``OUT.journal`` until the file is written: the same call again goes
    on where one ended. A clip that can't be scored has no row; the manifest says why.

    Args:
        model: as `mimecurate baseline list` has it.
        release: ``NAME@VERSION``, the path of an exported release, or a loaded one.
        out: the file to write: ``.parquet``, ``.npz`` or ``.csv``.
        on_plan: called once with how many clips there are, and how many were finished before.
        on_clips: called with how many clips more are finished.
        on_bytes: called with the bytes of weights that came, and how many there are, if known.
        options: any other field of `RunOptions`: ``clips="media/"``, ``weights="random"``,
            ``device="cuda"``, ``batch_size=16``, …

    Raises:
        MimecurateError: it could not be done.
        TypeError: there is no such option.

    >>> run("r3d_18", release="mimetics@1.0.0", out="r3d.parquet", device="cuda")  # doctest: +SKIP
    """
    check_torch()
    chosen = _options(release, out, options)
    told = _Told(on_plan or _nothing, on_clips or _nothing, on_bytes)
    began = time.monotonic()
    with ExitStack() as stack:
        result = _run(find_card(model), chosen, told, stack)
    return RunResult(*result[:4], time.monotonic() - began, result[4])


def plan(
    model: str, *, release: str | Path | Release, out: str | Path, **options: Any
) -> dict[str, Any]:
    """Say what `run` would do, without its model: ``clips``, ``finished``, ``without_media``.

    Raises:
        MimecurateError: it could not be done, as far as can be told so early.
    """
    card, chosen = find_card(model), _options(release, out, options)
    find_device(chosen.device)
    check_output(chosen.out)
    found = _release(chosen)
    clips = find_clips(card, found, chosen)
    finished = finished_clips(chosen.out, journal_folder(chosen.out))
    return {
        "model": card.name,
        "release": f"{found.name}@{found.version}",
        "clips": len(clips.ids),
        "finished": len(finished.intersection(clips.ids)),
        "without_media": len(set(clips.ids).difference(clips.media)) if clips.media else 0,
    }


def _options(release: str | Path | Release, out: str | Path, given: dict[str, Any]) -> RunOptions:
    for name in ("workspace", "clips", "labels", "people", "flow"):
        if given.get(name) is not None:
            given[name] = Path(given[name])
    return RunOptions(release=release, out=Path(out), **given)


def _release(options: RunOptions) -> Release:
    if isinstance(options.release, (str, Path)):
        return load_release(options.release, options.workspace)
    return options.release


@dataclass(frozen=True, slots=True)
class _Told:
    plan: Callable[[int, int], object]
    clips: Callable[[int], object]
    bytes: Callable[[int, int | None], None] | None


def _nothing(*_: object) -> None:
    """Take what nobody wants to know."""


def _run(
    card: ModelCard, options: RunOptions, told: _Told, stack: ExitStack
) -> tuple[Path, int, int, Mapping[str, str], dict[str, Any]]:
    rank, ranks = join_ranks(stack)
    release = _release(options)
    device = find_device(options.device)
    check_output(options.out)
    clips = find_clips(card, release, options)
    ready = ready_model(
        card,
        weights=options.weights,
        labels=options.labels,
        fallback_names=sorted({clip.label for clip in release.clips}),
        seed=options.seed,
        device=device,
        workspace=options.workspace,
        settings=people_settings(card, options.people),
        on_bytes=told.bytes,
    )
    check_output(options.out, ready.class_names)
    settings = _settings(card, release, options, ready, device, clips.flow_made)
    folder = journal_folder(options.out)
    finished = _begin(options, settings, folder, ready, stack) if rank == 0 else 0
    wait_for_all(ranks)
    done = JournalRows(folder, len(ready.class_names)).clip_ids
    rest = sorted(set(clips.ids).difference(done))
    skipped = len(clips.ids) - len(rest)
    told.plan(len(clips.ids), skipped)
    if not rest and finished == len(done):  # nothing came since the file was written
        remove_journal(folder)
        return options.out, finished, skipped, {}, raw_manifest(options.out)
    clock = time.monotonic()
    batch_size = settle_batch_size(card, ready.model, options, device) if rest else 1
    model: Any = torch.compile(ready.model) if options.compile else ready.model
    with JournalFile(folder, rank) as journal:
        mine = rest[rank::ranks]
        for scored in score_clips(card, model, clips, options, device, mine, batch_size):
            _write_down(journal, scored)
            told.clips(len(scored) * ranks)  # the others are about as far
    wait_for_all(ranks)
    rows = JournalRows(folder, len(ready.class_names))
    failed = {clip_id: rows.failed[clip_id] for clip_id in clips.ids if clip_id in rows.failed}
    if not rows.clip_ids:
        raise MimecurateError(_all_failed(failed))
    manifest = _manifest(card, options, ready, settings, device, release) | {
        "clips": len(rows.clip_ids),
        "failed": failed,
        "batch_size": batch_size,
        "seconds": round(time.monotonic() - clock, 3),
        "decoded_by": sum_of_all(clips.decoded_by, ranks),
    }
    if rank == 0:
        write_predictions(options.out, ready.class_names, rows, manifest)
        remove_journal(folder)
    wait_for_all(ranks)
    return options.out, len(rows.clip_ids), skipped, failed, manifest


def _write_down(journal: JournalFile, scored: Scored) -> None:
    for clip_id, scores in scored:
        if isinstance(scores, MimecurateError):
            journal.add(clip_id, None, _words(scores))
        else:
            journal.add(clip_id, scores)
    journal.flush()


def _begin(
    options: RunOptions,
    settings: dict[str, Any],
    folder: Path,
    ready: ReadyModel,
    stack: ExitStack,
) -> int:
    """Make the journal; what an earlier file of the same settings holds goes into it.

    Returns:
        How many rows that file has.
    """
    lock = FileLock(folder / "lock", timeout=0)
    try:
        folder.mkdir(exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise MimecurateError(f"{options.out}: another run writes it; wait, or stop it") from error
    except OSError as error:
        raise MimecurateError(
            f"{folder}: what is finished can't be kept there: {plain_words(error)}"
        ) from error
    stack.callback(lock.release)
    if options.out.exists() and not is_begun(folder):
        try:
            check_finished(options.out, settings)
        except MimecurateError:
            remove_journal(folder)
            raise
    open_journal(folder, settings)
    return take_over(options.out, folder, ready.class_names) if options.out.exists() else 0


def _settings(
    card: ModelCard,
    release: Release,
    options: RunOptions,
    ready: ReadyModel,
    device: torch.device,
    flow_made: str | None,
) -> dict[str, Any]:
    """Say what scores depend on: a run goes on only with the same."""
    protocol = card.protocol or card.pose
    found = {
        "model": card.name,
        "weights": ready.weights["sha256"] or f"{RANDOM}, seed {options.seed}",
        "classes": names_digest(ready.class_names),
        "release": release.digest,
        "protocol": None if protocol is None else asdict(protocol),
        "people": _file_identity(options.people),
        "flow": flow_made,
        "device": device.type,
        "amp": options.amp,
        "compile": options.compile,
        "decoder": settled_decoder(options.decoder) if card.modality == "rgb" else None,
    }
    settings: dict[str, Any] = json.loads(json.dumps(found))
    return settings


def _file_identity(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError as error:
        raise MimecurateError(f"{path}: {error.strerror}") from error
    return f"{path.name}, {found.st_size} bytes, {found.st_mtime_ns}"


def _manifest(
    card: ModelCard,
    options: RunOptions,
    ready: ReadyModel,
    settings: dict[str, Any],
    device: torch.device,
    release: Release,
) -> dict[str, Any]:
    manifest: dict[str, Any] = {
        "model": card.name,
        "title": card.title,
        "paper": card.paper,
        "weights": ready.weights,
        "settings": settings,
        "seed": options.seed,
        "versions": versions() | _ffmpeg(settings["decoder"]),
        "revision": git_revision(),
        "device": device_name(device),
        "release": {"name": release.name, "version": release.version, "digest": release.digest},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if ready.weights["source"] == RANDOM:
        manifest["note"] = RANDOM_NOTE
    return manifest


def _ffmpeg(decoder: str | None) -> dict[str, str]:
    return {} if decoder is None else {"ffmpeg": ffmpeg_version(decoder)}


def _words(error: MimecurateError) -> str:
    """Write a failure as ``reason: words``."""
    reason = getattr(error, "reason", "other")
    return f"{reason}: {' '.join(str(error).split())}"[:500]


def _all_failed(failed: Mapping[str, str]) -> str:
    first = next(iter(failed.items()), ("", "no clip was asked for"))
    return (
        f"none of {counted(len(failed), 'clip')} could be scored, so there is nothing to evaluate "
        f"and no file; the first, {first[0]}: {first[1]}"
    )

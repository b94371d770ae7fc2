"""The clips of a run, where what the model reads of them is, and their scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from mimecurate.baselines.clip_trouble import clip_error
from mimecurate.baselines.clip_views import ClipViews, flow_views, in_order, video_views
from mimecurate.baselines.cores import usable_cores
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.flow_store import how_store_was_made
from mimecurate.baselines.view_scores import largest_batch, score_views
from mimecurate.errors import ClipError, InvalidInputError, MimecurateError, Reason
from mimecurate.evaluation.report_media import find_media

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from mimecurate.baselines.people import People
    from mimecurate.baselines.registry import ModelCard
    from mimecurate.baselines.run_model import RunOptions
    from mimecurate.schemas.release import Release

Scored = Sequence[tuple[str, "NDArray[Any] | MimecurateError"]]

_MAX_WORKERS = 32
_PEOPLE_BATCH = 32


@dataclass(frozen=True, slots=True)
class RunClips:
    """What a run is about.

    Attributes:
        ids: of the clips, in order.
        media: the file of each clip that has one; of no use to models of people.
        flow_made: how their flow was made, for models of it.
        decoded_by: how many videos each decoder gave the frames of, so far.
    """

    ids: Sequence[str]
    media: Mapping[str, Path]
    flow_made: str | None = None
    decoded_by: Counter[str] = field(default_factory=Counter)


def find_clips(card: ModelCard, release: Release, options: RunOptions) -> RunClips:
    """Find the clips that are asked for, and their media.

    Raises:
        MimecurateError: no clip has what the model reads.
    """
    ids = sorted(clip.clip_id for clip in release.clips)[: options.limit]
    if not ids:
        raise MimecurateError(f"{release.name}@{release.version} has no clip to score")
    if card.modality in {"pose", "features"}:
        if options.people is None:
            raise MimecurateError(
                f"{card.name} reads people; make a file of them with `mimecurate baseline people` "
                "and give --people FILE"
            )
        return RunClips(ids, {})
    if card.modality == "flow" and options.flow is None:
        raise MimecurateError(
            f"{card.name} reads optical flow; compute it with `mimecurate baseline flow` and give "
            "--flow DIR"
        )
    made = None
    if card.modality == "flow":
        assert options.flow is not None
        made = how_store_was_made(options.flow, ids)
    folder = options.clips or options.workspace / "clips"
    if not folder.is_dir():
        if made is not None:
            return RunClips(ids, {}, made)
        raise MimecurateError(f"{folder}: there is no such folder; give --clips DIR")
    media = find_media(folder, ids)
    if not media and card.modality == "rgb":
        raise MimecurateError(
            f"{folder} holds no media of {release.name}@{release.version}: files are named "
            f"{ids[0]}.mp4 and so on"
        )
    return RunClips(ids, media, made)


def score_clips(
    card: ModelCard,
    model: nn.Module,
    clips: RunClips,
    options: RunOptions,
    device: torch.device,
    ids: Sequence[str],
    batch_size: int,
) -> Iterator[Scored]:
    """Score clips; what was scored is given every few clips.

    Args:
        card: of the model.
        model: in evaluation mode, on the device.
        clips: with their media.
        options: of the run.
        device: where the model is.
        ids: of the clips to score.
        batch_size: views at once, as `settle_batch_size` says.

    Raises:
        MimecurateError: the run can't go on.
    """
    if card.protocol is None:
        yield from _score_people(card, model, options, device, ids, batch_size)
        return
    find = _flow_of if card.modality == "flow" else _video_of
    work = partial(find, card, clips, options, device)
    prepared = in_order(work, ids, workers=options.workers or default_workers())
    views = _counting(prepared, clips.decoded_by)
    yield from score_views(
        views, model, card.protocol, device=device, batch_size=batch_size, amp=options.amp
    )


def _counting(
    prepared: Iterator[tuple[str, ClipViews | ClipError]], decoded_by: Counter[str]
) -> Iterator[tuple[str, ClipViews | ClipError]]:
    for clip_id, views in prepared:
        if isinstance(views, ClipViews) and views.decoder:
            decoded_by[views.decoder] += 1
        yield clip_id, views


def people_settings(card: ModelCard, people: Path | None) -> dict[str, Any]:
    """Say what of a people file a model is built for: the width of its features.

    Raises:
        MimecurateError: the file is no people file, or has no features and they are wanted.
    """
    if card.modality != "features" or people is None:
        return {}
    from mimecurate.baselines.people_file import PeopleFile, open_people

    with ExitStack() as stack:
        found = open_people(people)
        if isinstance(found, PeopleFile):
            stack.enter_context(found)
            width = found.header.features
        else:
            first = next(iter(found.values()), None)
            width = 0 if first is None or first.features is None else first.features.shape[1]
    if not width:
        raise MimecurateError(f"{people}: holds no features of people, which {card.name} reads")
    return {"features": width}


def settle_batch_size(
    card: ModelCard, model: nn.Module, options: RunOptions, device: torch.device
) -> int:
    """Take the batch size that was asked for, or find the largest that fits."""
    if options.batch_size != "auto":
        return options.batch_size
    if card.protocol is None:
        return _PEOPLE_BATCH
    channels = len(card.protocol.mean)
    return largest_batch(model, card.protocol, channels=channels, device=device, amp=options.amp)


def default_workers() -> int:
    """Say how many threads decode: as many as this process may use cores."""
    return min(usable_cores(), _MAX_WORKERS)


def _video_of(
    card: ModelCard, clips: RunClips, options: RunOptions, device: torch.device, clip_id: str
) -> ClipViews:
    if clip_id not in clips.media:
        raise ClipError(Reason.UNAVAILABLE, "there are no media of it")
    assert card.protocol is not None
    return video_views(clips.media[clip_id], card.protocol, device=device, decoder=options.decoder)


def _flow_of(
    card: ModelCard, clips: RunClips, options: RunOptions, device: torch.device, clip_id: str
) -> ClipViews:
    assert card.protocol is not None
    assert options.flow is not None
    fps = None
    if card.protocol.fps is not None and clip_id in clips.media:
        with open_video(clips.media[clip_id], decoder="pyav") as video:
            fps = video.fps
    return flow_views(
        options.flow, clip_id, card.protocol, device=device, fps=fps, made=clips.flow_made
    )


def _score_people(
    card: ModelCard,
    model: nn.Module,
    options: RunOptions,
    device: torch.device,
    ids: Sequence[str],
    batch_size: int,
) -> Iterator[Scored]:
    from mimecurate.baselines.people_file import open_people
    from mimecurate.baselines.pose_scores import score_people

    assert options.people is not None
    people = open_people(options.people)
    for clip_id in ids:
        scores: NDArray[Any] | None = None
        try:
            if clip_id not in people:
                raise ClipError(Reason.UNAVAILABLE, f"{options.people.name} has no people of it")
            scores = score_people(
                model, _people_of(people, clip_id), card, device=device, batch_size=batch_size
            )
            if scores is None:
                raise _NoPersonError("nobody was found in it")
            yield [(clip_id, scores)]
        except (ClipError, _NoPersonError) as error:
            yield [(clip_id, error)]


def _people_of(people: Mapping[str, People], clip_id: str) -> People:
    try:
        return people[clip_id]
    except InvalidInputError as error:
        raise ClipError(Reason.CORRUPT, str(error)) from error
    except (RuntimeError, MemoryError) as error:
        raise clip_error(error, f"people of {clip_id}") from error


class _NoPersonError(MimecurateError):
    """A clip without a person, which counts as wrong (Mimetics, Appendix A.2)."""

    reason = "no_person"

"""Train a model on a list of clips: `mimecurate baseline train`."""

from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mimecurate.baselines.cores import usable_cores
from mimecurate.baselines.devices import find_device
from mimecurate.baselines.registry import find_card
from mimecurate.baselines.train import Trained, fit
from mimecurate.baselines.train_data import FrameClips
from mimecurate.baselines.train_list import common_classes, list_remarks, read_clip_list
from mimecurate.baselines.train_poses import PeopleClips
from mimecurate.baselines.train_start import (
    Start,
    default_settings,
    estimate_memory,
    make_start,
    resolved_parts,
    starts_random,
    with_options,
)
from mimecurate.baselines.train_state import TrainedModel
from mimecurate.curation.release_csv import neutral_cell
from mimecurate.errors import ClipError, MimecurateError, Reason, counted
from mimecurate.evaluation.report_media import find_media

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mimecurate.baselines.people import People
    from mimecurate.baselines.registry import ModelCard
    from mimecurate.baselines.train import Watcher
    from mimecurate.baselines.train_list import ClipList
    from mimecurate.baselines.train_state import TrainSettings

LEFT_OUT = "left-out.csv"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What a training is told; the names are those of the command's options."""

    train: str
    val: str
    workspace: Path = Path()
    people: Path | None = None
    clips: Path | None = None
    out: Path | None = None
    epochs: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    weights: str | None = None
    frozen: tuple[str, ...] = ()
    augment: bool = True
    device: str | None = None
    amp: Literal["off", "bf16"] = "off"
    seed: int = 0
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is settled before the first step.

    Attributes:
        card: of the model.
        options: as given.
        settings: of the training.
        class_names: what is to be learned, sorted.
        lists: to learn from, and to measure on.
        clips: of both, as the model reads them.
        missing: clips without media or people, and why: left out of training, wrong in measuring.
        start: the model.
        trained: what its checkpoints will say.
        out: the folder.
        remarks: what one should know.
    """

    card: ModelCard
    options: TrainOptions
    settings: TrainSettings
    class_names: tuple[str, ...]
    lists: tuple[ClipList, ClipList]
    clips: tuple[FrameClips | PeopleClips, FrameClips | PeopleClips]
    missing: Mapping[str, str]
    start: Start
    trained: TrainedModel
    out: Path
    remarks: tuple[str, ...] = field(default=())

    @property
    def steps_per_epoch(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self.clips[0]) // self.settings.batch_size)

    def memory_bytes(self) -> int:
        """Estimate what the training needs on the device.

        Raises:
            MimecurateError: not one clip can be read.
        """
        train = self.clips[0]
        for index in range(min(len(train), 100)):
            try:
                sample = train.draw(index, np.random.default_rng(0))
            except ClipError:
                continue
            inputs = train.to_inputs(sample[None])
            return estimate_memory(self.start.model, inputs[0], self.settings.batch_size)
        raise MimecurateError(f"{self.lists[0].name}: none of the first 100 clips can be read")


def plan_training(model: str, options: TrainOptions) -> Plan:
    """Read the lists, find the clips and make the model.

    Raises:
        InvalidInputError: a list is wrong; holds every problem.
        MimecurateError: no such model, no clips, weights that can't be had or do not fit.
    """
    card = find_card(model)
    if card.modality == "flow":
        raise MimecurateError(f"{card.name} reads optical flow, which can't be trained on yet")
    train, val = (read_clip_list(text, options.workspace) for text in (options.train, options.val))
    class_names = tuple(common_classes(train, val))
    people, settings_of_model = _people_of(card, options)
    start = make_start(
        card,
        class_names,
        weights=options.weights,
        seed=options.seed,
        workspace=options.workspace,
        model_settings=settings_of_model,
    )
    settings = with_options(
        default_settings(card, from_random=starts_random(card, options.weights)),
        epochs=options.epochs,
        batch_size=options.batch_size,
        lr=options.lr,
        seed=options.seed,
        amp=options.amp,
        frozen=resolved_parts(start.model, options.frozen, start.head),
        augment=options.augment,
    )
    clips, missing = _find_clips(card, options, (train, val), class_names, start, people)
    remarks = list_remarks(train, val)
    if missing:
        first = next(iter(missing))
        remarks.append(f"{counted(len(missing), 'clip')} not there, e.g. {first}: {missing[first]}")
    return Plan(
        card,
        options,
        settings,
        class_names,
        (train, val),
        clips,
        missing,
        start,
        TrainedModel(card.name, settings_of_model, class_names, _digest(train)),
        options.out or options.workspace / "trained" / card.name,
        tuple(remarks),
    )


def run_training(plan: Plan, watcher: Watcher) -> Trained:
    """Train as planned; the clips that could not be used are in ``left-out.csv`` then.

    Raises:
        MimecurateError: it can't go on.
        KeyboardInterrupt: Ctrl-C; a checkpoint was written first.
    """
    train, val = plan.clips
    workers = plan.options.workers
    trained = fit(
        plan.start.model,
        train,
        val,
        plan.settings,
        plan.trained,
        plan.out,
        device=find_device(plan.options.device),
        workers=default_workers() if workers is None else workers,
        watcher=watcher,
    )
    write_left_out(plan.out / LEFT_OUT, {**plan.missing, **trained.state.left_out})
    return trained


def default_workers() -> int:
    """Say how many processes read clips: the cores but one, at most 8."""
    return min(usable_cores() - 1, 8)


def write_left_out(path: Path, left_out: Mapping[str, str]) -> None:
    """Write which clips were not learned from or count as wrong, and why: ``clip_id,why``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["clip_id", "why"])
    writer.writerows([clip_id, neutral_cell(why)] for clip_id, why in sorted(left_out.items()))
    try:
        path.write_text(text.getvalue(), "utf-8")
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {error.strerror}") from error


def _people_of(
    card: ModelCard, options: TrainOptions
) -> tuple[Mapping[str, People] | None, dict[str, Any]]:
    """Open the people, and say how the model is to be built for them.

    Raises:
        MimecurateError: the model reads people and there are none, or the other way round.
    """
    if card.pose is None:
        if options.people is not None:
            raise MimecurateError(f"--people: {card.name} reads frames, not people")
        return None, {}
    if options.people is None:
        raise MimecurateError(
            f"{card.name} reads people; make a file of them with `mimecurate baseline people` "
            "and give --people FILE"
        )
    from mimecurate.baselines.people_file import open_people

    people = open_people(options.people)
    if card.modality != "features":
        return people, {}
    for clip_id in people:
        found = people[clip_id].features
        if found is not None and len(found):
            return people, {"features": int(found.shape[1])}
    raise MimecurateError(f"{options.people}: holds no features of people, which {card.name} reads")


def _find_clips(
    card: ModelCard,
    options: TrainOptions,
    lists: tuple[ClipList, ClipList],
    class_names: Sequence[str],
    start: Start,
    people: Mapping[str, People] | None,
) -> tuple[tuple[FrameClips | PeopleClips, FrameClips | PeopleClips], dict[str, str]]:
    ids = {clip.clip_id for each in lists for clip in each.clips}
    media: dict[str, Path] = {}
    why = "not in the file of people"
    if people is None:
        folder = options.clips or options.workspace / "clips"
        if not folder.is_dir():
            raise MimecurateError(f"{folder}: there is no such folder; give --clips DIR")
        media = find_media(folder, ids)
        why = f"no media in {folder}"
    there: set[str] = ids & (set(media) if people is None else set(people))
    numbers = {name: number for number, name in enumerate(class_names)}
    made: list[FrameClips | PeopleClips] = []
    for each, only_there in zip(lists, (True, False), strict=True):
        chosen = [c for c in each.clips if c.clip_id in there or not only_there]
        names = [clip.clip_id for clip in chosen]
        labels = [numbers[clip.label] for clip in chosen]
        if not there.intersection(names):
            raise MimecurateError(
                f"{each.name}: {why} for any of its {counted(len(each.clips), 'clip')}"
            )
        if people is not None:
            made.append(
                PeopleClips(names, people, labels, card, start.model, augment=options.augment)
            )
        else:
            assert card.protocol is not None
            paths = [media.get(name, Path(f"{name}.mp4")) for name in names]
            made.append(FrameClips(names, paths, labels, card.protocol, augment=options.augment))
    return (made[0], made[1]), dict.fromkeys(sorted(ids - there), f"{Reason.UNAVAILABLE}: {why}")


def _digest(clips: ClipList) -> str:
    lines = sorted(f"{clip.clip_id}\t{clip.label}" for clip in clips.clips)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()

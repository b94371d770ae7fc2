"""Lists of clips with their classes: what a model is trained on and measured on."""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from mimecurate.curation.class_list import normal_class_name
from mimecurate.curation.release_read import load_release
from mimecurate.curation.url_list import ClipRequest, read_url_list
from mimecurate.curation.url_list_csv import cell_start
from mimecurate.curation.url_list_lines import read_lines
from mimecurate.errors import InvalidInputError, MimecurateError, Problem, counted
from mimecurate.schemas.ids import clip_id
from mimecurate.schemas.release import check_class_name, check_split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MAX_SHOWN = 3
_CLIP_ID = re.compile(r"(?!\.)[A-Za-z0-9_.-]{1,120}(?<!\.)")
_OWN_COLUMNS = ("clip_id", "label", "split")


@dataclass(frozen=True, slots=True)
class LabelledClip:
    """One clip of a list, and its class."""

    clip_id: str
    label: str
    """With spaces for ``_``."""
    split: str | None = None
    line: int | None = None
    """Where a file lists it, counted from 1; None in a release."""
    column: int | None = None
    """Where the label stands in its line, in characters from 1."""


@dataclass(frozen=True, slots=True)
class ClipList:
    """The clips of a list, each once, in the list's order."""

    name: str
    clips: tuple[LabelledClip, ...]

    @property
    def per_class(self) -> dict[str, int]:
        """How many clips each class has, by name in order."""
        return dict(sorted(Counter(clip.label for clip in self.clips).items()))


def read_clip_list(reference: str, workspace: Path | None = None) -> ClipList:
    """Read a list of clips with their classes.

    Args:
        reference: a CSV with the columns of Kinetics (``label,youtube_id,time_start,time_end``,
            perhaps ``split``) or with ``clip_id,label`` (perhaps ``split``); or a release: the
            path of a bundle, or ``NAME@VERSION``. ``:SPLIT`` after it takes the clips of one split.
        workspace: where ``NAME@VERSION`` is; None: the current folder.

    Raises:
        InvalidInputError: the list is wrong; holds every problem with line and column.
        MimecurateError: there is no such list or release, or it has no clip of that split.
    """
    whole, split = _split_reference(reference)
    path = Path(whole)
    if path.is_file() and path.suffix.lower() != ".zip":
        clips = _read_file(path, by_split=split is not None)
    else:
        release = load_release(whole, workspace)
        clips = [LabelledClip(c.clip_id, c.label, c.split) for c in release.clips]
    if split is not None:
        there = sorted({clip.split for clip in clips if clip.split})
        clips = [clip for clip in clips if clip.split == split]
        if not clips:
            known = f"it has {', '.join(there[:20])}" if there else "it has no splits"
            raise MimecurateError(f"{whole}: no clip of the split {split!r}; {known}")
    if not clips:
        raise MimecurateError(f"{whole}: lists no clip")
    return ClipList(reference, tuple(clips))


def common_classes(train: ClipList, val: ClipList) -> list[str]:
    """Give the classes to learn, sorted: those of ``train``.

    Raises:
        InvalidInputError: ``val`` has a class that ``train`` has not, or ``train`` has only one.
    """
    classes = list(train.per_class)
    if len(classes) < 2:
        words = f"has one class, {classes[0]!r}; training needs at least two"
        raise InvalidInputError(train.name, [Problem(words)])
    known = set(classes)
    problems = []
    said: set[str] = set()
    for clip in val.clips:
        if clip.label not in known and clip.label not in said:
            said.add(clip.label)
            near = get_close_matches(clip.label, classes, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            message = f"label {clip.label!r} is no class of {train.name}{hint}"
            problems.append(Problem(message, clip.line, clip.column))
    if problems:
        raise InvalidInputError(val.name, problems)
    return classes


def list_remarks(train: ClipList, val: ClipList) -> list[str]:
    """Say what one should know before training: the balance of classes, clips in both lists."""
    per_class = train.per_class
    counts = sorted(per_class.values())
    few = sorted(per_class, key=lambda name: (per_class[name], name))[:MAX_SHOWN]
    remarks = [
        f"{counted(len(counts), 'class')}; clips per class: {counts[0]:,} to {counts[-1]:,}, "
        f"median {counts[len(counts) // 2]:,}"
    ]
    if counts[-1] >= 2 * counts[0]:
        remarks[0] += f"; fewest: {', '.join(f'{n} ({per_class[n]:,})' for n in few)}"
    if not_measured := [name for name in per_class if name not in val.per_class]:
        more = " …" if len(not_measured) > MAX_SHOWN else ""
        remarks.append(
            f"{counted(len(not_measured), 'class')} without a clip in {val.name}, so that "
            f"nothing is measured of them: {', '.join(not_measured[:MAX_SHOWN])}{more}"
        )
    both = {clip.clip_id for clip in train.clips} & {clip.clip_id for clip in val.clips}
    if both:
        remarks.append(
            f"{counted(len(both), 'clip')} in both lists, e.g. {min(both)}: what is measured on "
            "clips learned from says nothing of new ones"
        )
    return remarks


def _split_reference(reference: str) -> tuple[str, str | None]:
    """Take ``:SPLIT`` from the end, unless the whole is a file."""
    whole, colon, split = reference.rpartition(":")
    if not colon or not whole or Path(reference).exists():
        return reference, None
    try:
        return whole, check_split(split)
    except ValueError:
        return reference, None


def _read_file(path: Path, *, by_split: bool) -> list[LabelledClip]:
    """Read a file; ``by_split``: a clip may be listed once in each split."""
    problems: list[Problem] = []
    clips: list[LabelledClip] = []
    lines: dict[tuple[str, str | None], int | None] = {}
    try:
        with path.open("rb") as stream:
            has_ids = "clip_id" in _header(stream.readline(65_536))
            stream.seek(0)
            rows = _own_rows(path) if has_ids else _kinetics_rows(path)
            for row in rows:
                if isinstance(row, Problem):
                    problems.append(row)
                    continue
                key = row.clip_id, row.split if by_split else None
                if key in lines:
                    earlier = f"{row.clip_id} is listed twice, first in line {lines[key]}"
                    problems.append(Problem(f"{earlier}; keep one", row.line))
                else:
                    lines[key] = row.line
                    clips.append(row)
    except OSError as error:
        raise MimecurateError(f"{path} can't be read: {error.strerror}") from error
    if problems:
        raise InvalidInputError(str(path), problems)
    return clips


def _header(raw: bytes) -> list[str]:
    text = raw.decode("utf-8-sig", "replace")
    return [cell.strip().strip('"').lower() for cell in text.split(",")]


def _kinetics_rows(path: Path) -> Iterator[LabelledClip | Problem]:
    with path.open("rb") as stream:
        for item in read_url_list(stream, name=path.name):
            if isinstance(item, Problem):
                yield item
            elif isinstance(item, ClipRequest):
                yield _kinetics_row(item)


def _kinetics_row(row: ClipRequest) -> LabelledClip | Problem:
    if row.label is None:
        return Problem("label is missing; training needs one for every clip", row.line)
    if row.start_ms is None or row.end_ms is None:
        return Problem("time_start and time_end are missing; they name the clip", row.line)
    named = clip_id(row.video_id, row.start_ms, row.end_ms)
    return LabelledClip(named, normal_class_name(row.label), row.split, row.line)


def _own_rows(path: Path) -> Iterator[LabelledClip | Problem]:
    """Read ``clip_id,label[,split]``; other columns are passed over. A record is one line."""
    header: list[str] = []
    with path.open("rb") as stream:
        for item in read_lines(stream):
            if isinstance(item, Problem):
                yield item
                continue
            line, text = item
            if not header:
                header = _header(text.encode())
                if missing := [c for c in _OWN_COLUMNS[:2] if c not in header]:
                    yield Problem(f"the header has no column {missing[0]!r}", line)
                    return
            elif text.strip():
                yield from _own_row(line, text, header)


def _own_row(line: int, text: str, header: Sequence[str]) -> Iterator[LabelledClip | Problem]:
    try:
        cells = next(csv.reader([text], strict=True))
    except csv.Error as error:
        yield Problem(f"is no CSV: {error}", line)
        return
    if len(cells) != len(header):
        yield Problem(f"row has {len(cells)} cells, the header {len(header)}", line)
        return
    checks: dict[str, Callable[[str], str]] = {
        "clip_id": _check_clip_id,
        "label": lambda label: check_class_name(normal_class_name(label)),
        "split": lambda split: check_split(split) if split else "",
    }
    values, places = {}, {}
    faulty = False
    for name in filter(header.__contains__, _OWN_COLUMNS):
        at = header.index(name)
        places[name] = cell_start(text, ",", at) + 1
        try:
            values[name] = checks[name](cells[at].strip())
        except ValueError as error:
            faulty = True
            yield Problem(str(error), line, places[name])
    if not faulty:
        split = values.get("split") or None
        yield LabelledClip(values["clip_id"], values["label"], split, line, places["label"])


def _check_clip_id(text: str) -> str:
    """Return a clip id if it can be one; it becomes a file name."""
    if _CLIP_ID.fullmatch(text) is None:
        raise ValueError(
            f"clip_id {text[:40]!r} must be 1 to 120 letters, digits, '_', '-' or inner '.'"
        )
    return text

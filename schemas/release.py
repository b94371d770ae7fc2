"""A frozen, numbered list of clips: the records that releases are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


_SPLIT = re.compile(r"[A-Za-z0-9_]{1,32}")
_MAX_CLASS_NAME = 100
_MAX_REASON = 500


class Flag(StrEnum):
    """What was decided of one property of a clip."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"


class ObjectSize(StrEnum):
    """How large the object is that an action of this class usually has."""

    NONE = "none"
    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@dataclass(frozen=True, slots=True)
class ReleasedClip:
    """One clip of a release: the half-open interval ``[start_ms, end_ms)`` of a video."""

    clip_id: str
    video_id: str
    start_ms: int
    end_ms: int
    label: str
    """The class, as Kinetics spells it, with spaces."""
    split: str
    mime_artist: Flag | None = None
    """None: not annotated."""
    object_relevant: Flag | None = None
    scene_relevant: Flag | None = None
    url: str | None = None
    """Where the video is, if it is known. Not part of the digest: a takedown removes it."""


@dataclass(frozen=True, slots=True)
class ReleasedClass:
    """One class of a release."""

    name: str
    object_size: ObjectSize | None = None
    scene: bool | None = None
    """Whether the action usually happens in a scene of its own."""


@dataclass(frozen=True, slots=True)
class Release:
    """``NAME@VERSION`` with everything that is needed to score against it."""

    name: str
    version: str
    digest: str
    """SHA-256 over the sorted rows, as 64 hexadecimal digits."""
    clips: tuple[ReleasedClip, ...]
    """Sorted by clip id."""
    classes: tuple[ReleasedClass, ...]
    """Sorted by name."""
    parent: str | None = None
    created: str = ""
    status: str = "frozen"
    withheld: Mapping[str, str] = field(default_factory=dict)
    """Clip ids that were withdrawn, with the reason."""

    @property
    def object_sizes(self) -> dict[str, ObjectSize | None]:
        """The object size of each class by its name."""
        return {c.name: c.object_size for c in self.classes}


def check_split(name: str) -> str:
    """Return the name of a split if it can be one; it becomes part of file names.

    Raises:
        ValueError: not 1 to 32 ASCII letters, digits or ``_``.
    """
    if _SPLIT.fullmatch(name) is None:
        raise ValueError(f"split {name[:40]!r} must be 1 to 32 letters, digits or '_'")
    return name


def check_class_name(name: str) -> str:
    """Return the name of a class if it can be one.

    Raises:
        ValueError: empty, over 100 characters, or with line breaks or control characters.
    """
    if not 1 <= len(name) <= _MAX_CLASS_NAME or not name.isprintable():
        raise ValueError(f"class {name[:40]!r} must be 1 to {_MAX_CLASS_NAME} printable characters")
    return name


def check_reason(text: str) -> str:
    """Return the reason of a withdrawal if it can be one; it becomes a cell of a CSV file.

    Raises:
        ValueError: empty, over 500 characters, or with line breaks or control characters.
    """
    if not 1 <= len(text) <= _MAX_REASON or not text.isprintable():
        raise ValueError(
            f"reason {text[:40]!r} must be one line of 1 to {_MAX_REASON} printable characters"
        )
    return text

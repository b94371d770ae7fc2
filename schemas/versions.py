"""Versions of a release: ``NAME@MAJOR.MINOR.PATCH``, and which number a change asks for.

Additions are MINOR, any edit, move or removal is MAJOR, other packaging of the same rows is PATCH.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple

_VERSION = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Change(IntEnum):
    """How much a release differs from the one before, least first."""

    PATCH = 0
    MINOR = 1
    MAJOR = 2


class Version(NamedTuple):
    """The number of a release; sorts as numbers do."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        """``1.10.0``."""
        return f"{self.major}.{self.minor}.{self.patch}"

    def after(self, change: Change) -> Version:
        """Return the number that a release with such a change has to have.

        >>> str(Version(1, 2, 3).after(Change.MINOR))
        '1.3.0'
        """
        if change is Change.MAJOR:
            return Version(self.major + 1, 0, 0)
        if change is Change.MINOR:
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)


def parse_version(text: str) -> Version:
    """Read a version.

    Raises:
        ValueError: it is not three whole numbers without leading zeros.

    >>> parse_version("1.10.0") > parse_version("1.9.0")
    True
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"version {text[:40]!r} must be three numbers, such as 1.0.0")
    return Version(*map(int, match.groups()))


def check_name(name: str) -> str:
    """Return the name of a release if it can be one.

    Raises:
        ValueError: not 1 to 64 letters, digits, ``_``, ``-`` or inner ``.``.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"name {name[:64]!r} must be 1 to 64 letters, digits, '_', '-' or '.'")
    return name


def parse_reference(text: str) -> tuple[str, Version]:
    """Read ``NAME@VERSION``.

    Raises:
        ValueError: it is something else.

    >>> parse_reference("mimetics@1.0.0")
    ('mimetics', Version(major=1, minor=0, patch=0))
    """
    name, at, version = text.partition("@")
    if not at:
        raise ValueError(f"{text[:80]!r} must be NAME@VERSION, such as mimetics@1.0.0")
    return check_name(name), parse_version(version)

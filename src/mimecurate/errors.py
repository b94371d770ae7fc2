"""Everything mimecurate raises on purpose.

    MimecurateError                  could not be done: one line for the user, exit status 1
    ├── InvalidInputError            a file that the user gave is wrong; holds every problem found
    ├── WorkspaceError               the workspace can't be used
    │   ├── NewerDatabaseError       made by a later mimecurate
    │   └── WorkspaceBusyError       another run holds it
    ├── SettingError                 a setting has a value it can't have
    ├── MissingExtraError            an optional package is not installed
    └── ClipError                    one clip or video failed, with a `Reason`; recorded

Misuse by a caller raises Python's own `ValueError` and `TypeError`; a bug keeps its traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class MimecurateError(Exception):
    """Could not be done. The message names the thing, its value and what would do."""


def plain_words(error: BaseException) -> str:
    """Say what the system or libav says, without its number and the path.

    >>> plain_words(OSError(13, "Permission denied", "/clips/a.mp4"))
    'Permission denied'
    """
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def one_line(text: str) -> str:
    r"""Make a stranger's name fit into a message: control marks and line ends are escaped.

    >>> print(one_line("a\nb\x1b[31m"))
    a\nb\x1b[31m
    """
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def counted(count: int, thing: str) -> str:
    """Write a number and the name of what was counted, in the plural if need be.

    >>> counted(1, "clip"), counted(1200, "clip"), counted(0, "class"), counted(2, "entry")
    ('1 clip', '1,200 clips', '0 classes', '2 entries')
    >>> counted(4, "day")
    '4 days'
    """
    if count != 1:
        if thing.endswith("y") and thing[-2] not in "aeiou":
            thing = thing[:-1] + "ie"
        thing += "es" if thing.endswith("s") else "s"
    return f"{count:,} {thing}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a file: where, and what."""

    message: str
    line: int | None = None
    """Counted from 1."""
    column: int | None = None
    """Counted from 1, in characters."""

    def __str__(self) -> str:
        """``line 3, column 14: message``, as far as the place is known."""
        if self.line is None:
            return self.message
        if self.column is None:
            return f"line {self.line}: {self.message}"
        return f"line {self.line}, column {self.column}: {self.message}"


class InvalidInputError(MimecurateError):
    """A file is wrong. ``problems`` holds all that was found, in the file's order."""

    def __init__(self, name: str, problems: Sequence[Problem], hint: str = "") -> None:
        """Make the error for the file called ``name``."""
        self.name = name
        self.problems = tuple(problems)
        self.hint = hint
        if len(self.problems) == 1:
            message = "; ".join(filter(None, [f"{one_line(name)}: {self.problems[0]}", hint]))
        else:
            count = f"{one_line(name)}: {len(self.problems)} problems"
            message = "\n".join([count, *(f"  {p}" for p in self.problems), *filter(None, [hint])])
        super().__init__(message)


class WorkspaceError(MimecurateError):
    """The workspace can't be used."""


class NewerDatabaseError(WorkspaceError):
    """The database was made by a later version of mimecurate."""


class WorkspaceBusyError(WorkspaceError):
    """Another run holds the workspace."""


class SettingError(MimecurateError):
    """A setting has a value that it can't have."""


class MissingExtraError(MimecurateError):
    """A package that this needs is not installed."""

    def __init__(self, package: str, extra: str) -> None:
        """Say which ``package`` is missing and which ``extra`` brings it."""
        super().__init__(
            f"{package} is not installed; get it with: pip install 'mimecurate[{extra}]'"
        )


class Reason(StrEnum):
    """Why a clip could not be had. The source's own words are kept beside it."""

    UNAVAILABLE = "unavailable"
    PRIVATE = "private"
    REMOVED = "removed"
    AGE_RESTRICTED = "age_restricted"
    GEO_BLOCKED = "geo_blocked"
    MEMBERS_ONLY = "members_only"
    LIVE = "live"
    RATE_LIMITED = "rate_limited"
    LOGIN_REQUIRED = "login_required"
    NETWORK = "network"
    TIMEOUT = "timeout"
    NO_VIDEO = "no_video"
    INTERVAL_OUTSIDE = "interval_outside"
    CORRUPT = "corrupt"
    DISK_FULL = "disk_full"
    UNSUPPORTED = "unsupported"
    OTHER = "other"

    @property
    def is_temporary(self) -> bool:
        """Whether asking again later may help without the user changing anything.

        >>> Reason.RATE_LIMITED.is_temporary, Reason.PRIVATE.is_temporary
        (True, False)
        """
        return self in _TEMPORARY


_TEMPORARY = frozenset(
    {
        Reason.LIVE,
        Reason.RATE_LIMITED,
        Reason.LOGIN_REQUIRED,
        Reason.NETWORK,
        Reason.TIMEOUT,
        Reason.DISK_FULL,
        Reason.OTHER,
    }
)


class ClipError(MimecurateError):
    """One clip or one whole video failed. Recorded with its reason; the run goes on."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_after_s: float | None = None,
        unanswered: bool = False,
    ) -> None:
        """Keep the ``reason`` and the source's own words.

        Args:
            reason: why.
            message: in the source's words.
            retry_after_s: how long it asked us to wait.
            unanswered: nobody answered: no network, no such host, a connection that broke.
        """
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.unanswered = unanswered

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with all fields, so that it crosses a process boundary."""
        return (_clip_error, (self.reason, str(self), self.retry_after_s, self.unanswered))


def _clip_error(
    reason: Reason, message: str, retry_after_s: float | None, unanswered: bool
) -> ClipError:
    return ClipError(reason, message, retry_after_s=retry_after_s, unanswered=unanswered)

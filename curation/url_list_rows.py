"""What the forms of a list of clips are read into, and the names that they use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from mimecurate.curation.url_list_fields import BLANKS, shown
from mimecurate.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mimecurate.curation.url_list_lines import Line

NONE_WRONG: dict[str, str] = {}
_MAX_NAMES = 8
_KINETICS = {"youtube_id": "url", "time_start": "start", "time_end": "end"}
_FIELDS = {f: f for f in ("url", "start", "end", "label", "video_id", "split")} | _KINETICS
_KNOWN_UNUSED = {"is_cc"}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about a list that the user should know and that is not wrong."""

    line: int
    """Counted from 1."""
    message: str

    def __str__(self) -> str:
        """``line 3: message``."""
        return f"line {self.line}: {self.message}"


class Place(NamedTuple):
    """Where a field stands in the list, and what it is called there."""

    name: str
    line: int
    column: int | None


class Row(NamedTuple):
    """The texts of one clip's fields; one that is absent or wrong has none."""

    line: int
    values: dict[str, str]
    wrong: dict[str, str]
    """What is wrong with a field already, to put after its name."""
    locate: Callable[[str], Place]

    def problem(self, field: str, message: str) -> Problem:
        """Say what is wrong with a field, where it stands and as it is called there."""
        name, line, column = self.locate(field)
        return Problem(f"{name} {message}", line, column)


Lines: TypeAlias = "Iterator[Line | Problem]"
Rows: TypeAlias = "Iterator[Row | Problem | Notice]"


def field_named(name: str) -> str | None:
    """Return the field that a column or key stands for, whatever its case; None if none.

    >>> field_named(" Time_Start"), field_named("views")
    ('start', None)
    """
    return _FIELDS.get(name.strip(BLANKS).lower())


def unused_names(names: list[str]) -> str:
    """List names that mean nothing here, a few of them, for a message."""
    names = [name for name in names if name.lower() not in _KNOWN_UNUSED]
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return ", ".join(shown(name) for name in names[:_MAX_NAMES]) + more

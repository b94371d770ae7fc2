"""Up to which time a project was pulled, for good or but for what came late.

A change bears the time at which its transaction began to write it, and can be read only when that
ends: a pull that has read up to some time may have missed a change that is older. So a pull sets a
mark where it has got to, and one that begins `LATEST` after that lists once more, without the
annotations, which tasks changed up to the mark; those not read in that state are read again. Only
times by the server's clock, and lengths of time by our own, are compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from mimecurate.annotation.changed_tasks import format_server_time, parse_server_time

if TYPE_CHECKING:
    from sqlite_utils import Database

LATEST = timedelta(seconds=60)
"""How much later than its own time a change can be read, at most."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How far a project was pulled: all but ``marked_at`` by the server's clock."""

    pulled_until: str | None = None
    """The newest change that was read."""
    settled_until: str | None = None
    """No older change can come any more."""
    marked_until: str | None = None
    """The newest change that was read by ``marked_at``; None: everything is settled."""
    marked_at: str | None = None
    """By our clock."""

    def to_check(self, now: datetime) -> tuple[str, str] | None:
        """Return between which times to look for what came late, None if it is not yet time."""
        if self.marked_until is None or self.marked_at is None or self.settled_until is None:
            return None
        if now < datetime.fromisoformat(self.marked_at) + LATEST:
            return None
        return self.settled_until, self.marked_until

    def after(self, newest: datetime | None, began: datetime, ended: datetime) -> Marks:
        """Return the marks after a pull.

        Args:
            newest: the newest change that it read, by the server's clock.
            began: when it began, by ours; it has looked at what `to_check` said then.
            ended: when all was read.
        """
        until = self.pulled_until
        if newest is not None:
            until = max(format_server_time(newest), until or "")
        settled, marked, marked_at = self.settled_until, self.marked_until, self.marked_at
        if self.to_check(began) is not None:
            settled, marked, marked_at = self.marked_until, None, None
        if settled is None and until is not None:
            first_read = parse_server_time(until) - (ended - began)
            settled = format_server_time(first_read - LATEST)
        if marked is None and until is not None and until != settled:
            marked, marked_at = until, ended.isoformat()
        return Marks(until, settled, marked, marked_at)


def read_marks(db: Database, project_key: int) -> Marks:
    """Read how far a project was pulled."""
    row = db.execute(
        "SELECT pulled_until, settled_until, marked_until, marked_at FROM projects "
        "WHERE project_key = ?",
        [project_key],
    ).fetchone()
    return Marks(*row)


def store_marks(db: Database, project_key: int, marks: Marks) -> None:
    """Keep how far a project was pulled."""
    db.execute(
        "UPDATE projects SET pulled_until = ?, settled_until = ?, marked_until = ?, marked_at = ? "
        "WHERE project_key = ?",
        [marks.pulled_until, marks.settled_until, marks.marked_until, marks.marked_at, project_key],
    )

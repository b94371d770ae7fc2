"""Rounds: what is asked of the annotators at one time, and the projects that carry it.

A round is one project, whose clips each get so many answers, or one project per annotator, so that
nobody sees another's answer. Every project's description holds the round's mark, a random name:
by it a project is found again, whatever became of the answer to its making, and a server that was
reset is noticed.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import MimecurateError
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlite_utils import Database

    from mimecurate.annotation.screen import Screen

KINDS = ("annotation", "adjudication")
MAX_ROUND = 40
MAX_TITLE = 50
MAX_ANNOTATOR = 254
"""The longest e-mail address."""
_EMAIL = re.compile(r"[^@\s\[\]\x00-\x1f]+@[^@\s\[\]\x00-\x1f]+")
_MARK_BYTES = 8


@dataclass(frozen=True, slots=True)
class Round:
    """A row of `rounds`."""

    round: str
    """Its name."""
    kind: str
    mark: str
    overlap: int
    """How many answers a clip gets from one project."""
    predictions: str | None
    """What its clips are pre-filled from: a file's name and SHA-256."""


@dataclass(frozen=True, slots=True)
class Project:
    """A row of `projects`: where a round is on a server."""

    project_key: int
    round: str
    server: str
    project_id: int
    annotator: str | None
    """Whose it is, where each annotator has one."""
    title: str
    screen: str

    @property
    def url(self) -> str:
        """Where annotators label: one clip after the other, without a list of others' answers."""
        return f"{self.server}/projects/{self.project_id}/data?labeling=1"


def check_round_name(name: str) -> str:
    """Return a round's name if it can be one.

    Raises:
        MimecurateError: empty, over 40 characters, or with blanks around it or control characters.
    """
    if not name or len(name) > MAX_ROUND or not name.isprintable() or name != name.strip():
        raise MimecurateError(
            f"round {name[:MAX_ROUND]!r} must be 1 to {MAX_ROUND} printable characters, "
            "without blanks around them"
        )
    return name


def check_annotators(annotators: Sequence[str]) -> tuple[str, ...]:
    """Return e-mail addresses if they can be some, and no two are the same.

    Raises:
        MimecurateError: they are not.
    """
    for annotator in annotators:
        if not _EMAIL.fullmatch(annotator) or len(annotator) > MAX_ANNOTATOR:
            raise MimecurateError(
                f"annotator {annotator[:80]!r} must be the e-mail address of an account"
            )
    if len({a.casefold() for a in annotators}) < len(annotators):
        raise MimecurateError(f"the same annotator is there twice: {', '.join(annotators)}")
    return tuple(annotators)


def find_round(db: Database, name: str) -> Round | None:
    """Return a round by its name, None if there is none."""
    row = db.execute(
        "SELECT round, kind, mark, overlap, predictions FROM rounds WHERE round = ?", [name]
    ).fetchone()
    return Round(*row) if row else None


def store_round(
    db: Database,
    name: str,
    *,
    kind: str = "annotation",
    overlap: int | None = None,
    predictions: str | None = None,
) -> Round:
    """Make a round, or change an old one's settings; what is None stays as it is.

    Raises:
        MimecurateError: the name can't be one, or belongs to a round of the other kind.
    """
    known = find_round(db, check_round_name(name))
    if known is not None and known.kind != kind:
        raise MimecurateError(f"round {name!r} is of kind {known.kind}; choose another name")
    with db.atomic():
        if known is None:
            mark = secrets.token_hex(_MARK_BYTES)
            db.execute(
                "INSERT INTO rounds (round, kind, mark, overlap, predictions, made_at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [name, kind, mark, overlap or 1, predictions, now()],
            )
        else:
            db.execute(
                "UPDATE rounds SET overlap = coalesce(?, overlap), "
                "predictions = coalesce(?, predictions) WHERE round = ?",
                [overlap, predictions, name],
            )
    found = find_round(db, name)
    assert found is not None
    return found


def find_projects(db: Database, name: str, server: str | None = None) -> list[Project]:
    """Return the projects of a round that are not known to be gone, in the order of their making.

    Args:
        db: the workspace's database.
        name: the round's name.
        server: only those on the server with this address.
    """
    rows = db.execute(
        "SELECT project_key, round, server, project_id, annotator, title, screen FROM projects "
        "WHERE round = ? AND gone_at IS NULL AND (? IS NULL OR server = ?) ORDER BY project_key",
        [name, server, server],
    )
    return [Project(*row) for row in rows]


def store_screen(db: Database, screen: Screen) -> None:
    """Keep a labelling screen, so that old answers can be read with it."""
    with db.atomic():
        if not db.execute("SELECT 1 FROM screens WHERE screen = ?", [screen.screen]).fetchone():
            db.execute(
                "INSERT INTO screens (screen, config, made_at) VALUES (?, ?, ?)",
                [screen.screen, screen.config, now()],
            )


def project_title(name: str, mark: str, annotator: str | None = None) -> str:
    """Make a project's title: at most 50 characters, and no two rounds have the same.

    >>> project_title("1", "6b1f0c2de89a4b17"), project_title("1", "6b1f0c2de89a4b17", "a@x.org")
    ('round 1 [6b1f0c]', 'round 1, a@x.org [6b1f0c]')
    """
    words = f"round {name}" if annotator is None else f"round {name}, {annotator}"
    end = f" [{mark[:6]}]"
    room = MAX_TITLE - len(end)
    return (words if len(words) <= room else words[: room - 1] + "…") + end


def project_mark(mark: str, annotator: str | None = None) -> str:
    """Make the words by which a project is found on a server; they stand in its description.

    >>> project_mark("6b1f0c2de89a4b17", "a@x.org")
    '[mimecurate 6b1f0c2de89a4b17 for a@x.org]'
    """
    return f"[mimecurate {mark}{'' if annotator is None else f' for {annotator}'}]"

"""`mimecurate annotate pull`."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.server_options import open_connection, server_options
from mimecurate.console import counted, print_json, progress, say
from mimecurate.errors import MimecurateError, WorkspaceBusyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mimecurate.annotation.annotation_store import Change
    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.pull import Pulled
    from mimecurate.curation.workspace import Workspace

WATCH_S = 10.0
_MOST_LINES = 20
_FATAL = {401, 403}


@click.command("pull")
@click.option(
    "--round",
    "rounds",
    multiple=True,
    metavar="NAME",
    help="Only this round; may be repeated.  [default: all that are on the server]",
)
@click.option(
    "--watch",
    "watch_s",
    is_flag=False,
    flag_value=WATCH_S,
    type=click.FloatRange(min=1, max=86_400),
    metavar="[SECONDS]",
    help=f"Go on pulling, every {WATCH_S:g} s or so many, until Ctrl-C.",
)
@workspace_option
@server_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    rounds: tuple[str, ...],
    watch_s: float | None,
    workspace: Path,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Bring what annotators said into the workspace.

    Only what changed since the last pull is asked for. Nothing here is changed or deleted: an
    edited answer supersedes the earlier one, which stays as history, and an answer that was deleted
    on the server still stands. Skipped clips are kept and are no votes. Answers that the screen
    can't have sent are refused, with the reason; `mimecurate annotate status` lists them. What is
    answered in a round of adjudication becomes a decision.

    \b
    Example:
      mimecurate annotate pull
      mimecurate annotate pull --watch 30

    Exit status: 0 all pulled, 3 some answers were refused, or a project is gone.
    """
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace) as space:

        def connect() -> Connection:
            return open_connection(workspace, url, token)

        if watch_s is not None:
            pulled = _Watch(space, connect, list(rounds) or None, watch_s).run()
        else:
            pulled = _pull_once(space, connect, list(rounds) or None)
    if as_json and pulled is not None:
        print_json(as_document(pulled))
    ctx.exit(3 if pulled is not None and (pulled.refused or pulled.problems) else 0)


def as_document(pulled: Pulled) -> dict[str, object]:
    """Make the JSON document of a pull."""
    return {
        "new": pulled.new,
        "unchanged": pulled.unchanged,
        "superseded": pulled.superseded,
        "annotators": pulled.annotators,
        "cancelled": pulled.cancelled,
        "refused": pulled.refused,
        "drafts": pulled.drafts,
        "deleted": pulled.deleted,
        "gone_tasks": pulled.gone_tasks,
        "edited_by_others": pulled.edited_by_others,
        "problems": list(pulled.problems),
    }


def _pull_once(
    space: Workspace, connect: Callable[[], Connection], rounds: list[str] | None
) -> Pulled:
    from mimecurate.annotation.pull import pull

    said: Counter[str] = Counter()
    with connect() as connection, progress("pulling", None, unit="changed clips") as bar:

        def tell(change: Change) -> None:
            if change.kind in {"refused", "deleted"}:
                said["lines"] += 1
                if said["lines"] <= _MOST_LINES:
                    bar.say(line_of(change))

        pulled = pull(space, connection, rounds=rounds, progress=bar.advance, on_change=tell)
    if said["lines"] > _MOST_LINES:
        say(f"and {said['lines'] - _MOST_LINES:,} more; see `mimecurate annotate status --json`")
    _say_result(pulled)
    _decide(space)
    return pulled


class _Watch:
    """Pulls again and again; what stops one pull doesn't stop the next."""

    def __init__(
        self,
        space: Workspace,
        connect: Callable[[], Connection],
        rounds: list[str] | None,
        every_s: float,
    ) -> None:
        self._space, self._connect, self._rounds = space, connect, rounds
        self._every_s = every_s
        self._connection: Connection | None = None
        self._trouble = ""
        self._said_problems: set[str] = set()

    def run(self) -> Pulled | None:
        """Pull until Ctrl-C; return everything together."""
        total: Pulled | None = None
        self._connection = self._connect()
        try:
            while True:
                pulled = self._pull()
                if pulled is not None:
                    total = _together(total, pulled)
                time.sleep(self._every_s)
        except KeyboardInterrupt:
            say("stopped watching; what was pulled is kept")
        finally:
            if self._connection is not None:
                self._connection.close()
        if total is not None:
            _say_result(total)
        return total

    def _pull(self) -> Pulled | None:
        from mimecurate.annotation.connection import ServerError
        from mimecurate.annotation.pull import pull

        try:
            if self._connection is None:
                self._connection = self._connect()
            pulled = pull(
                self._space,
                self._connection,
                rounds=self._rounds,
                on_change=lambda change: say(line_of(change)),
            )
        except WorkspaceBusyError as error:
            self._say_trouble(str(error))
            return None
        except ServerError as error:
            if error.status in _FATAL:
                raise
            self._drop(str(error))
            return None
        except MimecurateError as error:
            if self._connection is not None:
                raise
            self._drop(str(error))
            return None
        if self._trouble:
            say("the server answers again")
            self._trouble = ""
        for problem in set(pulled.problems) - self._said_problems:
            say(problem)
        self._said_problems |= set(pulled.problems)
        _decide(self._space)
        return pulled

    def _drop(self, why: str) -> None:
        """Give the connection up, to make another: the server may come back elsewhere."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._say_trouble(f"{why}; trying again every {self._every_s:g} s")

    def _say_trouble(self, why: str) -> None:
        if not self._trouble:
            say(why)
        self._trouble = why


def _decide(space: Workspace) -> None:
    """Make decisions of what was answered in rounds of adjudication."""
    from mimecurate.annotation.adjudicate import take_over_answers

    if made := take_over_answers(space.db, say):
        what = "a decision" if made == 1 else "decisions"
        say(f"{counted(made, 'answer')} in a round of adjudication became {what}")


def line_of(change: Change) -> str:
    """Say a change on one line."""
    from mimecurate.annotation.annotation_store import said_words

    who = change.annotator or "nobody"
    what = {
        "new": "",
        "superseded": "changed to: ",
        "refused": f"refused: {change.why}",
        "deleted": "deleted on the server; kept here",
    }[change.kind]
    words = what + (said_words(change.said) if change.said else "")
    return f"{change.clip_id or 'no clip of ours'}  {who}  {words}".replace("\n", " ")


def _together(total: Pulled | None, pulled: Pulled) -> Pulled:
    if total is None:
        return pulled
    return replace(
        pulled,
        new=total.new + pulled.new,
        superseded=total.superseded + pulled.superseded,
        unchanged=total.unchanged,
        problems=tuple(dict.fromkeys(total.problems + pulled.problems)),
    )


def _say_result(pulled: Pulled) -> None:
    for problem in pulled.problems:
        say(problem)
    say(
        f"{counted(pulled.new, 'new answer')}, {pulled.superseded:,} changed, "
        f"{pulled.unchanged:,} as before; {counted(pulled.annotators, 'annotator')}, "
        f"{counted(pulled.cancelled, 'skipped clip')}, "
        f"{counted(pulled.drafts, 'unfinished draft')}"
    )
    for number, thing, words in (
        (pulled.refused, "item", "can't be taken over"),
        (pulled.deleted, "answer", "deleted on the server, kept here"),
        (pulled.gone_tasks, "clip", "no longer on the server"),
        (pulled.edited_by_others, "answer", "last written by somebody else than the author"),
    ):
        if number:
            say(f"{counted(number, thing)} {words}")

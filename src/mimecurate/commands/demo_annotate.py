"""The demo's annotation step: a real Label Studio, and two made-up annotators who use its API."""

from __future__ import annotations

import csv
import secrets
import shlex
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from mimecurate.console import say
from mimecurate.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mimecurate.annotation.connection import Connection
    from mimecurate.curation.demo_films import Film
    from mimecurate.curation.workspace import Workspace

CAREFUL, HASTY = "careful@example.org", "hasty@example.org"
_HASTY_OVERLOOKS = 4
"""The hasty one sees no object in every fourth clip, …"""
_HASTY_CONFUSES = 7
"""… and takes every seventh for another class."""
_FIELDS = ("verdict", "label", "mime_artist", "object_relevant", "scene_relevant")


def annotate(workspace: Workspace, truth: Mapping[str, Film]) -> None:
    """Send the test clips out, have each answered twice, and settle what is agreed on.

    Args:
        workspace: with the test clips fetched.
        truth: by clip id, how it was drawn.

    Without the ``server`` extra the step is left out, and says so.
    """
    from mimecurate.annotation.connection import connect
    from mimecurate.annotation.server import serve
    from mimecurate.annotation.server_accounts import sign_up
    from mimecurate.annotation.server_process import find_program
    from mimecurate.commands.annotate_serve import starting

    try:
        find_program()
    except MissingExtraError as missing:
        say(f"left out: {missing}")
        return
    with ExitStack() as stack:
        with starting() as on_wait:
            started = stack.enter_context(serve(workspace.root, 0, on_wait=on_wait))
        run_command(workspace, "annotate push --split test --overlap 2")
        url = started.server.url
        careful, hasty = (
            stack.enter_context(
                connect(url, sign_up(started.sign_up_url, name, secrets.token_urlsafe()))
            )
            for name in (CAREFUL, HASTY)
        )
        _answer_twice(workspace, careful, hasty, truth)
        say(f"\n{CAREFUL} and {HASTY} answered: scripts, which know how the films were drawn")
        for line in ("pull", "status", "agreement", "adjudicate --rule majority"):
            run_command(workspace, f"annotate {line}")


def decide(workspace: Workspace, truth: Mapping[str, Film], file: Path) -> None:
    """Decide on what is left as a lead does in a spreadsheet, knowing how the films were drawn."""
    decided = {row[0] for row in workspace.db.execute("SELECT clip_id FROM current_decisions")}
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(
            (
                "clip_id",
                "verdict",
                "label",
                "mime_artist",
                "object_relevant",
                "scene_relevant",
                "why",
            )
        )
        for clip_id, film in truth.items():
            if clip_id not in decided:
                answers = _drawn(film)
                writer.writerow((clip_id, *answers.values(), "drawn that way"))
    run_command(workspace, f"annotate adjudicate --import {shlex.quote(str(file))} --by lead")


def run_command(workspace: Workspace, line: str) -> None:
    """Run a command in the demo's workspace, and show it as one would type it."""
    from mimecurate.commands.root import cli

    say(f"\n$ mimecurate {line} -w {workspace.root}")
    words = [*shlex.split(line), "-w", str(workspace.root)]
    status = cli.main(words, "mimecurate", standalone_mode=False)
    if status:
        raise click.ClickException(f"`mimecurate {line}` ended with status {status}")


def _answer_twice(
    workspace: Workspace, careful: Connection, hasty: Connection, truth: Mapping[str, Film]
) -> None:
    """Answer each task as both, in the form in which the screen does."""
    names = sorted({film.label for film in truth.values()})
    tasks = workspace.db.execute("SELECT clip_id, task_id FROM tasks ORDER BY clip_id").fetchall()
    for number, (clip_id, task_id) in enumerate(tasks):
        answers = _drawn(truth[clip_id])
        _answer(careful, task_id, answers, seconds=14)
        if number % _HASTY_OVERLOOKS == 0:
            answers["object_relevant"] = "no"
        if number % _HASTY_CONFUSES == 0:
            answers["label"] = names[(names.index(answers["label"]) + 1) % len(names)]
        _answer(hasty, task_id, answers, seconds=6)


def _answer(connection: Connection, task_id: int, answers: Mapping[str, str], seconds: int) -> None:
    result = [_choice(field, value) for field, value in answers.items()]
    body = {"result": result, "lead_time": seconds}
    connection.post(f"/api/tasks/{task_id}/annotations/", body)


def _drawn(film: Film) -> dict[str, str]:
    in_context = "no" if film.is_mime else "yes"
    answers = ("yes", film.label, "yes" if film.is_mime else "no", in_context, in_context)
    return dict(zip(_FIELDS, answers, strict=True))


def _choice(field: str, value: str) -> dict[str, object]:
    return {
        "from_name": field,
        "to_name": "video",
        "type": "choices",
        "value": {"choices": [value]},
    }

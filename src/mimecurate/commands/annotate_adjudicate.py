"""`mimecurate annotate adjudicate`."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from mimecurate.commands.adjudicate_words import (
    Done,
    lines_of,
    next_steps,
    open_lines,
    standing_line,
)
from mimecurate.commands.options import json_option, trim_iou_option, workspace_option
from mimecurate.commands.server_options import server_options
from mimecurate.console import print_json, print_table, say
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mimecurate.annotation.adjudicate import Standing
    from mimecurate.annotation.adjudicate_answers import Answer
    from mimecurate.annotation.push import Pushed
    from mimecurate.curation.workspace import Workspace

MOST_SHOWN = 30
_FILE = click.Path(dir_okay=False, allow_dash=True)


@click.command("adjudicate")
@workspace_option
@click.option(
    "--rule", type=click.Choice(["majority"]), help="Decide by this rule wherever it can."
)
@click.option(
    "--min-annotators",
    type=click.IntRange(min=2),
    default=2,
    show_default=True,
    help="Answers that a clip needs to be decided on.",
)
@trim_iou_option
@click.option(
    "--round", "rounds", multiple=True, metavar="NAME", help="Only this round; may be repeated."
)
@click.option("--terminal", is_flag=True, help="Decide here on what is in dispute, key by key.")
@click.option(
    "--push", is_flag=True, help="Send what is in dispute to Label Studio, with all answers."
)
@click.option("--media-url", metavar="PREFIX", help="For --push: where else clips/ is.")
@click.option(
    "--clips-dir",
    type=click.Path(path_type=Path),
    help="For --push: the folder clips/ as that server sees it.",
)
@click.option("--anonymous", is_flag=True, help="Hide who said what.")
@click.option("--import", "import_", type=_FILE, help="Take over decisions from a CSV; - is stdin.")
@click.option(
    "--export", type=_FILE, help="Write decisions, and what is open, as CSV; - is stdout."
)
@click.option("--by", metavar="NAME", help="Who decides.  [default: the system's user]")
@click.option("--dry-run", is_flag=True, help="Only say what --rule or --import would do.")
@server_options
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    workspace: Path,
    rule: str | None,
    min_annotators: int,
    trim_iou: float,
    rounds: tuple[str, ...],
    terminal: bool,
    push: bool,
    media_url: str | None,
    clips_dir: Path | None,
    anonymous: bool,
    import_: str | None,
    export: str | None,
    by: str | None,
    dry_run: bool,
    url: str | None,
    token: str | None,
    as_json: bool,
) -> None:
    """Settle what annotators disagree on.

    Without options: lists what is in dispute. --rule decides where more than half of the annotators
    agree in every field; the rest is for people, in the terminal, in Label Studio (--push, then
    `annotate pull`) or in a spreadsheet (--export, --import). A decision keeps who, when and why;
    the latest on a clip holds, and no rule overrules a person. `release create` takes decisions.

    \b
    Example:
      mimecurate annotate adjudicate --rule majority --min-annotators 3
      mimecurate annotate adjudicate --terminal --by "Ada"
      mimecurate annotate adjudicate --export decisions.csv

    Exit status: 0 done, 3 some clips could not be sent to Label Studio.
    """
    from mimecurate.annotation.adjudicate import find_standing, settle_by_rule, take_over_answers
    from mimecurate.annotation.adjudicate_csv import import_decisions
    from mimecurate.annotation.adjudicate_decisions import check_decider
    from mimecurate.curation.workspace import open_workspace

    _check_options(terminal, push, import_, export, dry_run, as_json)
    name = check_decider(by)
    done = Done()
    with open_workspace(workspace) as space:
        if not dry_run:
            done.taken_over = take_over_answers(space.db, say)
        if import_ is not None:
            with _reading(import_) as stream:
                done.imported = import_decisions(
                    space.db, stream, import_, by=name, dry_run=dry_run
                )
        if rule is not None:
            done.rule = settle_by_rule(
                space.db,
                min_annotators=min_annotators,
                by=name,
                rounds=rounds,
                trim_iou=trim_iou,
                dry_run=dry_run,
            )

        def stand() -> Standing:
            return find_standing(
                space.db, min_annotators=min_annotators, rounds=rounds, trim_iou=trim_iou
            )

        standing = stand()
        if terminal:
            done.in_terminal = _ask(space, standing, name, anonymous, as_json)
            standing = stand()
        if push:
            done.pushed = _push(space, standing, anonymous, (url, token), (media_url, clips_dir))
        if export is not None:
            _export(space, standing, export)
        _report(space, done, standing, anonymous, as_json, quiet=terminal or export == "-")
    ctx.exit(3 if done.pushed is not None and done.pushed.refused else 0)


def _check_options(
    terminal: bool,
    push: bool,
    import_: str | None,
    export: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    if dry_run and (terminal or push or export):
        raise click.UsageError("--dry-run goes with --rule and --import alone")
    if terminal and import_ == "-":
        raise click.UsageError("--terminal and --import - both read stdin; use just one")
    if as_json and export == "-":
        raise click.UsageError("--json and --export - both write stdout; use just one")


def _reading(name: str) -> AbstractContextManager[BinaryIO]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return open(name, "rb")
    except OSError as error:
        raise MimecurateError(f"{name}: can't be read: {error.strerror}") from error


def _export(space: Workspace, standing: Standing, name: str) -> None:
    from mimecurate.annotation.adjudicate_csv import export_decisions

    text = export_decisions(space.db, standing.disputes)
    if name == "-":
        click.echo(text, nl=False)
        return
    try:
        with open(name, "x", encoding="utf-8", newline="") as file:
            file.write(text)
    except FileExistsError:
        raise MimecurateError(
            f"{name} is there already, and may hold decisions that were filled in; import it, then "
            "remove it, or give another name"
        ) from None
    except OSError as error:
        raise MimecurateError(f"{name}: can't be written: {error.strerror}") from error
    say(f"wrote {name}; rows without a verdict are open: fill them in, then --import it")


def _ask(space: Workspace, standing: Standing, by: str, anonymous: bool, as_json: bool) -> int:
    from mimecurate.commands.adjudicate_terminal import HELP, adjudicate_in_terminal

    if standing.disputes:
        say(HELP)
    return adjudicate_in_terminal(
        space,
        standing.disputes,
        by=by,
        anonymous=anonymous,
        sheet_in_terminal=sys.stdout.isatty() and not as_json,
    )


def _push(
    space: Workspace,
    standing: Standing,
    anonymous: bool,
    server: tuple[str | None, str | None],
    media: tuple[str | None, Path | None],
) -> Pushed | None:
    from mimecurate.annotation.adjudicate_push import push_disputes
    from mimecurate.commands.server_options import open_connection
    from mimecurate.console import progress

    if not standing.disputes:
        say("nothing is in dispute; nothing was sent")
        return None
    with (
        open_connection(space.root, *server) as connection,
        progress("sending", len(standing.disputes)) as bar,
    ):
        return push_disputes(
            space,
            connection,
            standing.disputes,
            anonymous=anonymous,
            media_url=media[0],
            clips_dir=media[1],
            advance=bar.advance,
            say=bar.say,
        )


def _report(
    space: Workspace,
    done: Done,
    standing: Standing,
    anonymous: bool,
    as_json: bool,
    *,
    quiet: bool,
) -> None:
    from mimecurate.annotation.adjudicate import find_open_tasks

    if as_json:
        print_json(_as_json(space, done, standing, anonymous))
        return
    if not quiet and standing.disputes:
        _print_disputes(space, standing, anonymous)
    lines = [
        *lines_of(done),
        standing_line(standing),
        *open_lines(find_open_tasks(space.db, standing)),
    ]
    for line in [*lines, *([] if done.pushed else next_steps(standing))]:
        say(line)


def _as_json(
    space: Workspace, done: Done, standing: Standing, anonymous: bool
) -> dict[str, object]:
    from mimecurate.annotation.adjudicate import find_open_tasks
    from mimecurate.annotation.adjudicate_answers import shown_answers

    return {
        "taken_over": done.taken_over,
        "imported": asdict(done.imported) if done.imported else None,
        "rule": asdict(done.rule) if done.rule else None,
        "adjudicated": done.in_terminal,
        "pushed": _pushed_as_json(done.pushed) if done.pushed else None,
        "settled": standing.settled,
        "agreed": standing.agreed,
        "too_few": standing.too_few,
        "open_though_settled": [task._asdict() for task in find_open_tasks(space.db, standing)],
        "disputes": [
            {
                "clip_id": dispute.clip_id,
                "why": dispute.why,
                "answers": [
                    _answer_as_json(answer)
                    for answer in shown_answers(space.db, dispute, anonymous=anonymous)
                ],
            }
            for dispute in standing.disputes
        ],
    }


def _pushed_as_json(pushed: Pushed) -> dict[str, object]:
    return {
        "project_id": pushed.project_id,
        "project_url": pushed.project_url,
        "created": pushed.created,
        "existing": pushed.existing,
        "updated": pushed.updated,
        "refused": [asdict(clip) for clip in pushed.refused],
    }


def _answer_as_json(answer: Answer) -> dict[str, object]:
    vote = answer.vote
    start_ms, end_ms = vote.trim or (None, None)
    return {
        "annotator": answer.name,
        "verdict": vote.verdict,
        "label": vote.label,
        "mime_artist": vote.mime_artist,
        "object_relevant": vote.object_relevant,
        "scene_relevant": vote.scene_relevant,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "note": answer.note or None,
    }


def _print_disputes(space: Workspace, standing: Standing, anonymous: bool) -> None:
    from mimecurate.annotation.adjudicate_answers import answer_lines, shown_answers

    rows = []
    for dispute in standing.disputes[:MOST_SHOWN]:
        answers = shown_answers(space.db, dispute, anonymous=anonymous)
        said = [
            f"{line.field}: "
            + ", ".join(
                f"{a.name} {text or '-'}" for a, text in zip(answers, line.said, strict=True)
            )
            for line in answer_lines(answers)
            if line.differs
        ]
        rows.append([dispute.clip_id, "; ".join(said)])
    print_table(("clip_id", "in dispute"), rows)
    if len(standing.disputes) > MOST_SHOWN:
        say(f"… and {len(standing.disputes) - MOST_SHOWN:,} more; --json lists all")

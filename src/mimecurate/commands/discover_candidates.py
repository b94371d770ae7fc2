"""`mimecurate discover list|show|add|reject|export|refresh`: the candidates themselves."""

from __future__ import annotations

import getpass
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import (
    chosen_settings,
    json_option,
    setting_options,
    workspace_option,
)
from mimecurate.console import counted, print_csv, print_json, print_table, progress, say

if TYPE_CHECKING:
    from mimecurate.curation.discover_refresh import RefreshReport

_STATES = (
    "open",
    "listed",
    "fetched",
    "verified",
    "rejected",
    "released",
    "gone",
    "withdrawn",
)
_SHOWN_TITLE = 80
_SHOWN_LABELS = 2
MOST_ROWS = 1_000_000_000
"""That a limit may ask for; SQLite takes no number beyond 64 bits."""

state_option = click.option(
    "--state",
    "states",
    type=click.Choice(_STATES),
    multiple=True,
    help="Only these; may be repeated.  [default: open]",
)
class_option = click.option("--class", "label", metavar="CLASS", help="Only for this class.")
who_option = click.option(
    "--by", "who", default=None, metavar="NAME", help="Who says so.  [default: your login name]"
)


@click.command("list")
@class_option
@state_option
@click.option("--all", "show_all", is_flag=True, help="Also released, rejected and all others.")
@click.option(
    "--limit", type=click.IntRange(1, MOST_ROWS), default=50, show_default=True, metavar="N"
)
@workspace_option
@json_option
def list_(
    label: str | None,
    states: tuple[Any, ...],
    show_all: bool,
    limit: int,
    workspace: Path,
    as_json: bool,
) -> None:
    """List candidates, those first that most queries found.

    Videos that are released or rejected already are not shown unless asked for.

    \b
    Example:
      mimecurate discover list --class "playing guitar" --limit 20
    """
    from mimecurate.curation.discover_candidates import list_candidates
    from mimecurate.curation.workspace import open_workspace

    wanted = () if show_all else states or ("open",)
    with open_workspace(workspace, read_only=True) as space:
        label = wanted_class(space.db, label)
        found = list(list_candidates(space.db, label=label, states=wanted, limit=limit))
    if as_json:
        print_json(found)
        return
    columns = ("video_id", "state", "queries", "best_rank")
    rows = [
        (*(c[name] for name in columns), _some_labels(c["labels"], label), _short(c["title"]))
        for c in found
    ]
    print_table((*columns, "class", "title"), rows)
    if len(found) == limit:
        say(f"the first {limit:,}; more with --limit")


@click.command("show")
@click.argument("video_id")
@workspace_option
@json_option
def show(video_id: str, workspace: Path, as_json: bool) -> None:
    """Show a candidate, and every query and person that found it.

    \b
    Example:
      mimecurate discover show 0zFbEjoGlhc
    """
    from mimecurate.curation.discover_candidates import show_candidate
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        shown = show_candidate(space.db, video_id)
    if as_json:
        print_json(shown)
        return
    facts = [(k, v) for k, v in shown.items() if not isinstance(v, list) and v is not None]
    print_table(("candidate", ""), facts)
    for part in ("finds", "by_hand", "rejections"):
        rows: Any = shown[part]
        if rows:
            heads = tuple("class" if name in {"label", "labels"} else name for name in rows[0])
            print_table(heads, [tuple(row.values()) for row in rows])


@click.command("add")
@click.argument("url")
@click.option(
    "--at",
    metavar="TIME",
    help="Where it is to be seen: seconds, MM:SS or HH:MM:SS; else as YouTube's link says (t=192).",
)
@click.option("--until", metavar="TIME", help="Where it ends.")
@click.option("--class", "label", metavar="CLASS", help="What it shows.")
@click.option("--note", default="", help="Words for whoever verifies it.")
@click.option("--allow-files", is_flag=True, help="Let URL be a local file.")
@who_option
@workspace_option
@json_option
def add(
    url: str,
    at: str | None,
    until: str | None,
    label: str | None,
    note: str,
    allow_files: bool,
    who: str | None,
    workspace: Path,
    as_json: bool,
) -> None:
    """Keep a video that was found by watching, not by a search.

    \b
    Example:
      mimecurate discover add https://youtu.be/0zFbEjoGlhc --at 3:12 --class archery --note "encore"
    """
    from mimecurate.curation.classes import find_class
    from mimecurate.curation.discover_candidates import add_candidate, time_in_link
    from mimecurate.curation.discover_classes import doubt_of_class
    from mimecurate.curation.url_list_fields import read_link
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.errors import MimecurateError

    start_ms, end_ms = _time("--at", at), _time("--until", until)
    try:
        link = read_link(url, allow_files=allow_files, base=Path.cwd())
    except ValueError as error:
        raise MimecurateError(f"URL {error}") from error
    if at is None:
        start_ms = time_in_link(url)
    if end_ms is not None and start_ms is None:
        raise click.UsageError(f"--until {until} needs --at, or a link with a time (t=192)")
    if start_ms is not None and end_ms is not None and end_ms <= start_ms:
        begin = f"--at {at}" if at else f"the link's {start_ms / 1000:g} s"
        raise click.UsageError(f"--until {until} must come after {begin}")
    with open_workspace(workspace) as space:
        name = None if label is None else find_class(space.db, label)
        doubt = doubt_of_class(space.db, name) if name else ""
        done = add_candidate(
            space.db,
            link,
            label=name,
            start_ms=start_ms,
            end_ms=end_ms,
            note=note,
            found_by=who_name(who),
        )
    if as_json:
        print_json({"video_id": done.video_id, "was_known": done.was_known, "state": done.state})
    elif done.was_known:
        where = f" at {start_ms / 1000:g} s" if start_ms is not None else ""
        say(f"kept: {done.video_id}{where}; the video was known already, and is {done.state}")
        if start_ms is None and done.state != "open":
            say("it is not exported without a time: give it with --at")
    else:
        say(f"added: {done.video_id}")
    if label is None:
        say("note: it counts for no class; give one with --class")
    if doubt:
        undo = f'`mimecurate discover reject {done.video_id} --class "{name}" --why typo`'
        say(f"note: {doubt}; it was kept as given, {undo} takes it back")


@click.command("reject")
@click.argument("video_ids", nargs=-1, required=True, metavar="VIDEO_ID…")
@click.option("--class", "label", metavar="CLASS", help="Only for this class.  [default: for all]")
@click.option("--why", required=True, help="The reason.")
@who_option
@workspace_option
def reject(
    video_ids: tuple[str, ...], label: str | None, why: str, who: str | None, workspace: Path
) -> None:
    """Mark candidates as not wanted, so that they are not shown again.

    With --class it takes back what was found by hand for that class as well; found again, it counts
    again.

    \b
    Example:
      mimecurate discover reject 0zFbEjoGlhc --why "a real bow"
    """
    from mimecurate.curation.discover_candidates import reject_candidates
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace) as space:
        count = reject_candidates(
            space.db,
            video_ids,
            label=wanted_class(space.db, label),
            why=why,
            rejected_by=who_name(who),
        )
    say(f"rejected: {count:,}")


@click.command("export")
@class_option
@state_option
@click.option("--limit", type=click.IntRange(1, MOST_ROWS), metavar="N", help="At the most.")
@workspace_option
def export(label: str | None, states: tuple[Any, ...], limit: int | None, workspace: Path) -> None:
    """Write candidates as a list for `fetch --urls`, on stdout.

    What was found by hand at a time is that interval; all else is the whole video. Without --state:
    open videos, and moments found by hand in others, unless there is a clip or a later rejection.

    \b
    Example:
      mimecurate discover export --class archery --limit 40 > archery.csv
      mimecurate fetch --urls archery.csv
    """
    from mimecurate.curation.discover_export import closed_moments, fetch_list
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        label = wanted_class(space.db, label)
        moments = [] if states else closed_moments(space.db, label=label)[:limit]
        left = None if limit is None else limit - len(moments)
        open_ = fetch_list(space.db, label=label, states=states or ("open",), limit=left)
        rows = [*(moment.entry for moment in moments), *open_]
    print_csv(("url", "start", "end", "label", "video_id"), rows)
    say(counted(len(rows), "entry"))
    if any(row[0].startswith("file:") for row in rows):
        say("files of this machine are among them: fetch needs --allow-files")
    if moments:
        of = ", ".join(f"{n:,} {s}" for s, n in Counter(m.state for m in moments).items())
        say(f"among them moments found by hand in videos that are not open: {of}")


@click.command("refresh")
@click.option(
    "--within",
    "within_days",
    type=click.IntRange(0, 29),
    default=3,
    show_default=True,
    metavar="DAYS",
    help="What is due within so many days.",
)
@click.option("--delete", is_flag=True, help="Delete what is due; ask nobody.")
@click.option("--dry-run", is_flag=True, help="Say how many are due, and do nothing.")
@workspace_option
@setting_options("discover")
@json_option
@click.pass_context
def refresh(
    ctx: click.Context,
    /,
    within_days: int,
    delete: bool,
    dry_run: bool,
    workspace: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Refresh, or delete, metadata that the YouTube Data API's terms let be kept for 30 days.

    Video ids, the queries that found them and what people said stay. One call brings 50 videos.

    \b
    Example:
      mimecurate discover refresh
      mimecurate discover refresh --delete

    Exit status: 0 nothing is due any more, 3 something still is.
    """
    from mimecurate.commands.discover import make_api
    from mimecurate.curation.discover_refresh import (
        RefreshReport,
        count_due,
        delete_due,
        refresh,
    )
    from mimecurate.curation.workspace import open_workspace

    chosen = {name: c.value for name, c in chosen_settings(workspace, options).items()}
    with open_workspace(workspace) as space:
        if dry_run or count_due(space.db, within_days) == 0:
            report = RefreshReport(due=count_due(space.db, within_days))
        elif delete:
            report = delete_due(space, within_days=within_days)
        else:
            api = make_api(workspace, chosen)
            with progress("refreshing", None, unit="videos") as bar:
                report = refresh(space, api, within_days=within_days, on_progress=bar.advance)
        left = count_due(space.db, within_days)
    _show_refresh(report, left, as_json=as_json)
    ctx.exit(3 if left and not dry_run else 0)


def wanted_class(db: Any, label: str | None) -> str | None:
    """Return a class as it is spelt here; one that nothing here names is an error."""
    from mimecurate.curation.discover_classes import known_class

    return None if label is None else known_class(db, label)


def _show_refresh(report: RefreshReport, left: int, *, as_json: bool) -> None:
    if as_json:
        from dataclasses import asdict

        print_json({**asdict(report), "left": left})
        return
    say(
        f"{report.due:,} were due: {report.refreshed:,} refreshed, {report.gone:,} gone, "
        f"{report.deleted:,} deleted; {left:,} are left"
    )
    if report.stopped:
        say(report.stopped)


def _time(option: str, text: str | None) -> int | None:
    from mimecurate.schemas.times import parse_time_ms

    try:
        return None if text is None else parse_time_ms(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def who_name(name: str | None) -> str:
    """Return who says so: the name given, else the login name."""
    from mimecurate.curation.discover_candidates import clean_note

    if name is None:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = "nobody"
    return clean_note(name)[:100]


def _short(title: object) -> str:
    text = str(title or "")
    return text if len(text) <= _SHOWN_TITLE else text[: _SHOWN_TITLE - 1] + "…"


def _some_labels(labels: object, first: str | None) -> str:
    """Shorten a list of classes, with the one that was asked for in front.

    >>> _some_labels("archery; bowling; cooking; drinking", "drinking")
    'drinking +3 more'
    >>> _some_labels("archery; bowling; cooking; drinking", None)
    'archery; bowling +2 more'
    """
    names = str(labels or "").split("; ")
    shown = [first] if first in names else names[:_SHOWN_LABELS]
    left = len(names) - len(shown)
    return "; ".join(filter(None, shown)) + (f" +{left:,} more" if left else "")

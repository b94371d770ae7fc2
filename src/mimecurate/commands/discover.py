"""`mimecurate discover`: find candidate videos."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.lazy_group import LazyGroup
from mimecurate.commands.options import (
    chosen_settings,
    json_option,
    setting_options,
    workspace_option,
)
from mimecurate.console import counted, log_to_file, print_json, print_table, progress, say

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mimecurate.console import Progress
    from mimecurate.curation.discover import DiscoverPlan, DiscoverReport, Order, SearchJob
    from mimecurate.curation.discover_api import YouTubeApi
    from mimecurate.curation.discover_record import Recorded
    from mimecurate.curation.discover_sources import SearchSource
    from mimecurate.curation.query_sets import Query
    from mimecurate.errors import ClipError

_SHOWN_JOBS = 20
_SHOWN_CLASSES = 5


@click.group(
    "discover",
    cls=LazyGroup,
    package="mimecurate.commands",
    prefix="discover_",
    commands={
        "queries": "Make queries: templates filled with the words of classes.",
        "list": "List candidates, those first that most queries found.",
        "show": "Show a candidate, and every query and person that found it.",
        "add": "Keep a video that was found by watching.",
        "reject": "Mark candidates as not wanted.",
        "export": "Write candidates as a list for `fetch --urls`.",
        "windows": "Propose windows of 1 to 10 s in long videos that are here.",
        "rank": "Order candidates by a prediction file.",
        "economics": "Show what queries cost and gave.",
        "next": "Rank the queries to spend next.",
        "refresh": "Refresh, or delete, metadata of the YouTube Data API.",
    },
    where={
        "queries": "queries:queries",
        "list": "candidates:list_",
        "show": "candidates:show",
        "add": "candidates:add",
        "reject": "candidates:reject",
        "export": "candidates:export",
        "windows": "media:windows",
        "rank": "media:rank",
        "economics": "economics:economics",
        "next": "economics:next_",
        "refresh": "candidates:refresh",
    },
    invoke_without_command=True,
)
@click.option(
    "--queries",
    "query_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to search: CSV as `discover queries` writes it, or a query per line.",
)
@click.option("--languages", metavar="en,fr,…", help="Only queries in these languages.")
@click.option(
    "--source",
    type=click.Choice(["yt-dlp", "youtube-api", "files"]),
    default="yt-dlp",
    show_default=True,
    help="Where to search: YouTube's site, its Data API with your key, or --files.",
)
@click.option(
    "--files",
    type=click.Path(exists=True, path_type=Path),
    help="With --source files: a folder of videos, or CSV url[,title][,channel][,video_id].",
)
@click.option(
    "--max-queries",
    type=click.IntRange(min=1),
    metavar="N",
    help="Searches that this run may make.",
)
@click.option(
    "--order",
    type=click.Choice(["file", "best"]),
    default="file",
    show_default=True,
    help="Ask in the file's order, or first what `discover next` ranks first.",
)
@click.option(
    "--older-than",
    type=click.IntRange(1, 36_500),
    metavar="DAYS",
    help="Ask again what was last answered so many days ago.",
)
@click.option("--retry-failed", is_flag=True, help="Ask again what failed for good before.")
@click.option("--dry-run", is_flag=True, help="Show the plan and the days it takes; ask nobody.")
@workspace_option
@setting_options("discover")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    query_file: Path | None,
    languages: str | None,
    source: str,
    files: Path | None,
    max_queries: int | None,
    order: str,
    older_than: int | None,
    retry_failed: bool,
    dry_run: bool,
    workspace: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Find candidate videos, and see which queries pay.

    Without a subcommand it searches. Each answer is kept with the query, rank and time before the
    next is asked for; run the same line again after a crash, Ctrl-C or the next day, and it goes on
    where it stopped.

    \b
    Example:
      mimecurate discover queries --set mimetics --languages en,fr,es > queries.csv
      mimecurate discover --queries queries.csv --dry-run
      mimecurate discover --queries queries.csv --max-queries 100
      mimecurate discover list --class "playing guitar"

    Exit status: 0 done or out of budget, 1 could not be done, 3 some queries failed.
    """
    if ctx.invoked_subcommand is not None:
        return
    if query_file is None:
        raise click.UsageError("--queries FILE is needed; `mimecurate discover --help` lists more")
    from mimecurate.curation.discover import discover
    from mimecurate.curation.query_sets import read_queries
    from mimecurate.curation.workspace import open_workspace

    chosen = {name: c.value for name, c in chosen_settings(workspace, options).items()}
    asked = _in_languages(read_queries(query_file), languages)
    limits: dict[str, Any] = {
        "per_query": chosen["discover.per_query"],
        "max_queries": max_queries,
        "older_than_days": older_than,
        "retry_failed": retry_failed,
    }
    search = make_source(workspace, source, files, chosen, needs_key=not dry_run)
    if dry_run:
        _show_plan(_plan(workspace, asked, search, limits, order), as_json=as_json)
        return
    with open_workspace(workspace) as space, ExitStack() as stack:
        log_to_file(space.state_dir)
        _warn_of_classes(space.db, asked)
        bars: list[Progress] = []

        def on_plan(plan: DiscoverPlan) -> None:
            say(_plan_line(plan))
            if plan.jobs:
                bars.append(stack.enter_context(progress("searching", None, unit="searches")))

        def on_page(job: SearchJob, result: Recorded | ClipError) -> None:
            bars[0].advance(note=job.query.text)
            if isinstance(result, Exception):
                bars[0].say(f"{job.query.text}: {result}")

        report = discover(
            space,
            asked,
            search,
            **limits,
            order=_order(space.db, order, asked),
            on_plan=on_plan,
            on_page=on_page,
        )
    _show_report(report, as_json=as_json)
    ctx.exit(3 if report.failed else 0)


def make_source(
    workspace: Path, name: str, files: Path | None, chosen: dict[str, Any], *, needs_key: bool
) -> SearchSource:
    """Make the source that a user named."""
    if name == "files":
        from mimecurate.curation.discover_files import FileSearch

        if files is None:
            raise click.UsageError("--source files needs --files FOLDER or LIST")
        return FileSearch(files)
    if files is not None:
        raise click.UsageError(f"--files goes with --source files, not {name}")
    if name == "youtube-api":
        return make_api(workspace, chosen, needs_key=needs_key)
    from mimecurate.commands.fetch import fetch_options_of
    from mimecurate.curation.discover_ytdlp import YtDlpSearch
    from mimecurate.curation.sources import make_pacer

    options = fetch_options_of(workspace, chosen, (), False).source
    pacer = make_pacer(options, sleep_s=chosen["fetch.sleep_s"], on_pause=say_pause)
    return YtDlpSearch(options, pacer, lambda: None)


def make_api(workspace: Path, chosen: dict[str, Any], *, needs_key: bool = True) -> YouTubeApi:
    """Make the client of the YouTube Data API from the settings."""
    from mimecurate.commands.fetch import fetch_options_of
    from mimecurate.curation.discover_api import YouTubeApi, read_key
    from mimecurate.curation.sources import make_pacer

    path = chosen["discover.api_key_file"]
    key = read_key(Path(path) if path else None) if needs_key else "no-request-is-made"
    options = replace(fetch_options_of(workspace, chosen, (), False).source, cookies=None)
    return YouTubeApi(
        key,
        options,
        make_pacer(options, sleep_s=chosen["fetch.sleep_s"], on_pause=say_pause),
        lambda: None,
        url=chosen["discover.api_url"],
        searches_per_day=chosen["discover.searches_per_day"],
    )


def say_pause(site: str, seconds: float) -> None:
    """Say that a site asked to be left alone."""
    wait = f"{seconds:.0f} s" if seconds >= 1 else "less than 1 s"
    say(f"{site} asks to slow down: waiting {wait}")


def _in_languages(asked: list[Query], languages: str | None) -> list[Query]:
    if languages is None:
        return asked
    wanted = [part.strip() for part in languages.split(",") if part.strip()]
    if not wanted:
        raise click.UsageError("--languages names none; write it as en,fr")
    there = {query.language for query in asked}
    if unknown := [name for name in wanted if name not in there]:
        has = ", ".join(sorted(filter(None, there))) or "none"
        raise click.UsageError(f"--languages {unknown[0]}: no query is in it; the file has {has}")
    return [query for query in asked if query.language in wanted]


def _order(db: Database, order: str, asked: list[Query]) -> Order:
    if order == "file":
        return list
    from mimecurate.curation.discover_next import best_first

    return lambda jobs: best_first(db, jobs, unstored=asked)


def _warn_of_classes(db: Database, asked: list[Query]) -> None:
    """Say which classes of the queries the workspace's list, if it has one, does not have."""
    from mimecurate.curation.classes import unknown_classes

    unknown = unknown_classes(db, (query.label for query in asked if query.label))
    if unknown:
        some = ", ".join(repr(name[:60]) for name in unknown[:_SHOWN_CLASSES])
        more = f" and {len(unknown) - _SHOWN_CLASSES:,} more" if unknown[_SHOWN_CLASSES:] else ""
        say(
            f"note: not in the list of classes: {some}{more}; `mimecurate classes list` shows it, "
            "`classes load` adds to it"
        )


def _plan(
    workspace: Path, asked: list[Query], search: SearchSource, limits: dict[str, Any], order: str
) -> DiscoverPlan:
    """Plan without writing anything; a workspace that isn't there yet has asked nothing."""
    from tempfile import TemporaryDirectory

    from mimecurate.curation.discover import known_queries, plan_discover
    from mimecurate.curation.workspace import DATABASE, open_workspace

    with ExitStack() as stack:
        if (workspace / DATABASE).exists():
            space = stack.enter_context(open_workspace(workspace, read_only=True))
        else:
            space = stack.enter_context(open_workspace(stack.enter_context(TemporaryDirectory())))
        db = space.db
        _warn_of_classes(db, asked)
        known = known_queries(db, asked)
        return plan_discover(db, known, search, **limits, order=_order(db, order, asked))


def _plan_line(plan: DiscoverPlan) -> str:
    parts = [f"{counted(plan.queries, 'query')}, {plan.done:,} done before"]
    parts += [f"{plan.failed:,} failed for good before"] if plan.failed else []
    parts += [f"{plan.left_out:,} left out by --order best"] if plan.left_out else []
    parts += [f"searches to make: {plan.searches:,}"]
    parts += [f"{plan.left_today:,} left today"] if plan.left_today is not None else []
    parts += [f"{counted(plan.days, 'day')} at this pace"] if plan.searches else []
    return "; ".join([*parts, f"now up to {plan.searches_now:,}"])


def _show_plan(plan: DiscoverPlan, *, as_json: bool) -> None:
    say(_plan_line(plan))
    if as_json:
        print_json(
            {
                "queries": plan.queries,
                "done": plan.done,
                "failed": plan.failed,
                "left_out": plan.left_out,
                "searches": plan.searches,
                "searches_now": plan.searches_now,
                "left_today": plan.left_today,
                "days": plan.days,
                "jobs": [
                    {
                        "query": job.query.text,
                        "language": job.query.language,
                        "class": job.query.label,
                        "have": job.have,
                        "page": job.page,
                    }
                    for job in plan.jobs
                ],
            }
        )
        return
    rows = [(j.query.text, j.query.language, j.query.label, j.have) for j in plan.jobs]
    print_table(("query", "language", "class", "have"), rows[:_SHOWN_JOBS])
    if len(rows) > _SHOWN_JOBS:
        say(f"and {len(rows) - _SHOWN_JOBS:,} more; --json lists all")


def _show_report(report: DiscoverReport, *, as_json: bool) -> None:
    if report.searches or report.failed:
        say(
            f"searches: {report.searches:,}; {counted(report.found, 'video')} found, "
            f"{report.new:,} of them new"
            + (f"; {counted(report.failed, 'query')} failed" if report.failed else "")
        )
    elif not report.stopped:
        say("nothing is left to ask; --older-than DAYS asks again what was answered")
    if report.begun_again:
        say(
            "asked from the first page again, for the source had forgotten where they were: "
            + counted(report.begun_again, "query")
        )
    if report.stopped:
        say(f"{report.stopped}; left for another run: {counted(report.not_asked, 'query')}")
    if as_json:
        print_json(
            {
                "searches": report.searches,
                "queries": report.asked,
                "found": report.found,
                "new": report.new,
                "failed": report.failed,
                "by_reason": dict(report.by_reason),
                "begun_again": report.begun_again,
                "not_asked": report.not_asked,
                "stopped": report.stopped or None,
            }
        )
    elif report.by_reason:
        print_table(("reason", "queries"), sorted(report.by_reason.items()))

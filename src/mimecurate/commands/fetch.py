"""`mimecurate fetch`."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from mimecurate.commands.options import (
    chosen_settings,
    json_option,
    setting_options,
    workspace_option,
)
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mimecurate.curation.fetch_video import FetchOptions
    from mimecurate.curation.workspace import Workspace


@click.command("fetch")
@click.option(
    "--urls",
    required=True,
    metavar="FILE",
    help="The list: Kinetics CSV, CSV/TSV/JSONL with url,start,end, or text; - for stdin.",
)
@workspace_option
@setting_options("fetch")
@click.option("--retry-failed", is_flag=True, help="Ask again for what failed for good before.")
@click.option("--strict-length", is_flag=True, help="Refuse intervals outside 1-10 s.")
@click.option("--allow-files", is_flag=True, help="Let the list name local files.")
@click.option("--skip-invalid", is_flag=True, help="Go on without the lines that are wrong.")
@click.option(
    "--yt-dlp",
    "yt_dlp_options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option for yt-dlp's library, e.g. geo_bypass_country=FR; may be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    urls: str,
    workspace: Path,
    retry_failed: bool,
    strict_length: bool,
    allow_files: bool,
    skip_invalid: bool,
    yt_dlp_options: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Fetch and trim the clips of a list.

    Each clip ends up verified in the workspace, or is recorded with the reason why not. Only the
    bytes that the clips need are downloaded. Run the same line again after a crash, a full disk or
    Ctrl-C: only the rest is done.

    \b
    Example:
      mimecurate fetch --urls list.csv
      mimecurate fetch --urls list.csv --dry-run
      mimecurate fetch --urls list.csv --retry-failed --cookies cookies.txt

    Exit status: 0 all there, 1 could not be done, 2 wrong usage, 3 some clips failed.
    """
    from mimecurate.commands.fetch_view import (
        FetchView,
        print_report_json,
        show_dry_run,
        show_report,
    )
    from mimecurate.console import log_to_file
    from mimecurate.curation.fetch import fetch, plan_only
    from mimecurate.curation.sources import make_pacer
    from mimecurate.curation.url_list import read_url_list
    from mimecurate.curation.workspace import DATABASE, open_workspace

    chosen: dict[str, Any] = {
        name: c.value for name, c in chosen_settings(workspace, options).items()
    }
    fetch_options = fetch_options_of(workspace, chosen, yt_dlp_options, allow_files)
    with contextlib.ExitStack() as stack:
        stream, name, base = stack.enter_context(_open_list(urls))
        if (workspace / DATABASE).exists() or not dry_run:
            space = stack.enter_context(_open(workspace))
            log_to_file(space.state_dir)
        else:
            nowhere = Path(stack.enter_context(TemporaryDirectory()))
            space = stack.enter_context(open_workspace(nowhere))
        entries = read_url_list(
            stream, name=name, allow_files=allow_files, base=base, strict_length=strict_length
        )
        checks: dict[str, Any] = {
            "list_name": name,
            "retry_failed": retry_failed,
            "skip_invalid": skip_invalid,
        }
        if dry_run:
            show_dry_run(plan_only(space, entries, **checks), as_json=as_json)
            return
        view = stack.enter_context(FetchView())
        report = fetch(
            space,
            entries,
            fetch_options,
            **checks,
            pacer=make_pacer(
                fetch_options.source, sleep_s=chosen["fetch.sleep_s"], on_pause=view.paused
            ),
            **run_options(chosen),
            settings={k: v for k, v in chosen.items() if k not in _PRIVATE},
            on_plan=view.plan,
            on_result=view.result,
            on_note=view.note,
        )
        view.close()
        if as_json:
            print_report_json(space, report)
        else:
            show_report(report)
    ctx.exit(3 if report.failed or report.not_tried else 0)


_PRIVATE = {"fetch.cookies", "fetch.proxy"}
"""Settings that may hold a secret: not kept with the run."""


def fetch_options_of(
    workspace: Path, chosen: dict[str, Any], yt_dlp_options: tuple[str, ...], allow_files: bool
) -> FetchOptions:
    """Turn settled settings into what the workers are told.

    Raises:
        SettingError: yt-dlp refuses one of them.
    """
    from mimecurate.curation.fetch_video import FetchOptions
    from mimecurate.curation.sources import SourceOptions, check_options
    from mimecurate.schemas.settings import yt_dlp_section

    value = {name.removeprefix("fetch."): v for name, v in chosen.items()}
    source = SourceOptions(
        max_height=value["max_height"],
        cookies=Path(value["cookies"]) if value["cookies"] else None,
        proxy=value["proxy"],
        retries=value["retries"],
        timeout_s=value["timeout_s"],
        allow_files=allow_files,
        player_client=value["player_client"],
        yt_dlp_options={**yt_dlp_section(workspace), **dict(map(_pair, yt_dlp_options))},
        limit_rate=value["limit_rate"],
        cache_dir=workspace.resolve() / ".mimecurate" / "yt-dlp",
        backoff_s=value["backoff_s"],
        backoff_max_s=value["backoff_max_s"],
        min_rate=value["min_rate"],
        max_bytes=value["max_bytes"],
    )
    check_options(source)
    return FetchOptions(
        clips_dir=workspace.resolve() / "clips",
        source=source,
        cut=value["cut"],
        max_height=value["max_height"],
        max_duration_ms=value["max_duration_s"] * 1000,
        max_clip_s=value["clip_timeout_s"],
    )


def run_options(chosen: dict[str, Any]) -> dict[str, Any]:
    """Turn settled settings into what `mimecurate.curation.fetch.fetch` is told of the run."""
    return {
        "workers": chosen["fetch.workers"],
        "where": chosen["fetch.engine"],
        "max_wait_s": chosen["fetch.max_wait_s"],
        "give_up_after": chosen["fetch.give_up_after"],
    }


def _pair(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--yt-dlp {text!r}: write KEY=VALUE")
    from mimecurate.curation.source_types import YT_DLP_OPTIONS

    if str in YT_DLP_OPTIONS.get(key, (str,)):
        return key, value
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _open(workspace: Path) -> Workspace:
    from mimecurate.console import say
    from mimecurate.curation.workspace import DATABASE, open_workspace

    if not (workspace / DATABASE).exists():
        say(f"making a new workspace in {workspace.resolve()}")
    return open_workspace(workspace)


@contextlib.contextmanager
def _open_list(urls: str) -> Iterator[tuple[BinaryIO, str, Path]]:
    """Open the list: the stream, its name, and the folder that relative paths are read from."""
    if urls == "-":
        yield sys.stdin.buffer, "standard input", Path.cwd()
        return
    path = Path(urls)
    try:
        stream = path.open("rb")
    except OSError as error:
        raise MimecurateError(f"--urls {urls}: {error.strerror}") from error
    with stream:
        yield stream, urls, path.resolve().parent

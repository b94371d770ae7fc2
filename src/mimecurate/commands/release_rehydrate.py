"""`mimecurate release rehydrate`: fetch what a release lists."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import (
    chosen_settings,
    json_option,
    setting_options,
    workspace_option,
)
from mimecurate.commands.release_view import MOST_SHOWN, working
from mimecurate.console import counted, print_json, print_table, say

if TYPE_CHECKING:
    from mimecurate.curation.release_edition import Edition
    from mimecurate.curation.release_rehydrate import Rehydration
    from mimecurate.curation.workspace import Workspace

_OUT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("rehydrate")
@click.argument("release", metavar="R")
@workspace_option
@setting_options("fetch")
@click.option("--retry-failed", is_flag=True, help="Ask again for what failed for good before.")
@click.option("--report-only", is_flag=True, help="Fetch nothing; report what is there.")
@click.option("--allow-files", is_flag=True, help="Let the release name local files.")
@click.option("--html", type=_OUT_FILE, help="Write the report as a page.")
@click.option("--available", type=_OUT_FILE, help="Write the clip ids that are there, one a line.")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    release: str,
    workspace: Path,
    retry_failed: bool,
    report_only: bool,
    allow_files: bool,
    html: Path | None,
    available: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Fetch what a release lists, and report what is left of it.

    R is NAME@VERSION of the workspace, or the path of an exported release. The report says how many
    of its clips are here, by reason, class and subset, and the digest of those to cite.

    \b
    Example:
      mimecurate release rehydrate mimetics@1.0.0
      mimecurate release rehydrate mimetics-1.1.0.zip --report-only --html left.html

    Exit status: 0 all there, 1 could not be done, 2 wrong usage, 3 some clips are missing.
    """
    from mimecurate.curation.release_edition import load_edition
    from mimecurate.curation.release_rehydrate import rehydration
    from mimecurate.curation.release_rehydrate_page import rehydration_page
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace) as space:
        if not report_only:
            edition = load_edition(release, workspace)
            _fetch(space, edition, options, retry_failed=retry_failed, allow_files=allow_files)
        with working("counting"):
            report = rehydration(space, load_edition(release, workspace))
    if html is not None:
        html.write_text(rehydration_page(report), "utf-8")
        say(f"wrote {html}")
    if available is not None:
        available.write_text("".join(f"{name}\n" for name in report.present_ids), "utf-8")
        say(f"wrote {available}")
    if as_json:
        print_json(report.as_json())
    else:
        _show_report(report)
    ctx.exit(0 if report.present == report.clips else 3)


def _fetch(
    space: Workspace,
    edition: Edition,
    options: dict[str, Any],
    *,
    retry_failed: bool,
    allow_files: bool,
) -> None:
    from mimecurate.commands.fetch import fetch_options_of as fetch_options
    from mimecurate.commands.fetch import run_options
    from mimecurate.commands.fetch_view import FetchView
    from mimecurate.console import log_to_file
    from mimecurate.curation.fetch import fetch
    from mimecurate.curation.release_rehydrate import clip_requests
    from mimecurate.curation.sources import make_pacer

    chosen: dict[str, Any] = {n: c.value for n, c in chosen_settings(space.root, options).items()}
    how = fetch_options(space.root, chosen, (), allow_files)
    log_to_file(space.state_dir)
    with contextlib.ExitStack() as stack:
        view = stack.enter_context(FetchView())
        fetch(
            space,
            clip_requests(space, edition),
            how,
            list_name=edition.reference,
            retry_failed=retry_failed,
            pacer=make_pacer(how.source, sleep_s=chosen["fetch.sleep_s"], on_pause=view.paused),
            **run_options(chosen),
            settings={"release": edition.reference},
            on_plan=view.plan,
            on_result=view.result,
            on_note=view.note,
        )


def _show_report(report: Rehydration) -> None:
    rows: list[tuple[object, ...]] = [("present", report.present)]
    rows += list(report.by_reason.items())
    print_table(["clips", "count"], rows)
    shares = [
        (kind, name, share.present, share.clips)
        for kind, group in (
            ("split", report.by_split),
            ("subset", report.by_subset),
            ("class", report.by_class),
        )
        for name, share in group.items()
        if kind != "class" or share.present < share.clips
    ]
    print_table(["", "name", "present", "listed"], shares)
    for clip in report.missing[:MOST_SHOWN]:
        say(f"missing: {clip.clip_id}: {clip.reason} {clip.message}".rstrip())
    if len(report.missing) > MOST_SHOWN:
        say(f"missing: and {len(report.missing) - MOST_SHOWN:,} more; --json or --html lists all")
    are = "is" if report.clips == 1 else "are"
    of = f"{report.present:,} of {counted(report.clips, 'clip')}"
    say(f"{of} of {report.reference} {are} here")
    say(f"cite: {report.reference} {report.digest}, present {report.present_digest}")

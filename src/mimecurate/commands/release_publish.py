"""`mimecurate release`: give releases to others, verify theirs, take clips down, fetch again."""

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
from mimecurate.console import counted, print_json, print_table, say

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from mimecurate.curation.release_edition import Edition
    from mimecurate.curation.release_rehydrate import Rehydration
    from mimecurate.curation.workspace import Workspace

_OUT_FILE = click.Path(dir_okay=False, path_type=Path)
_FORMATS = ("bundle", "kinetics", "parquet", "croissant", "huggingface", "fiftyone", "mmaction2")
_MOST_SHOWN = 20


def working(what: str) -> AbstractContextManager[object]:
    """Show on a terminal that something is going on."""
    from rich.console import Console

    return Console(stderr=True).status(what)


@click.command("withdraw")
@click.argument("name", metavar="NAME")
@click.option("--clip", "clips", multiple=True, metavar="CLIP_ID", help="May be repeated.")
@click.option(
    "--video", "videos", multiple=True, metavar="VIDEO_ID", help="All its clips; may be repeated."
)
@click.option("--reason", required=True, help="Why; it is published with the release.")
@click.option("--by", "decided_by", default="", metavar="WHO", help="Who decided it.")
@click.option("--yes", is_flag=True, help="Do not ask; the deletion can't be undone.")
@workspace_option
@json_option
def withdraw(
    name: str,
    clips: tuple[str, ...],
    videos: tuple[str, ...],
    reason: str,
    decided_by: str,
    yes: bool,
    workspace: Path,
    as_json: bool,
) -> None:
    """Take clips down.

    Deletes the media, what releases say of the clips, and the link and title of a video none of
    whose clips is left; and freezes the next MAJOR version without them. Their ids and the reason
    stay, and digests of earlier versions still verify.

    \b
    Example:
      mimecurate release withdraw mimetics --video 0zFbEjoGlhc --reason "asked by the owner"
    """
    from mimecurate.curation.release_withdraw import withdraw as take_down
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.schemas.release import check_reason

    try:
        check_reason(reason)
    except ValueError as error:
        raise click.UsageError(f"--reason: {error}") from error
    if not clips and not videos:
        raise click.UsageError("name what to withdraw with --clip or --video")
    if not yes:
        click.confirm("Media and links are deleted for good. Go on?", abort=True, err=True)
    with open_workspace(workspace) as space, working("withdrawing"):
        done = take_down(
            space, name, reason, clip_ids=clips, video_ids=videos, decided_by=decided_by
        )
    if as_json:
        print_json(
            {
                "release": done.reference,
                "digest": done.digest,
                "withdrawn": done.clips,
                "files_removed": done.files_removed,
                "also_listed_by": list(done.also_listed_by),
                "traces": done.traces,
            }
        )
    say(f"{counted(done.clips, 'clip')} withdrawn, {counted(done.files_removed, 'file')} deleted")
    say(f"frozen: {done.reference}" if done.reference else "the latest release lists none of them")
    for other in done.also_listed_by:
        say(f"{other} lists some of them too: mimecurate release withdraw {other.split('@')[0]} …")
    if done.traces:
        say(f"note: mimecurate.db may still hold traces of what was deleted: {done.traces};")
        say("      mend that and give the same line again")


@click.command("export")
@click.argument("release", metavar="R")
@click.option(
    "--format", "format_", type=click.Choice(_FORMATS), required=True, help="What to write."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="A new folder; for a bundle it may be a .zip.",
)
@workspace_option
@json_option
def export(release: str, format_: str, out: Path, workspace: Path, as_json: bool) -> None:
    """Write a release for others.

    bundle is complete and can be verified. huggingface, fiftyone and mmaction2 come with the clips
    whose media are in the workspace.

    \b
    Example:
      mimecurate release export mimetics@1.1.0 --format bundle --out mimetics-1.1.0.zip
      mimecurate release export mimetics@1.1.0 --format mmaction2 --out mmaction2/mimetics
    """
    from mimecurate.curation.release_edition import load_edition
    from mimecurate.curation.release_export import export_release

    with working("writing"):
        done = export_release(load_edition(release, workspace), format_, out)
    for notice in done.notices:
        say(f"note: {notice}")
    say(f"wrote {done.path}: {counted(done.files, 'file')}, {counted(done.bytes, 'byte')}")
    if as_json:
        print_json(
            {
                "path": str(done.path),
                "format": format_,
                "files": done.files,
                "bytes": done.bytes,
                "notices": done.notices,
            }
        )


@click.command("check")
@click.argument("path", metavar="PATH", type=click.Path(exists=True, path_type=Path))
@json_option
@click.pass_context
def check(ctx: click.Context, path: Path, as_json: bool) -> None:
    """Verify an exported release that somebody made or changed: a folder or .zip.

    Digest, checksums, rows, counts and Croissant; everything that is wrong is listed.

    \b
    Example:
      mimecurate release check mimetics-1.1.0.zip
    """
    from mimecurate.curation.release_bundle_check import check_bundle
    from mimecurate.errors import InvalidInputError

    try:
        with working("checking"):
            found = check_bundle(path)
    except InvalidInputError as error:
        if not as_json:
            raise
        problems = [
            {"message": p.message, "line": p.line, "column": p.column} for p in error.problems
        ]
        print_json({"ok": False, "problems": problems})
        ctx.exit(1)
    for part in found.not_checked:
        say(f"not checked: {part}")
    say(f"{found.reference} is whole: {counted(found.clips, 'clip')}, {found.withheld:,} withheld")
    if as_json:
        name, _, version = found.reference.partition("@")
        print_json(
            {
                "ok": True,
                "name": name,
                "version": version,
                "digest": found.digest,
                "clips": found.clips,
                "withheld": found.withheld,
                "files": found.files,
                "not_checked": list(found.not_checked),
            }
        )
    else:
        say(f"digest {found.digest}")


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
def rehydrate(
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
    for clip in report.missing[:_MOST_SHOWN]:
        say(f"missing: {clip.clip_id}: {clip.reason} {clip.message}".rstrip())
    if len(report.missing) > _MOST_SHOWN:
        say(f"missing: and {len(report.missing) - _MOST_SHOWN:,} more; --json or --html lists all")
    are = "is" if report.clips == 1 else "are"
    of = f"{report.present:,} of {counted(report.clips, 'clip')}"
    say(f"{of} of {report.reference} {are} here")
    say(f"cite: {report.reference} {report.digest}, present {report.present_digest}")

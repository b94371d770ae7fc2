"""`mimecurate clips`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.console import counted, print_csv, print_json, print_table, progress, say
from mimecurate.errors import MimecurateError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

    from mimecurate.curation.clips import ClipFilter

Command = TypeVar("Command", bound="Callable[..., object]")

SHORT_COLUMNS = ("clip_id", "label", "status", "reason", "duration_ms")
MOST_SHOWN = 60


def filter_options(command: Command) -> Command:
    """Add the options that choose clips; they arrive as ``wanted_…``."""
    for name, text in (
        ("video", "Only clips of this video id."),
        ("split", "Only clips of this split."),
        ("label", "Only clips of this class."),
    ):
        command = click.option(f"--{name}", f"wanted_{name}", help=text)(command)
    return click.option(
        "--reason",
        "wanted_reason",
        type=click.Choice([reason.value for reason in Reason]),
        metavar="REASON",
        help="Only clips that failed for this reason.",
    )(command)


@click.group("clips")
def command() -> None:
    """List, show, verify and export clips."""


@command.command("list")
@workspace_option
@filter_options
@click.option("--status", type=click.Choice(["fetched", "failed", "open"]), help="Only these.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N clips.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, with every column.")
@json_option
def list_(
    workspace: Path,
    status: str | None,
    limit: int | None,
    as_csv: bool,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """List clips, with what is known of each.

    \b
    Example:
      mimecurate clips list --status failed
      mimecurate clips list --label archery --json
    """
    from mimecurate.curation.clips import COLUMNS, find_clips
    from mimecurate.curation.workspace import open_workspace

    if as_csv and as_json:
        raise click.UsageError("use just one of --csv and --json")
    with open_workspace(workspace, read_only=True) as space:
        clips = find_clips(space.db, _filter(wanted, status), limit=limit)
        if as_csv:
            print_csv(COLUMNS, ([clip[c] for c in COLUMNS] for clip in clips))
        elif as_json:
            print_json(list(clips))
        else:
            columns = (
                ("clip_id", "label", "reason", "message", "url")
                if status == "failed"
                else SHORT_COLUMNS
            )
            rows = [[clip[c] for c in columns] for clip in clips]
            print_table(columns, rows)
            say(counted(len(rows), "clip"))


@command.command("show", short_help="Show clips: what is known, and a contact sheet.")
@click.argument("clip_ids", nargs=-1, metavar="[CLIP_ID]...")
@workspace_option
@filter_options
@click.option(
    "--frames", type=click.IntRange(1, 50), default=8, show_default=True, help="Per clip."
)
@click.option(
    "--height",
    type=click.IntRange(16, 1080),
    default=96,
    show_default=True,
    help="Of a frame, in lines.",
)
@click.option(
    "--png",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the picture here, and not to the terminal.",
)
@json_option
def show(
    clip_ids: tuple[str, ...],
    workspace: Path,
    frames: int,
    height: int,
    png: Path | None,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Show clips: what is known, and a contact sheet of evenly spaced frames.

    The sheet is drawn in the terminal where that can show colours, else written as a PNG. An id
    that begins with - goes after --.

    \b
    Example:
      mimecurate clips show 0zFbEjoGlhc_000006_000010
      mimecurate clips show --label archery --png archery.png
    """
    from mimecurate.curation.clips import find_clips
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        chosen = _filter(wanted, None, clip_ids)
        clips = list(find_clips(space.db, chosen, limit=MOST_SHOWN))
        if as_json:
            print_json(clips)
            return
        if not clips:
            raise MimecurateError(_nothing_found(clip_ids))
        if len(clips) == 1:
            print_table(
                ["what", "value"], [[k, v] for k, v in clips[0].items() if v not in {None, ""}]
            )
        _show_sheet(space.root, [c for c in clips if c["path"]], frames, height, png)
        if len(clips) == MOST_SHOWN:
            say(f"only the first {MOST_SHOWN} clips; choose with --label, --video or ids")


@command.command("verify")
@workspace_option
@filter_options
@click.option("--fast", is_flag=True, help="Compare checksums, do not decode.")
@click.option(
    "--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Clips at a time."
)
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    /,
    workspace: Path,
    fast: bool,
    workers: int,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Prove that every clip in the database is there, whole.

    Checks each file's checksum and decodes it to the end. A clip that fails is struck from the
    database's media, with the reason, so that the next fetch gets it again.

    \b
    Example:
      mimecurate clips verify --fast

    Exit status: 0 all whole, 3 some are not.
    """
    from mimecurate.curation.clips import count_clips
    from mimecurate.curation.recheck import recheck_clips
    from mimecurate.curation.workspace import open_workspace

    bad = []
    checked = 0
    with open_workspace(workspace) as space:
        chosen = _filter(wanted, "fetched")
        with progress("verifying", count_clips(space.db, chosen)) as bar:
            for result in recheck_clips(space, chosen, workers=workers, checksums_only=fast):
                checked += 1
                if result.problem:
                    bad.append(result)
                    bar.say(f"{result.clip_id}: {result.problem}")
                bar.advance()
    if as_json:
        problems = [{"clip_id": r.clip_id, "problem": r.problem} for r in bad]
        print_json({"checked": checked, "whole": checked - len(bad), "problems": problems})
    else:
        are = "is" if checked == 1 else "are"
        say(f"{checked - len(bad):,} of {counted(checked, 'clip')} {are} whole")
    ctx.exit(3 if bad else 0)


@command.command("duplicates")
@workspace_option
@click.option(
    "--max-distance",
    type=click.IntRange(0, 32),
    default=6,
    show_default=True,
    help="Bits of 64 in which two frames may differ and be the same.",
)
@json_option
def duplicates(workspace: Path, max_distance: int, as_json: bool) -> None:
    """Find clips that show the same thing.

    The same file, overlapping times of one video, or frames that are nearly the same (perceptual
    hash), across videos and within one. Nothing is changed.

    \b
    Example:
      mimecurate clips duplicates --json
    """
    from dataclasses import asdict

    from mimecurate.curation.duplicates import find_duplicates
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        total = space.db.execute("SELECT count(*) FROM media").fetchone()[0]
        with progress("comparing", total) as bar:
            done = 0

            def advance(now: int, _total: int) -> None:
                nonlocal done
                bar.advance(now - done)
                done = now

            pairs = find_duplicates(space.db, max_distance=max_distance, on_progress=advance)
    if as_json:
        print_json([asdict(pair) for pair in pairs])
        return
    columns = ("first", "second", "kind", "distance", "same_video")
    print_table(columns, [[getattr(pair, c) for c in columns] for pair in pairs])
    say(f"{counted(len(pairs), 'pair')} among {counted(total, 'clip')}")


@command.command("export")
@workspace_option
@filter_options
@click.option(
    "--layout",
    type=click.Choice(["kinetics"]),
    default="kinetics",
    show_default=True,
    help="How to lay files out.",
)
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder."
)
@json_option
@click.pass_context
def export(
    ctx: click.Context,
    /,
    workspace: Path,
    layout: str,
    out: Path,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Lay fetched clips out in class folders.

    `kinetics`: OUT/<class>/<clip_id>.mp4, as hard links where the file system has them.

    \b
    Example:
      mimecurate clips export --layout kinetics --out dataset
    """
    from mimecurate.curation.clip_export import export_kinetics
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace, read_only=True) as space:
        done = export_kinetics(space, out, _filter(wanted, "fetched"))
    for problem in done.problems:
        say(problem)
    if as_json:
        numbers = {"linked": done.made, "present": done.there, "problems": list(done.problems)}
        print_json({"out": str(out), **numbers})
    else:
        say(f"{counted(done.made, 'clip')} laid out in {out}, {done.there:,} there already")
    ctx.exit(3 if done.problems else 0)


def _filter(
    wanted: dict[str, str | None], status: str | None, clip_ids: tuple[str, ...] = ()
) -> ClipFilter:
    from mimecurate.curation.clips import ClipFilter

    return ClipFilter(
        status=status,
        reason=wanted["wanted_reason"],
        label=wanted["wanted_label"],
        split=wanted["wanted_split"],
        video_id=wanted["wanted_video"],
        clip_ids=clip_ids,
    )


def _nothing_found(clip_ids: tuple[str, ...]) -> str:
    if not clip_ids:
        return "no clip is like that; `mimecurate clips list` lists those there are"
    names = ", ".join(map(repr, clip_ids))
    return (
        f"no clip {names}: an id is VIDEO_START_END, such as 0zFbEjoGlhc_000006_000010; "
        "`mimecurate clips list` lists those there are"
    )


def sheet_of(
    root: Path, clips: list[dict[str, object]], *, frames: int, height: int
) -> Image.Image:
    """Lay out a contact sheet of clips of a workspace."""
    from mimecurate.curation.contact_sheet import contact_sheet, evenly_spaced_frames

    return contact_sheet(
        (
            (
                f"{clip['label'] or ''}  {clip['clip_id']}".strip(),
                evenly_spaced_frames(root / str(clip["path"]), frames, height=height),
            )
            for clip in clips
        ),
        height=height,
    )


def _show_sheet(
    root: Path, clips: list[dict[str, object]], frames: int, height: int, png: Path | None
) -> None:
    if not clips:
        say("nothing was fetched of these yet")
        return
    sheet = sheet_of(root, clips, frames=frames, height=height)
    if png is None and sys.stdout.isatty():
        draw_in_terminal(sheet)
        return
    target = png or root / "contact-sheet.png"
    sheet.save(target, format="PNG")
    say(f"wrote {target}")


def draw_in_terminal(sheet: Image.Image) -> None:
    """Draw a picture in the terminal, two pixels a character."""
    from rich.console import Console
    from rich_pixels import Pixels

    console = Console()
    width = min(console.width, sheet.width)
    console.print(
        Pixels.from_image(sheet, resize=(width, round(sheet.height * width / sheet.width)))
    )

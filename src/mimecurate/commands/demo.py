"""`mimecurate demo`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mimecurate.console import counted, progress, say

if TYPE_CHECKING:
    from mimecurate.curation.demo_films import Film
    from mimecurate.curation.workspace import Workspace

MARK = "made-by-demo"


@click.command("demo")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-workspace"),
    show_default=True,
    help="The workspace to make; one that an earlier demo made is replaced.",
)
@click.option(
    "--also",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of MP4 files to fetch as well; each file's name is its class.",
)
def command(out: Path, also: Path | None) -> None:
    """Run the whole loop on this machine, offline.

    Draws small films, serves them over loopback beside links that are dead, busy or broken, fetches
    a list that names them all, labels the clips in a local Label Studio, freezes a release and
    scores a baseline. Every number is measured in this run.

    \b
    Example:
      mimecurate demo --out /tmp/demo
    """
    from mimecurate.commands.demo_annotate import annotate, decide, run_command
    from mimecurate.commands.demo_discover import find_candidates
    from mimecurate.commands.demo_scores import NAME, VERSION
    from mimecurate.curation.demo_films import KINDS, make_films, write_list
    from mimecurate.curation.loopback import LoopbackServer
    from mimecurate.curation.sample_actions import ACTIONS
    from mimecurate.curation.workspace import open_workspace

    _make_room(out)
    served = out / "served"
    real = tuple(sorted(also.glob("*.mp4"))) if also else ()
    with progress("drawing films", len(KINDS) * len(ACTIONS), unit="films") as bar:
        films = make_films(served, bar.advance)
    with LoopbackServer(served) as server, open_workspace(out) as workspace:
        count = write_list(out / "list.csv", films, server, real)
        say("\n1. Find candidates: queries of the shipped set, over the films' titles")
        find_candidates(workspace, films, server)
        say(f"\n2. Fetch: {out}/list.csv has {count} entries, served at {server.address}\n")
        _fetch(workspace, out / "list.csv")
        say("\n3. Look at them\n")
        _show_clips(workspace, films)
        truth = _drawn_clips(workspace, films)
        say("\n4. Label them in Label Studio, twice each")
        annotate(workspace, truth)
        say("\n5. Settle what is left, and freeze a release")
        decide(workspace, truth, out / "decisions.csv")
        run_command(workspace, f"release create --name {NAME} --version {VERSION}")
        say("\n6. See which queries paid")
        run_command(workspace, "discover economics --by template")
        say("\n7. Score a baseline that sees no motion: the nearest frame, by perceptual hash\n")
        _score(workspace)
    say(f"\nIt is all in {out}; try: {sys.argv[0]} clips list -w {out}")


def _make_room(out: Path) -> None:
    import shutil

    from mimecurate.errors import MimecurateError

    if out.exists() and any(out.iterdir()):
        if not (out / MARK).is_file():
            raise MimecurateError(f"{out} is not empty, and no earlier demo made it; choose --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    (out / MARK).touch()


def _fetch(workspace: Workspace, urls: Path) -> None:
    from mimecurate.commands.fetch_view import FetchView, show_report
    from mimecurate.curation.fetch import fetch
    from mimecurate.curation.fetch_video import FetchOptions
    from mimecurate.curation.sources import SourceOptions, make_pacer
    from mimecurate.curation.url_list import read_url_list

    options = FetchOptions(
        clips_dir=workspace.clips_dir.resolve(),
        source=SourceOptions(retries=2, backoff_s=0.2, timeout_s=5),
        cut="smart",
        max_height=None,
        max_duration_ms=60_000,
    )
    with urls.open("rb") as stream, FetchView() as view:
        report = fetch(
            workspace,
            read_url_list(stream, name=str(urls)),
            options,
            pacer=make_pacer(options.source, on_pause=view.paused),
            skip_invalid=True,
            on_plan=view.plan,
            on_result=view.result,
            on_note=view.note,
        )
        view.close()
        show_report(report)


def _show_clips(workspace: Workspace, films: tuple[Film, ...]) -> None:
    """Draw a contact sheet of one clip of each film, and say where it is."""
    from mimecurate.commands.clips import draw_in_terminal, sheet_of
    from mimecurate.curation.clips import ClipFilter, find_clips
    from mimecurate.curation.demo_films import video_id_of

    wanted = {video_id_of(film) for film in films}
    seen: dict[object, dict[str, object]] = {}
    for clip in find_clips(workspace.db, ClipFilter(status="fetched")):
        if clip["video_id"] in wanted:
            seen.setdefault(clip["video_id"], clip)
    sheet = sheet_of(workspace.root, list(seen.values()), frames=8, height=96)
    target = workspace.root / "contact-sheet.png"
    sheet.save(target)
    if sys.stdout.isatty():
        draw_in_terminal(sheet.crop((0, 0, sheet.width, sheet.height // 4)))
    say(f"{target}: {counted(len(seen), 'clip')}, eight frames each")


def _drawn_clips(workspace: Workspace, films: tuple[Film, ...]) -> dict[str, Film]:
    """Return the film of each test clip that was fetched, by clip id."""
    from mimecurate.curation.demo_films import video_id_of

    drawn = {video_id_of(film): film for film in films if film.split == "test"}
    rows = workspace.db.execute(
        "SELECT clip_id, video_id FROM clip_status WHERE split = 'test' AND status = 'fetched' "
        "ORDER BY clip_id"
    )
    return {clip_id: drawn[video_id] for clip_id, video_id in rows.fetchall()}


def _score(workspace: Workspace) -> None:
    from mimecurate.commands.demo_scores import NAME, VERSION, score_by_nearest_frame
    from mimecurate.commands.report_view import show_report
    from mimecurate.curation.release_read import load_release
    from mimecurate.evaluation.evaluate import build_report
    from mimecurate.evaluation.predictions import load_predictions
    from mimecurate.evaluation.report_html import write_report

    scores = score_by_nearest_frame(workspace.db, workspace.root / "nearest_frame.npz")
    release = load_release(f"{NAME}@{VERSION}", workspace.root)
    report = build_report([load_predictions(scores)], release)
    show_report(report)
    page = workspace.root / "report.html"
    write_report(report, page, workspace.clips_dir)
    say(f"{page}: the same as a page, with the clips that it gets wrong playing in it")

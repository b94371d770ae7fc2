"""`mimecurate links`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import (
    chosen_settings,
    json_option,
    setting_options,
    workspace_option,
)
from mimecurate.console import counted, print_json, print_table, progress, say

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.links import LinkCheck, LinkState, VideoLink


_OF_MEDIA = {
    f"fetch_{name}"
    for name in (
        "cut",
        "engine",
        "clip_timeout_s",
        "give_up_after",
        "max_bytes",
        "max_duration_s",
        "max_height",
        "max_wait_s",
    )
}
"""Settings of ``fetch`` that mean nothing where links are only asked for."""


@click.group("links")
def command() -> None:
    """See whether the sources are still there."""


@command.command("check")
@click.option("--release", "reference", metavar="R", help="Only videos of NAME@VERSION.")
@click.option(
    "--gone-after",
    "gone_after_days",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    metavar="DAYS",
    help="Different days on which a video must be found gone.",
)
@click.option("--again", is_flag=True, help="Also ask where an answer is younger than 20 hours.")
@click.option("--no-ask", is_flag=True, help="Ask nobody; show what is known.")
@workspace_option
@setting_options("fetch")
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    /,
    reference: str | None,
    gone_after_days: int,
    again: bool,
    no_ask: bool,
    workspace: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Ask for each video whether it is still there, and keep the answer.

    A video counts as gone only after it was found gone on several days. A rate limit or a bot check
    is never "gone": it says something of us. Run it once a day, e.g. by cron.

    \b
    Example:
      mimecurate links check --release mimetics@1.0.0

    Exit status: 0 all are there, 3 some are not or nobody knows.
    """
    from mimecurate.curation.links import LinkState, check_links, link_states
    from mimecurate.curation.release_read import find_release
    from mimecurate.curation.workspace import open_workspace

    with open_workspace(workspace) as space:
        release_id = find_release(space.db, reference)["release_id"] if reference else None
        run = None
        if not no_ask:
            chosen = {n: c.value for n, c in chosen_settings(workspace, options).items()}
            probe = _probe(workspace, chosen)
            with progress("asking", None, unit="videos") as bar:
                run = check_links(
                    space,
                    probe,
                    release_id,
                    workers=int(chosen["fetch.workers"] or 1),
                    again=again,
                    on_progress=lambda done, total: bar.advance(),
                )
        links = list(link_states(space.db, release_id, gone_after_days=gone_after_days))
    if run is not None:
        _say_run(run)
    states = Counter(link.state for link in links)
    if as_json:
        print_json(_as_json(run, states, links))
    else:
        _show(states, links)
    ctx.exit(0 if states[LinkState.OK] == len(links) else 3)


check.params = [option for option in check.params if option.name not in _OF_MEDIA]


def _say_run(run: LinkCheck) -> None:
    if run.not_asked:
        say(f"the site refuses us: {counted(run.not_asked, 'video')} not asked; run again later")
    answers = ", ".join(f"{n:,} {outcome}" for outcome, n in sorted(run.outcomes.items()))
    said = f" ({answers})" if answers else ""
    say(f"asked for {counted(run.asked, 'video')}{said}; fresh answers: {run.skipped:,}")


def _as_json(
    run: LinkCheck | None, states: Counter[LinkState], links: list[VideoLink]
) -> dict[str, object]:
    from dataclasses import asdict

    from mimecurate.curation.links import LinkState

    return {
        "asked": run.asked if run else 0,
        "skipped": run.skipped if run else 0,
        "not_asked": run.not_asked if run else 0,
        "outcomes": run.outcomes if run else {},
        "states": {state: states[state] for state in LinkState},
        "videos": [asdict(link) for link in links],
    }


def _show(states: Counter[LinkState], links: list[VideoLink]) -> None:
    from mimecurate.curation.links import LinkState

    print_table(["state", "videos"], [(state, states[state]) for state in LinkState])
    others = [link for link in links if link.state is not LinkState.OK]
    if others:
        columns = ["video", "state", "why", "as of"]
        print_table(columns, [(o.video_id, o.state, o.reason, o.as_of) for o in others])


def _probe(workspace: Path, chosen: dict[str, Any]) -> Any:
    """Make the function that asks for one video, politely for the whole run."""
    from mimecurate.commands.fetch import fetch_options_of as fetch_options
    from mimecurate.curation.sources import make_pacer, resolve

    source = fetch_options(workspace, chosen, (), False).source
    pacer = make_pacer(source, sleep_s=chosen["fetch.sleep_s"])
    return lambda url: resolve(url, source, pacer, lambda: None)

"""Send what is in dispute to Label Studio, as a round of adjudication that shows all answers.

What is answered there becomes a decision: see `mimecurate.annotation.adjudicate.take_over_answers`.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from mimecurate.annotation.adjudicate_answers import answers_html, shown_answers
from mimecurate.annotation.push import PushOptions, PushPlan, push
from mimecurate.annotation.round_clips import RoundClips
from mimecurate.annotation.rounds import find_round
from mimecurate.annotation.screen import build_screen, workspace_classes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from sqlite_utils import Database

    from mimecurate.annotation.adjudicate import Dispute
    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.push import Pushed
    from mimecurate.curation.workspace import Workspace

ROUND = "adjudication"


def push_disputes(
    workspace: Workspace,
    connection: Connection,
    disputes: Sequence[Dispute],
    *,
    anonymous: bool = False,
    media_url: str | None = None,
    clips_dir: Path | None = None,
    advance: Callable[[int], object] = lambda done: None,
    say: Callable[[str], object] = lambda line: None,
) -> Pushed:
    """Bring clips in dispute to the project of adjudication; each once, however often it is run.

    Args:
        workspace: an open workspace.
        connection: to the server.
        disputes: the clips, at least one.
        anonymous: hide who said what.
        media_url: where else clips are, as in `mimecurate.annotation.push.PushOptions`.
        clips_dir: the folder of the clips as the server sees it.
        advance: told how many more tasks are settled.
        say: told what a person should know at once.

    Raises:
        ServerError: the server refuses, or is gone; what arrived is kept.
    """
    plan = PushPlan(
        PushOptions(round=_round(workspace.db), media_url=media_url, clips_dir=clips_dir),
        build_screen(workspace_classes(workspace.db), shows_answers=True),
        RoundClips(tuple(dispute.clip_id for dispute in disputes), {}),
        (None,),
        None,
        kind="adjudication",
        answers={
            dispute.clip_id: answers_html(shown_answers(workspace.db, dispute, anonymous=anonymous))
            for dispute in disputes
        },
    )
    return push(workspace, connection, plan, advance=advance, say=say)


def _round(db: Database) -> str:
    """Name the round of adjudication; a round of annotation may have taken its name."""
    for number in count(1):
        name = ROUND if number == 1 else f"{ROUND} {number}"
        known = find_round(db, name)
        if known is None or known.kind == "adjudication":
            return name
    raise AssertionError

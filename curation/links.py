"""Are the sources still there? `mimecurate links check`.

Every answer is kept, with its day. A video counts as gone only when it was found gone on several
days and never since in between; a rate limit or a bot check never counts, for it says something of
us and not of the video.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from mimecurate.curation import engine
from mimecurate.errors import ClipError, Reason
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlite_utils import Database

    from mimecurate.curation.workspace import Workspace

logger = logging.getLogger(__name__)

GONE_AFTER_DAYS = 3
"""On how many different days a video has to be found gone."""
BLOCKED_IN_A_ROW = 10
"""After so many refusals of us in a row, a run stops asking."""
FRESH_HOURS = 20
"""An answer so young is not asked for again."""

Probe = Callable[[str], object]
"""Asks for the video behind a link; raises `ClipError` with the reason why it can't be had."""


class LinkState(StrEnum):
    """What is known of a video's source."""

    OK = "ok"
    GONE = "gone"
    RESTRICTED = "restricted"
    """There, but not for everybody: age, country, members."""
    BLOCKED_US = "blocked_us"
    """The site refused us: a rate limit, a bot check, a login."""
    UNKNOWN = "unknown"


_STATES = {
    Reason.UNAVAILABLE: LinkState.GONE,
    Reason.PRIVATE: LinkState.GONE,
    Reason.REMOVED: LinkState.GONE,
    Reason.AGE_RESTRICTED: LinkState.RESTRICTED,
    Reason.GEO_BLOCKED: LinkState.RESTRICTED,
    Reason.MEMBERS_ONLY: LinkState.RESTRICTED,
    Reason.RATE_LIMITED: LinkState.BLOCKED_US,
    Reason.LOGIN_REQUIRED: LinkState.BLOCKED_US,
}
_TELLING = {LinkState.OK, LinkState.GONE, LinkState.RESTRICTED}
"""Outcomes that say something of the video."""


class Evidence(NamedTuple):
    """One answer."""

    at: str
    outcome: LinkState
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class VideoLink:
    """What is known of a video's source, from all answers together."""

    video_id: str
    state: LinkState
    reason: str | None
    """Why, where it isn't ``ok``."""
    as_of: str | None
    """When the answer came that the state rests on; None if nobody ever asked."""
    checked_at: str | None
    """When somebody last asked."""
    gone_days: int
    """On how many days it was found gone since it was last there."""


@dataclass(frozen=True, slots=True)
class LinkCheck:
    """What a run asked and learnt."""

    asked: int
    skipped: int
    """Videos with a fresh answer."""
    not_asked: int
    """Videos left when the run stopped because the site refuses us."""
    outcomes: dict[str, int]
    """Answers of this run, by outcome."""


def outcome_of(reason: Reason) -> LinkState:
    """Say what a failure tells of the video.

    >>> outcome_of(Reason.PRIVATE), outcome_of(Reason.RATE_LIMITED), outcome_of(Reason.TIMEOUT)
    (<LinkState.GONE: 'gone'>, <LinkState.BLOCKED_US: 'blocked_us'>, <LinkState.UNKNOWN: 'unknown'>)
    """
    return _STATES.get(reason, LinkState.UNKNOWN)


def judge(
    video_id: str, evidence: Sequence[Evidence], gone_after_days: int = GONE_AFTER_DAYS
) -> VideoLink:
    """Judge a video by all answers.

    The last answer that says something of the video counts; ``gone`` only if all answers of that
    kind since it was last there came on at least ``gone_after_days`` days, else the state is
    ``unknown``.

    Args:
        video_id: the video.
        evidence: the answers, oldest first.
        gone_after_days: on how many days it has to be found gone.
    """
    if not evidence:
        return VideoLink(video_id, LinkState.UNKNOWN, "never checked", None, None, 0)
    last = evidence[-1]
    telling = [e for e in evidence if e.outcome in _TELLING]
    if not telling:
        return VideoLink(video_id, last.outcome, last.reason, last.at, last.at, 0)
    newest = telling[-1]
    gone_days: set[str] = set()
    for answer in reversed(telling):
        if answer.outcome is not LinkState.GONE:
            break
        gone_days.add(answer.at[:10])
    days = len(gone_days)
    state, reason = newest.outcome, newest.reason
    if state is LinkState.GONE and days < gone_after_days:
        state = LinkState.UNKNOWN
        reason = f"{reason or 'gone'}, on {days} of {gone_after_days} days"
    return VideoLink(video_id, state, reason, newest.at, last.at, days)


def link_states(
    db: Database, release_id: int | None = None, *, gone_after_days: int = GONE_AFTER_DAYS
) -> Iterator[VideoLink]:
    """Judge the videos of a release, or all of the workspace that have a link.

    Args:
        db: the workspace's database.
        release_id: the release's row in ``releases``; None: all videos.
        gone_after_days: on how many days a video has to be found gone.
    """
    rows = db.execute(
        f"SELECT wanted.video_id, at, outcome, reason, message FROM ({_wanted(release_id)}) AS "
        "wanted LEFT JOIN link_evidence USING (video_id) ORDER BY wanted.video_id, at",
        {"release_id": release_id},
    )
    for video_id, group in groupby(rows, key=itemgetter(0)):
        evidence = [
            Evidence(at, LinkState(outcome), reason, message)
            for _, at, outcome, reason, message in group
            if at is not None
        ]
        yield judge(video_id, evidence, gone_after_days)


def check_links(
    workspace: Workspace,
    probe: Probe,
    release_id: int | None = None,
    *,
    workers: int = 2,
    again: bool = False,
    on_progress: Callable[[int, int | None], None] | None = None,
) -> LinkCheck:
    """Ask for every video of a release, or of the workspace, and keep the answers.

    A run that was stopped goes on where it stopped: videos with an answer of the last twenty hours
    are not asked again.

    Args:
        workspace: the workspace.
        probe: asks; see `Probe`. Called from several threads.
        release_id: the release's row in ``releases``; None: all videos with a link.
        workers: videos at a time.
        again: also ask where the answer is fresh.
        on_progress: called with the videos asked, and how many there are to ask.
    """
    db = workspace.db
    with workspace.lock("links", "links check"):
        videos = db.execute(
            f"SELECT video_id, url, EXISTS (SELECT 1 FROM link_checks WHERE "
            "link_checks.video_id = wanted.video_id AND outcome IN ('ok', 'gone', 'restricted') "
            f"AND at > strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-{FRESH_HOURS} hours')) "
            f"FROM ({_wanted(release_id)}) AS wanted WHERE url IS NOT NULL ORDER BY video_id",
            {"release_id": release_id},
        ).fetchall()
        todo = [(video_id, url) for video_id, url, fresh in videos if again or not fresh]
        outcomes: dict[str, int] = {}
        blocked = 0
        for video_id, found in _ask(probe, todo, workers):
            _record(db, video_id, found)
            outcomes[found.outcome] = outcomes.get(found.outcome, 0) + 1
            asked = sum(outcomes.values())
            if on_progress is not None:
                on_progress(asked, len(todo))
            blocked = blocked + 1 if found.outcome is LinkState.BLOCKED_US else 0
            if blocked == BLOCKED_IN_A_ROW:
                logger.warning("refused %d times in a row; no more is asked", blocked)
                break
    asked = sum(outcomes.values())
    return LinkCheck(asked, len(videos) - len(todo), len(todo) - asked, outcomes)


def _wanted(release_id: int | None) -> str:
    if release_id is None:
        return "SELECT video_id, url FROM videos WHERE url IS NOT NULL"
    return (
        "SELECT DISTINCT video_id, url FROM release_clips AS listed JOIN release_rows AS row "
        "ON row.clip_id = listed.clip_id AND row.row_hash = listed.row_hash "
        "JOIN videos USING (video_id) WHERE release_id = :release_id"
    )


def _ask(
    probe: Probe, todo: Iterable[tuple[str, str]], workers: int
) -> Iterator[tuple[str, Evidence]]:
    for outcome in engine.map(partial(_answer, probe), todo, workers=workers):
        if outcome.error is not None:
            raise outcome.error
        assert outcome.value is not None
        yield outcome.item[0], outcome.value


def _answer(probe: Probe, video: tuple[str, str]) -> Evidence:
    try:
        probe(video[1])
    except ClipError as error:
        return Evidence(now(), outcome_of(error.reason), error.reason, str(error)[:500])
    return Evidence(now(), LinkState.OK)


def _record(db: Database, video_id: str, found: Evidence) -> None:
    with db.atomic():
        db.execute(
            "INSERT INTO link_checks (video_id, at, outcome, reason, message) "
            "VALUES (?, ?, ?, ?, ?)",
            [video_id, found.at, found.outcome, found.reason, found.message],
        )

"""What is left of a release: fetch what it lists, and report n of N by reason, class and subset."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mimecurate.curation.links import GONE_AFTER_DAYS, link_states
from mimecurate.curation.url_list import ClipRequest
from mimecurate.schemas.database import now
from mimecurate.schemas.digest import release_digest, row_hash
from mimecurate.schemas.ids import YOUTUBE_ID, youtube_url
from mimecurate.schemas.subsets import subset_clip_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mimecurate.curation.release_edition import Edition
    from mimecurate.curation.workspace import Workspace
    from mimecurate.schemas.release import ReleasedClip

NOT_TRIED, WITHDRAWN, NO_LINK = "not_tried", "withdrawn", "no_link"
"""Reasons that are not a source's: nobody asked yet, the release withheld it, no link is known."""


@dataclass(frozen=True, slots=True)
class MissingClip:
    """A clip that is not there, and why."""

    clip_id: str
    label: str | None
    """None: withdrawn."""
    reason: str
    message: str
    link: str
    """State of its video's source: see `LinkState`."""


@dataclass(frozen=True, slots=True)
class Share:
    """How much of a class, subset or split is there."""

    present: int
    clips: int


@dataclass(frozen=True, slots=True)
class Rehydration:
    """What is left of a release, in this workspace at this time."""

    reference: str
    digest: str
    """The release's."""
    present_digest: str
    """The digest that a release of just the clips that are there would have: cite it with them."""
    at: str
    clips: int
    present: int
    by_reason: dict[str, int]
    by_class: dict[str, Share]
    by_subset: dict[str, Share]
    by_split: dict[str, Share]
    missing: list[MissingClip] = field(default_factory=list)
    present_ids: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return what ``release rehydrate --json`` prints."""
        name, _, version = self.reference.partition("@")
        document = asdict(self)
        del document["reference"], document["digest"], document["present_ids"]
        return {"release": {"name": name, "version": version, "digest": self.digest}, **document}


def clip_requests(workspace: Workspace, edition: Edition) -> Iterator[ClipRequest]:
    """Ask for every clip of a release that has a link, as a list of clips would.

    Clips that were withdrawn here are not asked for, even if an older export still lists them.
    """
    withdrawn = {name for (name,) in workspace.db.execute("SELECT clip_id FROM withdrawals")}
    for number, clip in enumerate(edition.release.clips, 1):
        url = link_of(clip)
        if url is not None and clip.clip_id not in withdrawn:
            yield ClipRequest(
                number, url, clip.video_id, clip.start_ms, clip.end_ms, clip.label, clip.split
            )


def link_of(clip: ReleasedClip) -> str | None:
    """Return where a clip's video is, None if nobody knows.

    >>> from mimecurate.schemas.release import ReleasedClip
    >>> link_of(ReleasedClip("c", "0zFbEjoGlhc", 0, 1, "archery", "test"))
    'https://www.youtube.com/watch?v=0zFbEjoGlhc'
    """
    if clip.url is None and YOUTUBE_ID.fullmatch(clip.video_id):
        return youtube_url(clip.video_id)
    return clip.url


def rehydration(
    workspace: Workspace, edition: Edition, *, gone_after_days: int = GONE_AFTER_DAYS
) -> Rehydration:
    """Report what of a release is in the workspace, and why the rest is not.

    A clip is present if its media are recorded as verified and the file is there.

    Args:
        workspace: the workspace.
        edition: the release, with the media that are in the workspace.
        gone_after_days: on how many days a video has to be found gone.
    """
    release = edition.release
    present = {clip.clip_id for clip in release.clips if clip.clip_id in edition.media}
    missing = list(_missing(workspace, edition, gone_after_days))
    entries = [(c.clip_id, row_hash(c), c.split) for c in release.clips if c.clip_id in present]
    kept = {clip.label for clip in release.clips if clip.clip_id in present}
    total = len(release.clips) + len(release.withheld)
    return Rehydration(
        edition.reference,
        release.digest,
        release_digest([c for c in release.classes if c.name in kept], entries),
        now(),
        total,
        len(present),
        dict(sorted(Counter(clip.reason for clip in missing).items())),
        _shares(((clip.label, clip.clip_id) for clip in release.clips), present),
        {
            name: Share(len(present.intersection(clip_ids)), len(clip_ids))
            for name, clip_ids in subset_clip_ids(release).items()
        },
        _shares(((clip.split, clip.clip_id) for clip in release.clips), present),
        missing,
        sorted(present),
    )


def _shares(members: Iterable[tuple[str, str]], present: set[str]) -> dict[str, Share]:
    clips: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for name, clip_id in members:
        clips[name] += 1
        there[name] += clip_id in present
    return {name: Share(there[name], clips[name]) for name in sorted(clips)}


def _missing(workspace: Workspace, edition: Edition, gone_after_days: int) -> Iterator[MissingClip]:
    release = edition.release
    absent = [clip for clip in release.clips if clip.clip_id not in edition.media]
    failures = _failures(workspace, absent)
    states = {
        link.video_id: link.state
        for link in link_states(workspace.db, gone_after_days=gone_after_days)
    }
    withdrawn = dict(workspace.db.execute("SELECT clip_id, reason FROM withdrawals").fetchall())
    for clip in absent:
        reason, message = failures.get(clip.clip_id, (NOT_TRIED, ""))
        if link_of(clip) is None:
            reason, message = NO_LINK, ""
        if clip.clip_id in withdrawn:
            reason, message = WITHDRAWN, withdrawn[clip.clip_id]
        link = states.get(clip.video_id, "unknown")
        yield MissingClip(clip.clip_id, clip.label, reason, message, link)
    for clip_id, why in release.withheld.items():
        yield MissingClip(clip_id, None, WITHDRAWN, why, "unknown")


def _failures(workspace: Workspace, absent: Sequence[ReleasedClip]) -> dict[str, tuple[str, str]]:
    wanted = {clip.clip_id for clip in absent}
    rows = workspace.db.execute(
        "SELECT clip_id, reason, message FROM clip_status WHERE status = 'failed'"
    )
    return {
        clip_id: (reason, message or "") for clip_id, reason, message in rows if clip_id in wanted
    }

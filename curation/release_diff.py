"""Compare two releases: `mimecurate release diff`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mimecurate.schemas.versions import Change, Version

if TYPE_CHECKING:
    from sqlite_utils import Database

    from mimecurate.curation.release_read import Row

FLAGS = ("mime_artist", "object_relevant", "scene_relevant")


@dataclass(frozen=True, slots=True)
class Summary:
    """How many clips and classes differ; a re-trimmed clip is one added and one removed."""

    added: int
    removed: int
    changed: int
    classes_added: int
    classes_removed: int
    classes_changed: int

    @property
    def change(self) -> Change:
        """What the differences are in a version's terms."""
        if self.removed or self.changed or self.classes_removed or self.classes_changed:
            return Change.MAJOR
        return Change.MINOR if self.added or self.classes_added else Change.PATCH

    def __str__(self) -> str:
        """``3 clips added, 1 changed``."""
        words = {
            "clips added": self.added,
            "clips removed": self.removed,
            "clips changed": self.changed,
            "classes added": self.classes_added,
            "classes removed": self.classes_removed,
            "classes changed": self.classes_changed,
        }
        return ", ".join(f"{n:,} {word}" for word, n in words.items() if n) or "no differences"


class Changed(NamedTuple):
    """A field of a clip or class, before and after."""

    name: str
    before: str | None
    after: str | None


class Reflagged(NamedTuple):
    """A flag of a clip, before and after."""

    clip_id: str
    flag: str
    before: str | None
    after: str | None


class Retrimmed(NamedTuple):
    """Two clips of one video and class that overlap: the interval was changed."""

    before: str
    after: str


@dataclass(slots=True)
class ReleaseDiff:
    """What differs between release ``a`` and release ``b``, sorted by clip id."""

    a: str
    b: str
    same: int = 0
    """Clips that are alike in both."""
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    relabelled: list[Changed] = field(default_factory=list)
    reflagged: list[Reflagged] = field(default_factory=list)
    retrimmed: list[Retrimmed] = field(default_factory=list)
    moved: list[Changed] = field(default_factory=list)
    """Clips in another split."""
    withheld: list[str] = field(default_factory=list)
    """Clips that differ, nobody can say any more in what."""
    classes_added: list[str] = field(default_factory=list)
    classes_removed: list[str] = field(default_factory=list)
    classes_changed: list[str] = field(default_factory=list)
    change: Change = Change.PATCH
    proposed: str | None = None
    """The version that ``b`` should have after ``a``; None if their names differ."""

    def as_json(self) -> dict[str, object]:
        """Return what ``release diff --json`` prints."""
        document = asdict(self)
        document["change"] = self.change.name
        for key in ("relabelled", "moved"):
            document[key] = [{"clip_id": c[0], "from": c[1], "to": c[2]} for c in document[key]]
        document["reflagged"] = [
            {"clip_id": r[0], "flag": r[1], "from": r[2], "to": r[3]} for r in document["reflagged"]
        ]
        document["retrimmed"] = [{"from": r[0], "to": r[1]} for r in document["retrimmed"]]
        return document


_RELEASED = "(SELECT clip_id, row_hash, split FROM release_clips WHERE release_id = {})"
_CLASSES = "(SELECT name, object_size, scene FROM release_classes WHERE release_id = {})"


def summarize_staged(db: Database, parent: int | None) -> Summary:
    """Count what differs between a release (None: an empty one) and what is staged."""
    released = _RELEASED.format(int(parent or 0))
    added, changed = db.execute(
        "SELECT coalesce(sum(old.clip_id IS NULL), 0), coalesce(sum(old.clip_id IS NOT NULL), 0) "
        f"FROM staged LEFT JOIN {released} AS old USING (clip_id) WHERE old.clip_id IS NULL "
        "OR old.row_hash <> staged.row_hash OR old.split <> staged.split"
    ).fetchone()
    removed = db.execute(
        f"SELECT count(*) FROM {released} WHERE clip_id NOT IN (SELECT clip_id FROM staged)"
    ).fetchone()[0]
    classes = _class_differences(db, _CLASSES.format(int(parent or 0)), "staged_classes")
    return Summary(added, removed, changed, *map(len, classes))


def diff_releases(db: Database, a: Row, b: Row) -> ReleaseDiff:
    """Compare two releases of one database.

    Clips that are added and clips that are removed are paired as re-trimmed when they are of one
    video and class and overlap; of several, those that share most.
    """
    diff = ReleaseDiff(f"{a['name']}@{a['version']}", f"{b['name']}@{b['version']}")
    old = {"release": _RELEASED.format(int(a["release_id"])), "contents": "release_rows"}
    new = {"release": _RELEASED.format(int(b["release_id"]))}
    total = db.execute(f"SELECT count(*) FROM {new['release']}").fetchone()[0]
    differing = db.execute(_DIFFERING.format(old=old["release"], new=new["release"])).fetchall()
    removed = db.execute(_REMOVED.format(old=old["release"], new=new["release"])).fetchall()
    added = []
    for clip_id, *values in differing:
        before, after = _Side(*values[:9]), _Side(*values[9:])
        if before.split is None:
            added.append((clip_id, after))
        else:
            _compare(diff, clip_id, before, after)
    diff.same = total - len(differing)
    _pair(diff, [(clip_id, _Side(*values)) for clip_id, *values in removed], added)
    diff.classes_added, diff.classes_removed, diff.classes_changed = _class_differences(
        db, _CLASSES.format(int(a["release_id"])), _CLASSES.format(int(b["release_id"]))
    )
    _rate(diff, a, b, any_changed=len(differing) > len(added))
    return diff


class _Side(NamedTuple):
    split: str | None
    video_id: str | None
    start_ms: int | None
    end_ms: int | None
    label: str | None
    mime_artist: str | None
    object_relevant: str | None
    scene_relevant: str | None
    row_hash: bytes | None


_FIELDS = (
    "{0}.split, {0}row.video_id, {0}row.start_ms, {0}row.end_ms, {0}row.label, "
    "{0}row.mime_artist, {0}row.object_relevant, {0}row.scene_relevant, {0}.row_hash"
)
_CONTENTS = (
    "LEFT JOIN release_rows AS {0}row "
    "ON {0}row.clip_id = {0}.clip_id AND {0}row.row_hash = {0}.row_hash"
)
_DIFFERING = (
    f"SELECT new.clip_id, {_FIELDS.format('old')}, {_FIELDS.format('new')} "
    "FROM {new} AS new LEFT JOIN {old} AS old ON old.clip_id = new.clip_id "
    f"{_CONTENTS.format('old')} {_CONTENTS.format('new')} WHERE old.clip_id IS NULL "
    "OR old.row_hash <> new.row_hash OR old.split <> new.split ORDER BY new.clip_id"
)
_REMOVED = (
    f"SELECT old.clip_id, {_FIELDS.format('old')} FROM {{old}} AS old {_CONTENTS.format('old')} "
    "LEFT JOIN {new} AS new ON new.clip_id = old.clip_id WHERE new.clip_id IS NULL "
    "ORDER BY old.clip_id"
)


def _compare(diff: ReleaseDiff, clip_id: str, before: _Side, after: _Side) -> None:
    if before.split != after.split:
        diff.moved.append(Changed(clip_id, before.split, after.split))
    if before.row_hash == after.row_hash:
        return
    if before.video_id is None or after.video_id is None:
        diff.withheld.append(clip_id)
        return
    if before.label != after.label:
        diff.relabelled.append(Changed(clip_id, before.label, after.label))
    for flag in FLAGS:
        was, now = getattr(before, flag), getattr(after, flag)
        if was != now:
            diff.reflagged.append(Reflagged(clip_id, flag, was, now))


def _pair(
    diff: ReleaseDiff, removed: list[tuple[str, _Side]], added: list[tuple[str, _Side]]
) -> None:
    by_video: dict[tuple[str | None, str | None], list[tuple[str, _Side]]] = defaultdict(list)
    for clip_id, side in removed:
        if side.video_id is not None:
            by_video[side.video_id, side.label].append((clip_id, side))
    overlaps = []
    for clip_id, side in added:
        for old_id, old in by_video.get((side.video_id, side.label), ()):
            shared = min(side.end_ms or 0, old.end_ms or 0) - max(
                side.start_ms or 0, old.start_ms or 0
            )
            if shared > 0:
                overlaps.append((-shared, old_id, clip_id, old, side))
    paired: set[str] = set()
    for _, old_id, clip_id, old, side in sorted(overlaps, key=lambda o: o[:3]):
        if old_id not in paired and clip_id not in paired:
            paired |= {old_id, clip_id}
            diff.retrimmed.append(Retrimmed(old_id, clip_id))
            _compare(diff, clip_id, old, side)
    diff.retrimmed.sort()
    for changes in (diff.moved, diff.relabelled, diff.reflagged):
        changes.sort(key=lambda change: change[:2])
    diff.added = [clip_id for clip_id, _ in added if clip_id not in paired]
    diff.removed = [clip_id for clip_id, _ in removed if clip_id not in paired]


def _class_differences(db: Database, old: str, new: str) -> tuple[list[str], list[str], list[str]]:
    queries = (
        f"SELECT name FROM {new} WHERE name NOT IN (SELECT name FROM {old}) ORDER BY name",
        f"SELECT name FROM {old} WHERE name NOT IN (SELECT name FROM {new}) ORDER BY name",
        f"SELECT old.name FROM {old} AS old JOIN {new} AS new USING (name) WHERE old.object_size "
        "IS NOT new.object_size OR old.scene IS NOT new.scene ORDER BY old.name",
    )
    added, removed, changed = ([name for (name,) in db.execute(query)] for query in queries)
    return added, removed, changed


def _rate(diff: ReleaseDiff, a: Row, b: Row, *, any_changed: bool) -> None:
    gone = diff.removed or diff.retrimmed or diff.classes_removed or diff.classes_changed
    if gone or any_changed:
        diff.change = Change.MAJOR
    elif diff.added or diff.classes_added:
        diff.change = Change.MINOR
    if a["name"] == b["name"]:
        version = Version(a["major"], a["minor"], a["patch"])
        diff.proposed = str(version.after(diff.change))

"""Make a release from what was decided: `mimecurate release create`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Literal

from mimecurate.curation.class_maps import record_found
from mimecurate.curation.release_cards import card_of
from mimecurate.curation.release_checks import (
    CHECKS,
    Finding,
    expect_classes,
    failed_checks,
    run_checks,
)
from mimecurate.curation.release_decided import (
    decided_problems,
    stage_decided,
    stage_decisions,
    staged_problems,
)
from mimecurate.curation.release_diff import Summary, summarize_staged
from mimecurate.curation.release_freeze import Header, freeze, is_frozen, staged_contents
from mimecurate.curation.release_problems import Problems
from mimecurate.curation.release_purges import finish_purges
from mimecurate.curation.release_read import latest_release, version_of
from mimecurate.curation.release_rule import TRIM_IOU
from mimecurate.curation.release_stage import close_stage, open_stage, writing
from mimecurate.curation.release_where import insert_matching, keep_matching, open_where
from mimecurate.errors import MimecurateError, Problem
from mimecurate.schemas.database import now
from mimecurate.schemas.release import check_split
from mimecurate.schemas.versions import Version, check_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlite_utils import Database

    from mimecurate.curation.release_freeze import Contents
    from mimecurate.curation.release_read import Row
    from mimecurate.curation.workspace import Workspace

FIRST = Version(1, 0, 0)


class WrongVersionError(MimecurateError):
    """The version is not the one that the changes ask for."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a release is made of."""

    source: Literal["decisions", "annotations"] = "decisions"
    min_annotators: int = 2
    """How many annotators a majority needs; for ``annotations`` alone."""
    where: str | None = None
    """SQL condition that every clip fulfils."""
    splits: Sequence[tuple[str, str | None]] = ()
    """Split and the condition of its clips; without a condition: all clips that no other takes."""
    fresh: bool = False
    """Whether to leave out the release before, and with it what nobody decided on anew."""
    trim_iou: float = TRIM_IOU
    """From which overlap on two trims agree; for ``annotations`` alone."""

    def as_settings(self) -> dict[str, object]:
        """Return what is recorded with the release."""
        settings: dict[str, object] = {"source": self.source}
        if self.source == "annotations":
            settings["min_annotators"] = self.min_annotators
            settings["trim_iou"] = self.trim_iou
        if self.where is not None:
            settings["where"] = self.where
        if self.splits:
            settings["splits"] = [[name, where] for name, where in self.splits]
        if self.fresh:
            settings["fresh"] = True
        return settings


@dataclass(frozen=True, slots=True)
class CreatedRelease:
    """What was frozen, or would be."""

    name: str
    version: Version
    """The version that the changes ask for."""
    parent: str | None
    frozen: bool
    digest: str
    counts: Mapping[str, object]
    findings: Sequence[Finding]
    changes: Summary
    """What differs from the parent."""


def create_release(
    workspace: Workspace,
    name: str,
    version: Version | None,
    recipe: Recipe,
    *,
    allow: Collection[str] = (),
    card: Mapping[str, object] | None = None,
) -> CreatedRelease:
    """Freeze what was decided as the next version of ``name``.

    A release starts from the one before it of the same name, if there is one: clips that were
    decided on take what was decided, the others stay as they were released.

    Args:
        workspace: the workspace.
        name: the release's name.
        version: its version; None: nothing is frozen, the result says what would be.
        recipe: from what, with which filter and splits.
        allow: names of the checks whose findings are accepted; the release records them.
        card: title, authors, licence and the like; None: those of the release before.

    Raises:
        InvalidInputError: checks found something that is not allowed, or clips lack what they
            need; everything is listed.
        WrongVersionError: ``version`` is not the one that the changes ask for.
        WhereError: a condition can't be used.
        ReleaseExistsError: ``version`` is taken by other contents.
    """
    check_name(name)
    _check_allowed(allow)
    db = workspace.db
    with workspace.lock("release", f"release create {name}"):
        finish_purges(workspace)
        open_stage(db)
        parent = latest_release(db, name)
        _stage(db, recipe, parent)
        findings = run_checks(db)
        contents = staged_contents(db)
        made = _describe(db, name, parent, contents, findings)
        if version is not None:
            failed_checks(f"{name}@{version}", findings, allow)
            made = _freeze(db, made, version, recipe, contents, card, parent)
        close_stage(db)
    return made


def _describe(
    db: Database, name: str, parent: Row | None, contents: Contents, findings: Sequence[Finding]
) -> CreatedRelease:
    changes = summarize_staged(db, parent["release_id"] if parent else None)
    version = FIRST if parent is None else version_of(parent).after(changes.change)
    ref = None if parent is None else f"{name}@{version_of(parent)}"
    return CreatedRelease(
        name, version, ref, False, contents.digest, contents.counts, findings, changes
    )


def _freeze(
    db: Database,
    made: CreatedRelease,
    version: Version,
    recipe: Recipe,
    contents: Contents,
    card: Mapping[str, object] | None,
    parent: Row | None,
) -> CreatedRelease:
    header = Header(
        made.name,
        version,
        now(),
        recipe.source,
        made.parent,
        recipe.as_settings(),
        {finding.name: finding.count for finding in made.findings},
        {} if made.parent is None else asdict(made.changes),
        card if card is not None else card_of(parent),
    )
    with writing(db):
        if not is_frozen(db, header, contents.digest):
            _check_version(made, version)
            record_found(db, who=f"release create {header.reference}")
            freeze(db, header, contents)
    return replace(made, version=version, frozen=True)


def _check_version(made: CreatedRelease, version: Version) -> None:
    if made.parent is None or version == made.version:
        return
    raise WrongVersionError(
        f"{made.name}@{version}: since {made.parent} there are {made.changes}: this is a "
        f"{made.changes.change.name} change, so the version is {made.version}"
    )


def _check_allowed(allow: Collection[str]) -> None:
    known = {check.name for check in CHECKS}
    if unknown := sorted(set(allow) - known):
        raise MimecurateError(
            f"no check {unknown[0]!r} to allow; there are: {', '.join(sorted(known))}"
        )


def _stage(db: Database, recipe: Recipe, parent: Row | None) -> None:
    problems = Problems()
    base = None if recipe.fresh or parent is None else parent["release_id"]
    with db.atomic():
        stage_decisions(db, recipe.source, recipe.min_annotators, recipe.trim_iou)
        stage_decided(db, base)
        for message in decided_problems(db):
            problems.add(Problem(message))
        open_where(db)
        if recipe.where is not None:
            keep_matching(db, recipe.where)
        _assign_splits(db, recipe.splits, problems)
        db.execute(
            "INSERT INTO staged_classes SELECT DISTINCT label, coalesce(class.object_size, "
            "old.object_size), coalesce(class.scene, old.scene) FROM staged "
            "LEFT JOIN main.classes AS class ON class.name = label "
            "LEFT JOIN release_classes AS old ON old.name = label AND old.release_id = ? "
            "WHERE label IS NOT NULL",
            [base],
        )
        _keep_empty_classes(db, parent if base is not None else None)
    for message in staged_problems(db):
        problems.add(Problem(message))
    problems.raise_if_any("release create")
    expect_classes(db, _expected(db, base))


def _keep_empty_classes(db: Database, parent: Row | None) -> None:
    """Keep the classes that had no clip in the release before, and have none now."""
    counts = {} if parent is None else json.loads(parent["counts"])["per_class"]
    for name in [name for name, clips in counts.items() if clips == 0]:
        db.execute(
            "INSERT INTO staged_classes SELECT name, object_size, scene FROM release_classes "
            "WHERE release_id = ? AND name = ? ON CONFLICT DO NOTHING",
            [parent["release_id"] if parent else None, name],
        )


def _assign_splits(
    db: Database, splits: Sequence[tuple[str, str | None]], problems: Problems
) -> None:
    db.execute("CREATE TEMP TABLE IF NOT EXISTS taken (clip_id TEXT, split TEXT)")
    db.execute("DELETE FROM taken")
    for name, where in splits:
        check_split(name)
        if where is not None:
            insert_matching(db, where, "taken", name)
    db.execute("CREATE INDEX IF NOT EXISTS temp.taken_clip ON taken (clip_id)")
    db.execute(
        "UPDATE staged SET split = taken.split FROM taken WHERE taken.clip_id = staged.clip_id"
    )
    for name, where in splits:
        if where is None:
            db.execute(
                "UPDATE staged SET split = ? WHERE clip_id NOT IN (SELECT clip_id FROM taken)",
                [name],
            )
    twice = db.execute(
        "SELECT clip_id, group_concat(DISTINCT split) FROM taken GROUP BY clip_id "
        "HAVING count(DISTINCT split) > 1 ORDER BY clip_id"
    )
    for clip_id, names in twice:
        problems.add(Problem(f"clip {clip_id} is in two splits: {names}"))


def _expected(db: Database, base: int | None) -> list[str]:
    """List the classes that should have clips: the parent's, or else the workspace's."""
    rows = (
        db.execute("SELECT name FROM classes")
        if base is None
        else db.execute("SELECT name FROM release_classes WHERE release_id = ?", [base])
    )
    return [name for (name,) in rows]

"""What is looked at before a release is frozen: each check one query over what is staged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.release_rule import NO_MAJORITY, TOO_FEW
from mimecurate.errors import InvalidInputError, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sqlite_utils import Database

_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a release should not have."""

    name: str
    """What ``--allow`` takes."""
    help: str
    query: str
    """SQL that gives a message per case, in a stable order."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The cases of one check."""

    name: str
    help: str
    count: int
    examples: tuple[str, ...]
    """The first ten."""


_SECONDS = "printf('%g', {0} / 1000.0)"
_INTERVAL = _SECONDS.format("start_ms") + " || '-' || " + _SECONDS.format("end_ms") + " || ' s'"

CHECKS: tuple[Check, ...] = (
    Check(
        "video-across-splits",
        "a video has clips in several splits, so that one split leaks into another",
        "SELECT 'video ' || video_id || ': ' || group_concat(DISTINCT split) FROM "
        "(SELECT video_id, split FROM staged WHERE video_id IS NOT NULL ORDER BY video_id, split) "
        "GROUP BY video_id HAVING count(DISTINCT split) > 1",
    ),
    Check(
        "class-without-clips",
        "a class has no clip",
        "SELECT 'class ' || name FROM expected_classes "
        "WHERE name NOT IN (SELECT label FROM staged WHERE label IS NOT NULL) ORDER BY name",
    ),
    Check(
        "missing-flags",
        "a clip lacks one of mime_artist, object_relevant and scene_relevant",
        "SELECT 'clip ' || clip_id FROM staged WHERE video_id IS NOT NULL AND (mime_artist IS NULL "
        "OR object_relevant IS NULL OR scene_relevant IS NULL) ORDER BY clip_id",
    ),
    Check(
        "interval-length",
        "a clip lasts less than 1 s or more than 10 s",
        f"SELECT 'clip ' || clip_id || ': ' || {_INTERVAL} FROM staged "
        "WHERE end_ms - start_ms NOT BETWEEN 1000 AND 10000 ORDER BY clip_id",
    ),
    Check(
        "overlapping-clips",
        "two clips of one video share some of it",
        f"SELECT 'clip ' || clip_id || ': ' || {_INTERVAL} || ' begins before an earlier clip of "
        "the video ends' FROM (SELECT clip_id, start_ms, end_ms, max(end_ms) OVER (PARTITION BY "
        "video_id ORDER BY start_ms, end_ms ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) "
        "AS earlier FROM staged WHERE video_id IS NOT NULL) WHERE start_ms < earlier",
    ),
    Check(
        "unverified-media",
        "a clip's media were never fetched and verified in this workspace",
        "SELECT 'clip ' || clip_id FROM staged WHERE video_id IS NOT NULL "
        "AND clip_id NOT IN (SELECT clip_id FROM media) ORDER BY clip_id",
    ),
    Check(
        TOO_FEW,
        "a clip has too few annotators for the rule, and is left as it was",
        f"SELECT 'clip ' || clip_id || ': ' || why FROM undecided WHERE check_name = '{TOO_FEW}'",
    ),
    Check(
        NO_MAJORITY,
        "annotators disagree on a clip, which is left as it was until somebody decides",
        "SELECT 'clip ' || clip_id || ': ' || why FROM undecided "
        f"WHERE check_name = '{NO_MAJORITY}'",
    ),
)
"""Every check, in the order in which they are shown."""

_OF_OURS = {"class-without-clips", "unverified-media", TOO_FEW, NO_MAJORITY}
IMPORT_CHECKS = tuple(check for check in CHECKS if check.name not in _OF_OURS)
"""The checks of a release that others made."""


def run_checks(db: Database, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Run checks over what is staged, and return those that found something."""
    findings = []
    for check in checks:
        count = 0
        examples: list[str] = []
        for (message,) in db.execute(check.query):
            count += 1
            if len(examples) < _EXAMPLES:
                examples.append(message)
        if count:
            findings.append(Finding(check.name, check.help, count, tuple(examples)))
    return findings


def expect_classes(db: Database, names: Iterable[str]) -> None:
    """Say which classes the release should have, for the check ``class-without-clips``."""
    db.execute("DROP TABLE IF EXISTS temp.expected_classes")
    db.execute("CREATE TEMP TABLE expected_classes (name TEXT PRIMARY KEY) WITHOUT ROWID")
    with db.atomic():
        db.conn.executemany("INSERT INTO expected_classes VALUES (?)", ((n,) for n in set(names)))


def failed_checks(name: str, findings: Iterable[Finding], allow: Collection[str]) -> None:
    """Refuse findings that nobody accepted.

    Raises:
        InvalidInputError: there are some; all of them are listed.
    """
    problems = []
    for finding in findings:
        if finding.name in allow:
            continue
        lines = [f"{finding.name}: {finding.help} ({finding.count:,})", *finding.examples]
        if finding.count > len(finding.examples):
            lines.append(f"and {finding.count - len(finding.examples):,} more")
        problems.append(Problem("\n    ".join(lines)))
    if problems:
        raise InvalidInputError(name, problems, "accept what is meant to be with --allow CHECK")

"""The warnings of a report in few lines: each thing once, with the systems that it is of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimecurate.evaluation.metrics import Scores
    from mimecurate.evaluation.report import Report


def too_few(subset: str, scores: Scores) -> str:
    """Warn of a subset that comes from too few videos."""
    return (
        f"subset {subset}: {scores.clips} clips from {scores.videos} videos are too few to say "
        "anything"
    )


def warning_lines(report: Report) -> list[str]:
    """Say what to keep in mind.

    Equal warnings of several systems are one line, and so are the subsets with as few clips and
    videos as each other.
    """
    systems_of: dict[str, list[str]] = {}
    counts_of: dict[str, tuple[str, int, int]] = {}
    for system in report.systems:
        for warning in system.warnings:
            systems_of.setdefault(warning, []).append(system.name)
        for name, scores in system.subsets.items():
            counts_of[too_few(name, scores)] = (name, scores.clips, scores.videos)
    lines = []
    small: dict[tuple[str, int, int], list[str]] = {}
    for warning, names in systems_of.items():
        everybody = len(names) == len(report.systems) > 1
        who = "every system" if everybody else ", ".join(names)
        if warning in counts_of:
            subset, clips, videos = counts_of[warning]
            small.setdefault((who, clips, videos), []).append(subset)
        else:
            lines.append(f"{who}: {warning}")
    for (who, clips, videos), subsets in small.items():
        each = " each" if len(subsets) > 1 else ""
        lines.append(
            f"{who}: too few to say anything: {', '.join(subsets)} "
            f"({clips} clips from {videos} videos{each})"
        )
    return lines

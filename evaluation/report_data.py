"""The data that the report page's script works on: classes, subsets, systems, clips, answers.

Everything about clips is in columns, each as long as there are clips and in the report's order,
which keeps 20,000 clips and three systems at a few megabytes. One letter or digit per clip is
packed into a string.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.evaluation.details import ClipStatus, clip_statuses, top_classes
from mimecurate.evaluation.report_elements import visible
from mimecurate.evaluation.tables import SUBSET_WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from mimecurate.evaluation.report import Report, System
    from mimecurate.schemas.release import Flag

TOP = 5
"""How many classes are shown of what a system said of a clip."""
NO_CLASS = -1
_DIGITS = 4
_STATUS_LETTER = {
    ClipStatus.SCORED: "s",
    ClipStatus.MISSING: "m",
    ClipStatus.UNAVAILABLE: "u",
    ClipStatus.INVALID: "i",
}


def page_data(report: Report, links: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Gather the data for the page's script.

    Args:
        report: the report.
        links: the URL of each clip that can be played; None: nobody asked for players.

    Returns:
        A JSON document. ``classes`` begins with the classes that have clips.
    """
    targets = report.targets
    number = {name: i for i, name in enumerate(targets.class_names)}
    systems = [_system(system, targets.class_names, number) for system in report.systems]
    sizes = report.release.object_sizes
    clips = targets.clips
    return {
        "classes": [visible(name) for name in number],
        "objectSizes": [sizes.get(name) for name in targets.class_names],
        "subsets": [
            {"words": subset_words(name), "holds": _bits(targets.subsets[name])}
            for name in shown_subsets(report)
        ],
        "systems": systems,
        "clips": {
            "id": [visible(clip.clip_id) for clip in clips],
            "label": targets.labels.tolist(),
            "split": [clip.split for clip in clips],
            "mimeArtist": _flags(clip.mime_artist for clip in clips),
            "objectRelevant": _flags(clip.object_relevant for clip in clips),
            "sceneRelevant": _flags(clip.scene_relevant for clip in clips),
            "media": None if links is None else [links.get(clip.clip_id) for clip in clips],
        },
    }


def embedded_json(document: object) -> str:
    """Write JSON that may stand inside a ``<script>`` element: it can't end it.

    >>> embedded_json({"a": "</script>"})
    '{"a":"\\\\u003c/script>"}'
    """
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def subset_words(name: str) -> str:
    """Say a subset in the paper's words, or by its name."""
    return visible(SUBSET_WORDS.get(name, name))


def shown_subsets(report: Report) -> list[str]:
    """Name the subsets that have clips."""
    return [name for name, inside in report.targets.subsets.items() if inside.any()]


def _system(
    system: System, true_classes: tuple[str, ...], number: dict[str, int]
) -> dict[str, Any]:
    """Gather what a system said; classes that are new get the next number."""
    matched = system.matched
    per_class = [system.per_class.get(name) for name in true_classes]
    answers = top_classes(system, TOP)
    width = min(TOP, system.ways)
    said: list[int] = []
    scores: list[float | None] = []
    for answer in answers:
        for name, value in answer:
            said.append(number.setdefault(name, len(number)))
            scores.append(_short(value))
        said += [NO_CLASS] * (width - len(answer))
        scores += [None] * (width - len(answer))
    return {
        "name": visible(system.name),
        "ways": system.ways,
        "status": "".join(_STATUS_LETTER[status] for status in clip_statuses(system)),
        "counted": _bits(matched.counted),
        "tied": _bits(matched.tied),
        "rank": matched.rank.tolist(),
        "width": width,
        "said": said,
        "scores": scores,
        "perClass": {
            metric: [None if c is None else round(getattr(c, metric), 1) for c in per_class]
            for metric in ("top1", "top5", "ap")
        },
        "classClips": [0 if c is None else c.clips for c in per_class],
    }


def _short(value: float) -> float | None:
    """Round to a few digits; None stands for minus infinity."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def _bits(which: NDArray[np.bool_]) -> str:
    """Write one digit per clip."""
    return (which + np.uint8(ord("0"))).astype(np.uint8).tobytes().decode("ascii")


def _flags(flags: Iterable[Flag | None]) -> str:
    """Write one letter per clip: y, n, u, or - where nobody said."""
    return "".join(flag.value[0] if flag else "-" for flag in flags)

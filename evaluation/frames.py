"""The evaluation for notebooks: the same numbers as pandas frames."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mimecurate.curation.class_list import normal_class_name
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.available import BY_RECORD, load_with_record, read_available
from mimecurate.evaluation.details import clip_statuses, top_classes
from mimecurate.evaluation.evaluate import RESAMPLES, build_report
from mimecurate.evaluation.matching import Policy
from mimecurate.evaluation.predictions import Predictions, load_predictions
from mimecurate.evaluation.report_json import report_json
from mimecurate.evaluation.subset_file import read_subsets
from mimecurate.evaluation.superclasses import read_superclasses
from mimecurate.evaluation.table_formats import as_text, csv_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pandas import DataFrame

    from mimecurate.evaluation.report import Report
    from mimecurate.schemas.release import Release
    from mimecurate.schemas.subsets import Predicate


class Evaluation:
    """What `evaluate` returns: the report, and each table of it as a pandas frame.

    Percent, unrounded; ``…_low`` and ``…_high`` are the ends of the 95 % interval.
    """

    def __init__(self, report: Report) -> None:
        """Wrap a report."""
        self.report = report

    @cached_property
    def overall(self) -> DataFrame:
        """A row per system: the metrics over all clips that count."""
        subsets = self.subsets
        chosen: DataFrame = subsets[subsets["subset"] == "all"]
        return chosen.drop(columns="subset").set_index("system")

    @cached_property
    def subsets(self) -> DataFrame:
        """A row per system and subset."""
        return self._sets("subset").rename(columns={"name": "subset"})

    @cached_property
    def splits(self) -> DataFrame:
        """A row per system and split; empty where the release has one split."""
        return self._sets("split").rename(columns={"name": "split"})

    @cached_property
    def superclasses(self) -> DataFrame:
        """Two rows per system: means over the classes and over the superclasses."""
        return self._sets("superclass").rename(columns={"name": "averaged"})

    @cached_property
    def per_class(self) -> DataFrame:
        """A row per system and class: clips, top1, top5, ap."""
        return _frame(
            [
                {
                    "system": system.name,
                    "class": name,
                    "clips": c.clips,
                    "top1": c.top1,
                    "top5": c.top5,
                    "ap": c.ap,
                }
                for system in self.report.systems
                for name, c in system.per_class.items()
            ]
        )

    @cached_property
    def clips(self) -> DataFrame:
        """A row per system and clip: status, rank (0: none), best class and its score."""
        rows = []
        for system in self.report.systems:
            best, statuses = top_classes(system, 1), clip_statuses(system)
            for i, clip in enumerate(self.report.targets.clips):
                predicted, score = best[i][0] if best[i] else (None, None)
                rows.append(
                    {
                        "system": system.name,
                        "clip_id": clip.clip_id,
                        "video_id": clip.video_id,
                        "class": clip.label,
                        "split": clip.split,
                        "status": str(statuses[i]),
                        "rank": int(system.matched.rank[i]),
                        "tied": bool(system.matched.tied[i]),
                        "predicted": predicted,
                        "score": score,
                    }
                )
        return _frame(rows)

    @cached_property
    def gaps(self) -> DataFrame:
        """A row per system and gap: in context minus out of context, in points."""
        return _frame(
            [
                {
                    "system": system.name,
                    "gap": name,
                    "clips_inside": gap.clips_inside,
                    "clips_outside": gap.clips_outside,
                    "top1": gap.top1,
                    **_bounds("top1", gap.ci.get("top1")),
                    "top5": gap.top5,
                    **_bounds("top5", gap.ci.get("top5")),
                }
                for system in self.report.systems
                for name, gap in system.gaps.items()
            ]
        )

    @cached_property
    def comparisons(self) -> DataFrame:
        """A row per pair of systems and subset: counts, difference, p-values."""
        rows = report_json(self.report)["comparisons"]
        bounds = [_bounds("difference", row.pop("ci")) for row in rows]
        return _frame([{**row, **ends} for row, ends in zip(rows, bounds, strict=True)])

    def __repr__(self) -> str:
        """The tables of `mimecurate evaluate`."""
        return as_text(self.report)

    def _sets(self, kind: str) -> DataFrame:
        header, rows = csv_rows(self.report)
        chosen = [dict(zip(header, row, strict=True)) for row in rows if row[1] == kind]
        return _frame(chosen).drop(columns="kind", errors="ignore")


def evaluate(
    predictions: Any,
    release: Release | str | Path,
    *,
    missing: str = "wrong",
    duplicates: str = "error",
    nan: str = "error",
    available: Path | str | Iterable[str] | None = None,
    superclasses: Path | str | Mapping[str, str] | None = None,
    subsets: Path | str | Mapping[str, Predicate] | None = None,
    split: str | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    workspace: Path | str | None = None,
) -> Evaluation:
    """Score predictions against a release: the numbers of the Mimetics paper, with error bars.

    Args:
        predictions: a path, `Predictions` or a pandas frame (clip ids as index, classes as
            columns); or a list of them; or a dict of system name to one of them.
        release: ``NAME@VERSION`` in the workspace, a `Release`, or an exported release's path.
        missing: a clip without scores: ``wrong`` (as the paper), ``exclude`` or ``error``.
        duplicates: several rows for a clip: ``error`` or ``average``.
        nan: NaN among a clip's scores: ``error`` or ``wrong``.
        available: which clips could still be had: a file (see `read_available`), or clip ids;
            None: by the workspace's record of fetching, as the command does.
        superclasses: a file (see `read_superclasses`), or each class's superclass.
        subsets: a file (see `read_subsets`), or a predicate per name.
        split: score one split; None: all clips.
        resamples: of the cluster bootstrap; 0: no intervals.
        seed: of the resampling.
        workspace: where ``NAME@VERSION`` and the record of fetching are; None:
            ``MIMECURATE_WORKSPACE``, else the current folder.

    Returns:
        The frames.

    Raises:
        MimecurateError: a file is wrong, or the policy refuses it; one says what would do.
        ValueError: a policy that there isn't, or a negative number of resamples.
        TypeError: predictions that are neither a path, `Predictions` nor a frame.
    """
    if resamples < 0:
        raise ValueError(f"resamples = {resamples} must be 0 or more")
    availability = None
    if available is None:
        release, available = load_with_record(release, workspace)
        availability = BY_RECORD
    elif isinstance(release, (str, Path)):
        from mimecurate.curation.release_read import load_release

        release = load_release(release, workspace)
    if isinstance(available, (str, Path)):
        available = read_available(Path(available), release)
    elif available is not None:
        available = frozenset(available) & {clip.clip_id for clip in release.clips}
        if not available:
            raise MimecurateError(f"available names no clip of {release.name}@{release.version}")
    if isinstance(superclasses, (str, Path)):
        superclasses = read_superclasses(Path(superclasses))
    elif superclasses is not None:
        superclasses = {
            normal_class_name(name): normal_class_name(value)
            for name, value in superclasses.items()
        }
    if isinstance(subsets, (str, Path)):
        subsets = read_subsets(Path(subsets))
    report = build_report(
        [_as_predictions(source, name) for name, source in _sources(predictions)],
        release,
        policy=Policy.checked(missing, duplicates, nan),
        available=None if available is None else frozenset(available),
        availability=availability,
        superclasses=superclasses,
        predicates=subsets,
        split=split,
        resamples=resamples,
        seed=seed,
    )
    return Evaluation(report)


def _sources(predictions: Any) -> list[tuple[str | None, Any]]:
    if isinstance(predictions, Mapping):
        return list(predictions.items())
    if isinstance(predictions, (list, tuple)):
        return [(None, source) for source in predictions]
    return [(None, predictions)]


def _as_predictions(source: Any, name: str | None) -> Predictions:
    if isinstance(source, (str, Path)):
        return load_predictions(source, name=name)
    if isinstance(source, Predictions):
        from dataclasses import replace

        return source if name is None else replace(source, name=name)
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise TypeError(
            f"predictions {str(source)[:80]!r} ({type(source).__name__}) must be a path, "
            "Predictions or a pandas frame"
        )
    plain = (
        {
            name: column.to_numpy(dtype=float, na_value=float("nan"))
            if pd.api.types.is_extension_array_dtype(column.dtype)
            and pd.api.types.is_numeric_dtype(column.dtype)
            and name != "clip_id"
            else column
            for name, column in source.items()
        }
        if source.columns.is_unique
        else None
    )
    frame = source if plain is None else pd.DataFrame(plain, index=source.index)
    return Predictions.from_frame(frame, name or "system")


def _bounds(name: str, interval: Sequence[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _frame(rows: Sequence[Mapping[str, Any]]) -> DataFrame:
    import pandas as pd

    return pd.DataFrame(rows)

"""The result of an evaluation: everything that tables, JSON and the page are made from.

A `Report` is complete: per system the metrics of every subset, split and class with intervals,
what was missing, and each clip's rank; per pair of systems the tests; the policy, the release.
What each system said of a clip is in `details`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mimecurate.evaluation.matching import Matched, Policy
    from mimecurate.evaluation.metrics import ClassScores, Scores
    from mimecurate.evaluation.targets import Targets
    from mimecurate.schemas.release import Release

USUAL_WAYS = 400
"""The Kinetics-400 classes, among which the paper ranks."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """How the rows of a prediction file meet the clips of a release."""

    expected: int
    """Clips of the release (or of the split)."""
    scored: int
    """Clips with a row; NaN rows included."""
    missing: int
    """Clips that could be had and have no row."""
    unavailable: int
    """Clips that nobody could fetch any more and that have no row; 0 unless that is known."""
    extra: int
    """Rows of the file that are not in the release."""
    tied: int
    """Clips whose true class has the same score as another class."""
    invalid: int
    """Clips whose row holds NaN or infinity, counted as wrong."""
    ranked_by: str
    """What was compared."""


@dataclass(frozen=True, slots=True)
class Gap:
    """In-context minus out-of-context, global accuracy in percentage points."""

    inside: str
    """The clips in context."""
    outside: str
    """The clips out of context."""
    clips_inside: int
    clips_outside: int
    top1: float
    top5: float
    ci: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % interval by metric; empty when either side has too few videos."""


@dataclass(frozen=True, slots=True)
class Superclasses:
    """The metrics when classes are joined into superclasses (Table 12)."""

    by_class: Scores
    """Means over the classes, ranked by superclass (the paper's upper half)."""
    by_superclass: Scores
    """Means over the superclasses (its lower half)."""
    probabilities: str
    """Where the summed probabilities come from: ``as given`` or ``softmax``."""


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """One prediction file, scored."""

    name: str
    file: str
    sha256: str
    ways: int
    """Among how many classes each clip is ranked."""
    coverage: Coverage
    overall: Scores
    subsets: Mapping[str, Scores]
    splits: Mapping[str, Scores]
    per_class: Mapping[str, ClassScores]
    gaps: Mapping[str, Gap]
    superclasses: Superclasses | None
    lowest: Scores | None
    """If every unavailable clip were wrong; None when availability is not known."""
    highest: Scores | None
    """If every unavailable clip were right."""
    warnings: tuple[str, ...]
    matched: Matched
    """Each clip's rank and row of scores, in the order of the report's clips."""

    @property
    def manifest(self) -> Mapping[str, Any] | None:
        """How the scores came to be, if the file says so."""
        return self.matched.predictions.manifest


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two systems on one subset: exact McNemar test of top-1."""

    first: str
    second: str
    subset: str
    clips: int
    """Clips that count for both."""
    videos: int
    both: int
    """Clips that both got right."""
    only_first: int
    only_second: int
    neither: int
    difference: float
    """Global top-1 of the first minus the second's, in percentage points."""
    ci: tuple[float, float] | None
    """95 % cluster-bootstrap interval of the difference; None for too few videos."""
    p_value: float
    p_adjusted: float
    """By Holm, over all comparisons of the report."""


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """One or more systems against one release."""

    release: Release
    split: str | None
    """The split that was scored; None: all clips."""
    targets: Targets
    """The clips in their order, with labels, videos and subsets as arrays."""
    policy: Policy
    availability: str | None
    """Where it is known from which clips could be had; None: not known."""
    resamples: int
    seed: int
    systems: tuple[System, ...]
    comparisons: tuple[Comparison, ...]

    @property
    def reference(self) -> str:
        """``NAME@VERSION``."""
        return f"{self.release.name}@{self.release.version}"

"""Pre-filled answers: the class that a model puts first, marked as the model's.

What an annotator then leaves as it was comes back marked too, so that anchoring can be measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.curation.class_list import normal_class_name
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Container

    from mimecurate.annotation.screen import Screen
    from mimecurate.evaluation.predictions import Predictions

MAX_VERSION = 100


@dataclass(frozen=True, slots=True)
class Prefill:
    """What clips are pre-filled with."""

    version: str
    """What Label Studio calls the model: the file's name."""
    sha256: str
    labels: dict[str, tuple[str, float]]
    """Each clip's class, as the screen spells it, and its score."""
    has_probabilities: bool
    """Whether all scores are from 0 to 1; Label Studio takes no others, so they are left out."""
    elsewhere: int
    """Clips that get none: their first class is not on the screen, or is not one alone."""

    def predictions(self, clip_id: str) -> tuple[dict[str, object], ...]:
        """Return a clip's prediction as Label Studio imports it."""
        found = self.labels.get(clip_id)
        if found is None:
            return ()
        label, score = found
        prediction: dict[str, object] = {
            "model_version": self.version,
            "result": [_choice(label)],
        }
        if self.has_probabilities:
            prediction["score"] = score
        return (prediction,)


def make_prefill(predictions: Predictions, screen: Screen, *, clip_ids: Container[str]) -> Prefill:
    """Take the first class of each clip, where the screen offers it.

    A clip whose first class the screen lacks gets none: the next best would be no model's answer.
    So does one with equal scores in front, or without any.

    Args:
        predictions: a system's scores.
        screen: which classes there are to choose from.
        clip_ids: the clips that matter.

    Raises:
        MimecurateError: the file names no classes, or the screen none of those it names.
        MissingExtraError: the extra ``annotation`` is not installed.
    """
    file = predictions.file or predictions.name
    if predictions.class_names is None:
        raise MimecurateError(
            f"{file}: names no classes, and pre-filling needs them; write .npz, Parquet or CSV"
        )
    offered = {normal_class_name(name): name for name in screen.fields["label"]}
    if not any(name in offered for name in predictions.class_names):
        raise MimecurateError(
            f"{file}: none of its {len(predictions.class_names)} classes is on the screen "
            f"(it has {predictions.class_names[0]!r}, …)"
        )
    labels: dict[str, tuple[str, float]] = {}
    elsewhere = 0
    for clip_id, scores in zip(predictions.clip_ids, predictions.scores, strict=True):
        if clip_id not in clip_ids:
            continue
        first = _first(scores)
        label = None if first is None else offered.get(predictions.class_names[first])
        if first is None or label is None:
            elsewhere += 1
        else:
            labels[clip_id] = label, float(scores[first])
    in_range = all(0 <= score <= 1 for _, score in labels.values())
    prefill = Prefill(file[:MAX_VERSION], predictions.sha256, labels, in_range, elsewhere)
    _validate(prefill, screen)
    return prefill


def _first(scores: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> int | None:
    """Return the class with the highest score, None if no one class has it."""
    if np.isnan(scores).all():
        return None
    best = int(np.nanargmax(scores))
    is_alone = np.count_nonzero(scores == scores[best]) == 1 and np.isfinite(scores[best])
    return best if is_alone else None


def _choice(label: str) -> dict[str, object]:
    return {
        "from_name": "label",
        "to_name": "video",
        "type": "choices",
        "value": {"choices": [label]},
    }


def _validate(prefill: Prefill, screen: Screen) -> None:
    """Have Label Studio's own validation look at one prediction of each class.

    The server takes whatever it is sent.
    """
    if not prefill.labels:
        return
    from label_studio_sdk.label_interface.interface import LabelInterface

    interface: Any = LabelInterface(screen.config)
    one_of_each = {label: clip_id for clip_id, (label, _) in prefill.labels.items()}
    for label, clip_id in one_of_each.items():
        for prediction in prefill.predictions(clip_id):
            errors: list[str] = interface.validate_prediction(prediction, return_errors=True)
            if errors:
                raise MimecurateError(
                    f"{prefill.version}: class {label!r} can't be pre-filled: {'; '.join(errors)}"
                )

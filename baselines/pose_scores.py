"""Score the people of a clip with a model of joints or features."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mimecurate.baselines.clip_trouble import batch_of, clip_error
from mimecurate.baselines.pose_clips import views
from mimecurate.baselines.pose_inputs import protocol_of, sequences
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from mimecurate.baselines.people import People
    from mimecurate.baselines.registry import ModelCard

    Forward = Callable[[torch.Tensor], torch.Tensor]


def score_people(
    model: nn.Module,
    people: People,
    card: ModelCard,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 8,
) -> NDArray[np.float32] | None:
    """Score one clip: for each class the maximum over the tubes of people in it.

    A tube's probabilities are the softmax of the model's outputs, averaged over the views of the
    tube (Weinzaepfel and Rogez 2021, Section 4.1 and 4.4). The maxima of a clip with several
    tubes don't sum to 1.

    Args:
        model: in evaluation mode, on ``device``.
        people: of the clip.
        card: of the model.
        device: where the model is.
        batch_size: views at once.

    Returns:
        float32[C], each from 0 to 1; ``None`` if there is nobody in the clip, which the paper
        counts as wrong (Appendix A).

    Raises:
        ClipError: the people hold something that can't be.
        MimecurateError: they lack what the model reads.
    """
    if card.pose is None:
        raise ValueError(f"{card.name} reads frames, not people")
    reader: Any = model
    protocol = protocol_of(reader, card.pose)
    channels = reader.channels if protocol.layout else reader.width
    try:
        found = [views(sequence, protocol) for sequence in sequences(people, protocol, channels)]
    except (RuntimeError, MemoryError) as error:
        raise clip_error(error, f"people of {people.clip_id}") from error
    if not found:
        return None
    flat = [view for tube in found for view in tube]
    forward: Forward = model
    if protocol.layout and protocol.people == "tubes":
        flat = [view[..., :1] for view in flat]
        forward = partial(reader.score_alone, persons=protocol.persons)
    probabilities = _probabilities(forward, flat, torch.device(device), batch_size)
    if not np.isfinite(probabilities).all():
        raise ClipError(
            Reason.CORRUPT,
            f"people of {people.clip_id}: scores are not finite; are the joints that large?",
        )
    ends = np.cumsum([len(tube) for tube in found])[:-1]
    tubes = [part.mean(axis=0) for part in np.split(probabilities, ends)]
    result: NDArray[np.float32] = np.max(tubes, axis=0)
    return result


def _probabilities(
    forward: Forward, inputs: list[NDArray[np.float32]], device: torch.device, batch_size: int
) -> NDArray[np.float32]:
    """Run the model on views, those of one length together.

    Returns:
        float32[N, C], softmax of its outputs.
    """
    by_length: dict[int, list[int]] = {}
    for index, view in enumerate(inputs):
        by_length.setdefault(view.shape[1], []).append(index)
    rows: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(inputs)
    with torch.inference_mode():
        for indices in by_length.values():
            for first in range(0, len(indices), batch_size):
                batch = indices[first : first + batch_size]
                x = torch.from_numpy(np.stack([inputs[index] for index in batch]))
                with batch_of(len(batch), device):
                    scores = forward(x.to(device)).float().softmax(dim=1).cpu().numpy()
                for index, row in zip(batch, scores, strict=True):
                    rows[index] = row
    return np.stack(rows)

"""What a training begins with: settings by the kind of model, and weights for its own classes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd.graph import saved_tensors_hooks

from mimecurate import baselines
from mimecurate.baselines.checkpoints import load_checkpoint, read_document, renamed, unwrap
from mimecurate.baselines.registry import find_named
from mimecurate.baselines.train_state import TrainedModel, TrainSettings, trained_model
from mimecurate.baselines.weights import find_weights, weights_folder
from mimecurate.curation.class_list import normal_class_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from mimecurate.baselines.registry import ModelCard

RANDOM = "random"
BACKBONE = "backbone"
"""To `--freeze`: all but the classifier."""

JOINTS = TrainSettings(
    epochs=50, batch_size=64, lr=0.1, nesterov=True, weight_decay=1e-4, drops=(0.4, 0.6, 0.8)
)
"""ST-GCN as its authors configure it for Kinetics: 0.1, a tenth of it after 20, 30 and 40 of 50
epochs, Nesterov momentum 0.9, weight decay 1e-4. Their batches are larger and on several GPUs."""

FEATURES = TrainSettings(epochs=30, batch_size=64, lr=0.005, drops=(0.5, 0.8))
"""SIP-Net: the paper gives no numbers, these are chosen here."""

FINE_TUNING = TrainSettings(epochs=15, batch_size=16, lr=0.001, weight_decay=1e-5, drops=(0.6, 0.9))
"""From published weights: rate and decay as Hara et al. 2018 fine-tune; the rest is chosen here."""

FROM_SCRATCH = TrainSettings(epochs=45, batch_size=16, lr=0.01, weight_decay=1e-3, drops=(0.5, 0.8))
"""From random weights: decay as Hara et al. 2018; the rest is chosen here, for small batches."""


@dataclass(frozen=True, slots=True)
class Start:
    """A model to begin with.

    Attributes:
        model: on the CPU.
        weights: where its weights come from.
        head: the names of the classifier's weights.
        kept_head: whether the classifier is that of the weights.
    """

    model: nn.Module
    weights: str
    head: tuple[str, ...]
    kept_head: bool


def default_settings(card: ModelCard, *, from_random: bool) -> TrainSettings:
    """Give the settings that a model is trained with where nobody says otherwise."""
    if card.modality == "pose":
        return JOINTS
    if card.modality == "features":
        return FEATURES
    return FROM_SCRATCH if from_random else FINE_TUNING


def starts_random(card: ModelCard, weights: str | None) -> bool:
    """Say whether a training begins with random weights: models of people do, if not told."""
    return weights == RANDOM or (weights is None and card.modality in {"pose", "features"})


def make_start(
    card: ModelCard,
    class_names: Sequence[str],
    *,
    weights: str | None,
    seed: int,
    workspace: Path,
    model_settings: Mapping[str, Any],
    on_bytes: Callable[[int, int | None], None] | None = None,
) -> Start:
    """Build the model, with weights; the classifier is new unless its classes are the same.

    Args:
        card: of the model.
        class_names: what it is to learn.
        weights: a file, the name of published weights, ``random``; ``None``: by kind of model.
        seed: of random weights.
        workspace: whose settings say where weights are kept.
        model_settings: to the builder, over those of the card.
        on_bytes: told of a download.

    Raises:
        MimecurateError: weights can't be had or do not fit.
    """
    torch.manual_seed(seed)
    model = baselines.build(card.name, num_classes=len(class_names), **model_settings)
    head = head_names(card, model_settings)
    if starts_random(card, weights):
        return Start(model, RANDOM, head, False)
    path = find_weights(card, weights, folder=weights_folder(workspace), on_bytes=on_bytes)
    document = read_document(path)
    known = classes_of(card, document, str(path), published=weights is None)
    keep = known == tuple(class_names)
    load_start(model, document, str(path), () if keep else head)
    return Start(model, str(path), head, keep)


def classes_of(card: ModelCard, document: object, name: str, *, published: bool) -> tuple[str, ...]:
    """Name the classes of what a file of weights, called ``name``, holds; as far as known."""
    trained: TrainedModel | None = None if published else trained_model(document, name)
    if trained is not None:
        return trained.class_names
    if published and card.class_names:
        return tuple(normal_class_name(name) for name in find_named(card.class_names)(card.name))
    return ()


def load_start(model: nn.Module, document: object, name: str, new: Sequence[str]) -> None:
    """Load weights; those named in ``new`` stay as the model has them.

    Raises:
        MimecurateError: they can't be read or do not fit.
    """
    state = renamed(model, unwrap(document, name), name)
    own = model.state_dict()
    load_checkpoint(model, {**state, **{key: own[key].clone() for key in new}}, name=name)


def head_names(card: ModelCard, model_settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Find the classifier: the weights whose shape depends on the number of classes."""
    with torch.device("meta"):
        two, three = (
            baselines.build(card.name, num_classes=classes, **model_settings).state_dict()
            for classes in (2, 3)
        )
    return tuple(name for name in two if two[name].shape != three[name].shape)


def resolved_parts(model: nn.Module, frozen: Sequence[str], head: Sequence[str]) -> tuple[str, ...]:
    """Write ``backbone`` as the parts that it stands for: all that hold nothing of the head."""
    if BACKBONE not in frozen:
        return tuple(frozen)
    return tuple(part for part in frozen if part != BACKBONE) + _without(model, "", head)


def _without(module: nn.Module, name: str, head: Sequence[str]) -> tuple[str, ...]:
    parts: list[str] = []
    own = [f"{name}{n}" for n, _ in module.named_parameters(recurse=False)]
    parts += [n for n in own if n not in head]
    for child_name, child in module.named_children():
        full = f"{name}{child_name}"
        if any(h.startswith(f"{full}.") for h in head):
            parts += _without(child, f"{full}.", head)
        elif next(child.parameters(), None) is not None:
            parts.append(full)
    return tuple(parts)


def estimate_memory(model: nn.Module, sample: Tensor, batch_size: int) -> int:
    """Estimate the bytes that training needs on the device, without computing anything.

    Weights, gradients and momentum, and what the forward pass keeps for the backward pass, in
    32-bit floats. A device takes some hundred MB more for itself and its libraries.

    Args:
        model: as it will be trained; it is copied.
        sample: one input, as the model reads it, without the dimension of the batch.
        batch_size: clips of one step.
    """
    shadow = copy.deepcopy(model).to("meta").train()
    learned: int = sum(p.numel() * p.element_size() for p in shadow.parameters() if p.requires_grad)
    fixed: int = sum(p.numel() * p.element_size() for p in shadow.state_dict().values())
    kept: dict[int, int] = {}
    weights = {p.untyped_storage()._cdata for p in shadow.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    inputs = torch.empty((2, *sample.shape), device="meta")
    with saved_tensors_hooks(note, lambda tensor: tensor):
        scores = shadow(inputs)
    each = sum(kept.values()) // len(inputs)
    del scores
    return fixed + 2 * learned + batch_size * each


def with_options(settings: TrainSettings, **options: Any) -> TrainSettings:
    """Replace what was given; ``None`` leaves a setting as it is."""
    return replace(settings, **{k: v for k, v in options.items() if v is not None})

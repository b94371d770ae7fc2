"""Every model by name: its paper, its input, its weights. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mimecurate.baselines.protocol import PoseProtocol, Protocol

Modality = Literal["rgb", "flow", "pose", "features"]
"""What a model reads: frames, optical flow, joints of tubes, or features of tubes."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of published weights.

    Attributes:
        url: the official place; ``None`` where only a person can get it (see ``where``).
        sha256: of the file, whole or as many leading digits as its publisher gives.
        licence: of the weights, as their publisher states it.
        where: in words, for what has no stable address.
        name: as its publisher calls it, to choose among several.
    """

    url: str | None
    sha256: str | None
    licence: str
    where: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What `baseline list` says of a model, and what `run` needs to know.

    Attributes:
        name: as typed: ``r2plus1d_18``.
        title: a few words.
        paper: authors, year and where the model is described.
        modality: what it reads.
        builder: ``module:function`` that makes the `torch.nn.Module`.
        settings: what the builder is called with, beside what the user gives.
        classes: of the published weights.
        parameters: number of learnable parameters with ``classes``.
        gflops: billions of multiply-adds of one view (T frames, one crop).
        protocol: the frames it wants; ``None`` for models of joints and features.
        pose: the joints or features it wants; ``None`` for models of frames.
        weights: published; empty where there are none.
        class_names: of the weights' outputs, as ``module:function``, called with the model's
            name; empty: given by the user.
    """

    name: str
    title: str
    paper: str
    modality: Modality
    builder: str
    classes: int
    parameters: int
    gflops: float
    protocol: Protocol | None = None
    pose: PoseProtocol | None = None
    weights: tuple[Weights, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    class_names: str = ""


def model_cards() -> dict[str, ModelCard]:
    """Give the card of every model by its name, in the order of `baseline list`."""
    from mimecurate.baselines.cards_pose import POSE_CARDS
    from mimecurate.baselines.cards_rgb import RGB_CARDS

    return {card.name: card for card in (*RGB_CARDS, *POSE_CARDS)}


def find_card(name: str) -> ModelCard:
    """Find a model.

    Raises:
        MimecurateError: there is none of that name; says which is near.
    """
    cards = model_cards()
    if name in cards:
        return cards[name]
    from difflib import get_close_matches

    near = [known for known in cards if name and known.startswith(name)]
    near = near or get_close_matches(name, cards, n=1)
    hint = f"did you mean {', '.join(near)}?" if near else "`mimecurate baseline list` names all"
    raise MimecurateError(f"no such model: {name!r}; {hint}")


def find_named(place: str) -> Any:
    """Import what a card names as ``module:function``."""
    from importlib import import_module

    module, _, name = place.partition(":")
    return getattr(import_module(module), name)

"""What a run needs before its first clip: device, model, weights, names of the classes."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mimecurate import baselines
from mimecurate.baselines.checkpoints import load_checkpoint, read_document
from mimecurate.baselines.registry import find_named
from mimecurate.baselines.train_state import trained_model
from mimecurate.baselines.weights import file_sha256, find_weights, weights_folder
from mimecurate.curation.class_list import normal_class_name
from mimecurate.errors import MimecurateError, plain_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from mimecurate.baselines.registry import ModelCard

RANDOM = "random"
RANDOM_NOTE = "random weights, no accuracy"
_MAX_LABELS_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class ReadyModel:
    """A model on its device, in evaluation mode.

    Attributes:
        model: it.
        class_names: of its outputs, in order.
        weights: where they come from, for the manifest.
    """

    model: nn.Module
    class_names: tuple[str, ...]
    weights: dict[str, Any]


def ready_model(
    card: ModelCard,
    *,
    weights: str | None,
    labels: Path | None,
    fallback_names: Sequence[str],
    seed: int,
    device: torch.device,
    workspace: Path,
    settings: Mapping[str, Any],
    on_bytes: Callable[[int, int | None], None] | None = None,
) -> ReadyModel:
    """Build a model and give it its weights.

    Args:
        card: of the model.
        weights: a file, the name of published weights, ``random``, or ``None``: the published.
            A checkpoint of `mimecurate baseline train` knows its classes.
        labels: names of its classes, one per line; ``None``: those of the weights.
        fallback_names: of the outputs of random weights, where nobody names them.
        seed: of random weights.
        device: where it goes.
        workspace: whose settings say where weights are kept.
        settings: for the builder.
        on_bytes: told of a download.

    Raises:
        MimecurateError: weights can't be had or don't fit, or nobody names the classes.
    """
    names = _class_names(card, labels)
    if weights == RANDOM:
        names = names or tuple(fallback_names)
        torch.manual_seed(seed)
        model = baselines.build(card.name, num_classes=len(names), **settings)
        entry: dict[str, Any] = {"source": RANDOM, "file": None, "sha256": None}
        return ReadyModel(model.to(device).eval(), names, entry)
    document = read_document(weights) if weights and Path(weights).is_file() else None
    trained = trained_model(document, str(weights))
    if trained is not None:
        if trained.model != card.name:
            raise MimecurateError(f"--weights {weights}: of {trained.model}, not of {card.name}")
        names = trained.class_names if labels is None else names
        settings = {**settings, **trained.model_settings}
    if not names:
        raise MimecurateError(
            f"{card.name}: nobody names its {card.classes} classes; give --labels FILE, one name "
            "per line in the order of the weights' outputs"
        )
    path = find_weights(card, weights, folder=weights_folder(workspace), on_bytes=on_bytes)
    try:
        model = baselines.build(card.name, num_classes=len(names), **settings)
    except (TypeError, ValueError) as error:
        if trained is None:
            raise
        raise MimecurateError(f"{path}: its settings of the model are wrong: {error}") from error
    load_checkpoint(model, read_document(path) if document is None else document, name=str(path))
    return ReadyModel(model.to(device).eval(), names, _weights_entry(card, path))


def _class_names(card: ModelCard, labels: Path | None) -> tuple[str, ...]:
    if labels is None:
        return tuple(find_named(card.class_names)(card.name)) if card.class_names else ()
    try:
        if labels.stat().st_size > _MAX_LABELS_BYTES:
            raise MimecurateError(f"{labels}: too large for a list of class names")
        lines = labels.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MimecurateError(f"{labels}: {plain_words(error)}") from error
    names = tuple(normal_class_name(line.strip()) for line in lines if line.strip())
    wrong = [name for name in names if not name.isprintable() or len(name) > 200]
    if not names or wrong:
        what = f"holds {wrong[0]!r:.80}" if wrong else "is empty"
        raise MimecurateError(f"{labels}: {what}; write one class name per line")
    return names


def _weights_entry(card: ModelCard, path: Path) -> dict[str, Any]:
    digest = file_sha256(path)
    published = next(
        (w for w in card.weights if w.sha256 and digest.startswith(w.sha256)),
        next((w for w in card.weights if w.url and w.url.endswith("/" + path.name)), None),
    )
    source = (published.url or published.where) if published else "a file"
    return {"source": source, "file": path.name, "sha256": digest}


def names_digest(class_names: Sequence[str]) -> str:
    """Make one short word of class names and their order."""
    return hashlib.sha256("\n".join(class_names).encode()).hexdigest()[:16]


def versions() -> dict[str, str]:
    """Say which versions of the parts that scores depend on are installed."""
    found = {"python": platform.python_version()}
    for package in ("mimecurate", "torch", "torchvision", "torchcodec", "av", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_revision() -> str | None:
    """Say which commit this code is, if it lies in a checkout; ``+`` where files differ."""
    here = Path(__file__).resolve().parent
    try:
        root = _git(here, "rev-parse", "--show-toplevel")
        if not (Path(root) / "baselines" / Path(__file__).name).exists():
            return None  # installed somewhere inside another project's checkout
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
        return _git(here, "rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()

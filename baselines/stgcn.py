"""ST-GCN: graph convolution over joints, temporal convolution over frames.

Paper: Yan, Xiong, Lin: "Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action
Recognition", AAAI 2018. Code: github.com/yysijie/st-gcn, and pyskl's version of it. Names of the
entries are the authors', so that their files load as they are; `rename_keys` takes pyskl's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mimecurate.baselines.skeleton_graphs import Strategy, adjacency

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTHS = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
"""Channels after each block; the temporal stride is 2 where they grow."""

TEMPORAL_KERNEL = 9


class GraphConvolution(nn.Module):
    """One 1x1 convolution for each subset of neighbours, summed over the neighbours."""

    def __init__(self, in_channels: int, out_channels: int, subsets: int) -> None:
        """Make the convolutions of all subsets as one."""
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * subsets, kernel_size=1)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Convolve float[N, C, T, V] over ``graph``, float[K, V, V]."""
        subsets = graph.shape[0]
        n, _, t, v = x.shape
        x = self.conv(x).view(n, subsets, -1, t, v)
        return torch.einsum("nkctv,kvw->nctw", x, graph)


class Block(nn.Module):
    """Graph convolution, temporal convolution and a way around both."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        subsets: int,
        *,
        stride: int,
        dropout: float,
        residual: bool,
    ) -> None:
        """Make one block; ``stride`` is that of the temporal convolution."""
        super().__init__()
        self.gcn = GraphConvolution(in_channels, out_channels, subsets)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(
                out_channels,
                out_channels,
                kernel_size=(TEMPORAL_KERNEL, 1),
                stride=(stride, 1),
                padding=(TEMPORAL_KERNEL // 2, 0),
            ),
            nn.BatchNorm2d(out_channels),
            nn.Dropout(dropout, inplace=True),
        )
        self.residual: nn.Module | None = None
        if residual and in_channels == out_channels and stride == 1:
            self.residual = nn.Identity()
        elif residual:
            self.residual = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=(stride, 1)),
                nn.BatchNorm2d(out_channels),
            )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        """Take float[N, C, T, V] to float[N, C', T/stride, V]."""
        y: Tensor = self.tcn(self.gcn(x, graph))
        if self.residual is not None:
            y = y + self.residual(x)
        result: Tensor = self.relu(y)
        return result


class StGcn(nn.Module):
    """ST-GCN of ten blocks.

    Attributes:
        layout: name of the joints' order.
        channels: numbers of each joint: x, y and its score, or x, y and z.
    """

    def __init__(
        self,
        layout: str = "openpose18",
        *,
        num_classes: int = 400,
        channels: int = 3,
        strategy: Strategy = "spatial",
        max_hop: int = 1,
        dropout: float = 0.0,
        edge_importance: bool = True,
    ) -> None:
        """Make the model with PyTorch's default weights.

        Args:
            layout: one of `skeleton_graphs.LAYOUTS`.
            num_classes: number of outputs.
            channels: numbers of each joint.
            strategy: how neighbours are split; the published weights all have ``spatial``.
            max_hop: bones between neighbours, at most.
            dropout: after each block but the first; 0 for Kinetics, 0.5 for NTU RGB+D.
            edge_importance: learn a factor for every entry of the graph, block by block.

        Raises:
            SettingError: no such layout or strategy.
        """
        super().__init__()
        self.layout, self.channels = layout, channels
        graph = torch.tensor(adjacency(layout, strategy, max_hop=max_hop), dtype=torch.float32)
        self.A: Tensor
        self.register_buffer("A", graph)
        subsets, joints = graph.shape[0], graph.shape[1]
        self.data_bn = nn.BatchNorm1d(channels * joints)
        before = (channels, *WIDTHS[:-1])
        self.st_gcn_networks = nn.ModuleList(
            Block(
                narrow,
                wide,
                subsets,
                stride=2 if index > 0 and wide > narrow else 1,
                dropout=dropout if index > 0 else 0.0,
                residual=index > 0,
            )
            for index, (narrow, wide) in enumerate(zip(before, WIDTHS, strict=True))
        )
        self.edge_importance: nn.ParameterList | None = None
        if edge_importance:
            self.edge_importance = nn.ParameterList(
                nn.Parameter(torch.ones_like(graph)) for _ in WIDTHS
            )
        self.fcn = nn.Conv2d(WIDTHS[-1], num_classes, kernel_size=1)

    def features(self, x: Tensor) -> Tensor:
        """Average what the last block gives over frames, joints and persons.

        Args:
            x: float[N, C, T, V, M], M persons; those that are all zero count too.

        Returns:
            float[N, 256, 1, 1].
        """
        n, c, t, v, m = x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(n * m, v * c, t)
        x = self.data_bn(x)
        x = x.view(n * m, v, c, t).permute(0, 2, 3, 1).contiguous()
        for index, block in enumerate(self.st_gcn_networks):
            graph = self.A if self.edge_importance is None else self.A * self.edge_importance[index]
            x = block(x, graph)
        return x.mean(dim=(2, 3)).view(n, m, -1).mean(dim=1)[:, :, None, None]

    def score_alone(self, x: Tensor, persons: int) -> Tensor:
        """Score people one by one, each as if the other ``persons - 1`` were zeros.

        The same as `forward` with those zeros, which are computed once for all; in evaluation
        mode only.

        Args:
            x: float[N, C, T, V, 1].
            persons: M, of which all but one are zeros.

        Returns:
            float[N, num_classes], logits.
        """
        features = self.features(x)
        if persons > 1:
            nobody = self.features(torch.zeros_like(x[:1]))
            features = (features + (persons - 1) * nobody) / persons
        logits: Tensor = self.fcn(features)
        return logits.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Score sequences of joints.

        Args:
            x: float[N, C, T, V, M]: N clips, C numbers of each joint, T frames, V joints, M
                persons.

        Returns:
            float[N, num_classes], logits.
        """
        logits: Tensor = self.fcn(self.features(x))
        return logits.flatten(1)


def class_names(name: str) -> Sequence[str]:
    """Name the 400 outputs of the authors' Kinetics weights, in order.

    Their ``label_name.txt`` is in alphabetical order, as torchvision's list of the same classes.

    Args:
        name: of the model; it doesn't matter.
    """
    from mimecurate.baselines import torchvision_models

    return torchvision_models.class_names("r3d_18")


_PYSKL_NAMES = (
    (r"^cls_head\.fc_cls\.", "fcn."),
    (r"^backbone\.data_bn\.", "data_bn."),
    (r"^backbone\.gcn\.(\d+)\.gcn\.PA$", r"edge_importance.\1"),
    (r"^backbone\.gcn\.(\d+)\.gcn\.conv\.", r"st_gcn_networks.\1.gcn.conv."),
    (r"^backbone\.gcn\.(\d+)\.gcn\.bn\.", r"st_gcn_networks.\1.tcn.0."),
    (r"^backbone\.gcn\.(\d+)\.tcn\.conv\.", r"st_gcn_networks.\1.tcn.2."),
    (r"^backbone\.gcn\.(\d+)\.tcn\.bn\.", r"st_gcn_networks.\1.tcn.3."),
    (r"^backbone\.gcn\.(\d+)\.residual\.conv\.", r"st_gcn_networks.\1.residual.0."),
    (r"^backbone\.gcn\.(\d+)\.residual\.bn\.", r"st_gcn_networks.\1.residual.1."),
)
_PYSKL_GRAPH = re.compile(r"^backbone\.gcn\.(\d+)\.gcn\.A$")


def rename_keys(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the entries of a checkpoint the names that `StGcn` has.

    The authors' own names stay. pyskl's and mmaction2's ``backbone.…`` and ``cls_head.…`` are
    mapped; their graph is there once for each block, here once for all.

    Args:
        state_dict: without wrapper and without ``module.``.

    Raises:
        ValueError: the blocks' graphs differ, which this model can't have.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state_dict.items():
        if _PYSKL_GRAPH.match(key):
            if "A" in renamed and not torch.equal(renamed["A"], value):
                raise ValueError(
                    f"{key} differs from the graph of the blocks before it: trained with a "
                    "learned graph, which ST-GCN (Yan et al. 2018) doesn't have"
                )
            renamed["A"] = value
            continue
        for pattern, name in _PYSKL_NAMES:
            key = re.sub(pattern, name, key)
        renamed[key] = value[:, :, None, None] if _is_linear_head(key, value) else value
    return renamed


def _is_linear_head(key: str, value: Tensor) -> bool:
    """Whether this is the classifier as a matrix; here it is a 1x1 convolution."""
    return key == "fcn.weight" and value.ndim == 2

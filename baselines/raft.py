"""Flow by RAFT, as torchvision has it.

Paper: Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms for Optical Flow", ECCV 2020.
Code: `torchvision.models.optical_flow`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch.nn import functional as F

from mimecurate.baselines.checkpoints import load_checkpoint
from mimecurate.baselines.registry import Weights
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from torch import Tensor, nn

Raft = Literal["raft_large", "raft_small"]

_MIN_SIDE = 128
"""torchvision's RAFT looks at correlations on four levels, which needs so many pixels."""


def build_raft(name: Raft, weights: str | None) -> nn.Module:
    """Make RAFT, ready to be asked.

    Args:
        name: ``raft_large`` or ``raft_small``.
        weights: a file, as of `raft_weights`; or ``random``, for trying only: what it then gives
            means nothing.

    Raises:
        MimecurateError: the file can't be read, or is no checkpoint of this model.
    """
    from torchvision.models import get_model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = get_model(name, weights=None)
    if weights != "random":
        if weights is None:
            raise MimecurateError(f"{name} needs weights: a file, or random")
        load_checkpoint(model, weights)
    return model.eval()


def raft_weights(name: Raft) -> Weights:
    """Say where torchvision's default weights are, and how their SHA-256 begins.

    >>> raft_weights("raft_small").name
    'Raft_Small_Weights.C_T_V2'
    """
    from torchvision.models import get_model_weights

    default = get_model_weights(name)["DEFAULT"]
    digits = default.url.rpartition("-")[2].removesuffix(".pth")
    licence = "as torchvision: BSD-3-Clause; trained on FlyingChairs and FlyingThings3D"
    return Weights(default.url, digits, licence, name=str(default))


@torch.no_grad()
def raft_flow(model: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Compute where each pixel of the first frames went.

    Args:
        model: of `build_raft`, on the frames' device.
        first: ``(N, 3, H, W)`` uint8, RGB.
        second: the same, the frames that follow.

    Returns:
        ``(N, 2, H, W)`` float32, in pixels: x to the right, y down. Frames are extended to
        multiples of 8 pixels, and to 128 at least, by repeating their borders; flow is cut back.

    Raises:
        ValueError: another shape, or two shapes.
    """
    if first.ndim != 4 or first.shape != second.shape or first.shape[1] != 3:
        raise ValueError(
            f"frames have shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            "both must be (pairs, 3, height, width)"
        )
    height, width = first.shape[2:]
    if not len(first):
        return first.new_zeros((0, 2, height, width), dtype=torch.float32)
    top, bottom = _margins(height)
    left, right = _margins(width)
    padding = (left, right, top, bottom)
    a, b = (F.pad(x.float() / 127.5 - 1, padding, mode="replicate") for x in (first, second))
    flow: Tensor = model(a, b)[-1]
    return flow[..., top : top + height, left : left + width].float()


def _margins(side: int) -> tuple[int, int]:
    missing = max(-side % 8, _MIN_SIDE - side)
    return missing // 2, missing - missing // 2

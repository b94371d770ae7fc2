"""TV-L1 optical flow in torch, many frame pairs at once, on any device.

Paper: Zach, Pock, Bischof, "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007;
algorithm and discretisation as in Sánchez, Meinhardt-Llopis, Facciolo, "TV-L1 Optical Flow
Estimation", IPOL 2013. Pyramid, warping, borders, median filter and stopping are those of OpenCV's
`DualTVL1OpticalFlow` (without its illumination term, which is off there too), so that models
trained on its flow see the same.

Each pair stops by itself, as in OpenCV: a fixed number of iterations would cost most pairs several
times as much, and a common end would make a pair's flow depend on its batch. What has stopped
leaves the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from torch.nn import functional as F

from mimecurate.baselines.median import median5
from mimecurate.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

MIN_SIDE = 16
"""The pyramid ends before a side is shorter, in pixels."""
_SUBPIXELS = 32
"""OpenCV samples images at multiples of 1/32 pixel."""


@dataclass(frozen=True, slots=True)
class TvL1:
    """The settings of TV-L1, with OpenCV's names and defaults.

    Attributes:
        tau: time step of the dual variable; converges up to 0.25.
        lambda_: weight of the data term: smaller is smoother.
        theta: tightness: how near the two halves of the split problem are kept.
        scales: levels of the pyramid, at most: it ends at 16 pixels.
        warps: times the second frame is warped by the flow, per level.
        epsilon: a warp ends when the flow changes by less than this, in pixels: root mean square.
        inner_iterations: between median filterings.
        outer_iterations: of filter and inner iterations, per warp.
        scale_step: a level's size by the one below it.
        median: 5: filter the flow by the median of 5 x 5 pixels; 1: do not.
    """

    tau: float = 0.25
    lambda_: float = 0.15
    theta: float = 0.3
    scales: int = 5
    warps: int = 5
    epsilon: float = 0.01
    inner_iterations: int = 30
    outer_iterations: int = 10
    scale_step: float = 0.8
    median: int = 5

    def __post_init__(self) -> None:
        """Refuse what no flow can be computed with.

        Raises:
            SettingError: naming the setting.
        """
        for name in ("tau", "lambda_", "theta"):
            if not (math.isfinite(value := getattr(self, name)) and value > 0):
                raise SettingError(f"TV-L1's {name.rstrip('_')} is {value}; it must be over 0")
        for name in ("scales", "warps", "inner_iterations", "outer_iterations"):
            if (value := getattr(self, name)) < 1:
                raise SettingError(f"TV-L1's {name} is {value}; it must be at least 1")
        if not 0 < self.scale_step < 1:
            raise SettingError(
                f"TV-L1's scale_step is {self.scale_step}; it must be between 0 and 1"
            )
        if not self.epsilon >= 0:
            raise SettingError(f"TV-L1's epsilon is {self.epsilon}; it must not be negative")
        if self.median not in (1, 5):
            raise SettingError(f"TV-L1's median is {self.median}; it must be 5, or 1 for none")


@torch.no_grad()
def tvl1_flow(
    first: Tensor, second: Tensor, settings: TvL1 | None = None, *, compiled: bool = False
) -> Tensor:
    """Compute where each pixel of the first frames went.

    Args:
        first: ``(N, H, W)``, grey frames of 0 to 255, uint8 or float32.
        second: the same, the frames that follow. Both on one device: there all is computed.
        settings: by default OpenCV's.
        compiled: fuse the inner iteration with `torch.compile`. The first call takes a minute.

    Returns:
        ``(N, 2, H, W)`` float32, in pixels: x to the right, y down.

    Raises:
        ValueError: another shape, or two shapes.

    >>> frame = torch.arange(32 * 32).reshape(1, 32, 32) % 251
    >>> tvl1_flow(frame, frame).abs().max().item()
    0.0
    """
    if first.ndim != 3 or first.shape != second.shape or 0 in first.shape[1:]:
        raise ValueError(
            f"frames have shapes {tuple(first.shape)} and {tuple(second.shape)}; "
            "both must be (pairs, height, width)"
        )
    settings = settings or TvL1()
    step = _compiled_step() if compiled else _iterate
    if not len(first):
        return first.new_zeros((0, 2, *first.shape[1:]), dtype=torch.float32)
    if first.device.type == "cpu":  # one pair's planes fit into the cache; a batch's do not
        pairs = zip(first, second, strict=True)
        return torch.cat([_pyramid_flow(a[None], b[None], settings, step) for a, b in pairs])
    return _pyramid_flow(first, second, settings, step)


Step: TypeAlias = "Callable[[Tensor, Tensor, Tensor, _Warped, TvL1], tuple[Tensor, Tensor]]"


class _Warped(NamedTuple):
    """The second frames, warped by the flow, in the form that each iteration wants.

    The data term's step is ``clamp(offset + slope · u, ±lambda theta) * gradient``.
    """

    gradient: Tensor
    """``(N, 2, H, W)``, of the warped frames along x and y."""
    slope: Tensor
    """``(N, 2, H, W)``, minus the gradient by its squared length."""
    offset: Tensor
    """``(N, 1, H, W)``, minus the residual at no flow, by the gradient's squared length."""


def _pyramid_flow(first: Tensor, second: Tensor, settings: TvL1, step: Step) -> Tensor:
    levels = [torch.stack([first, second], 1).float()]
    while len(levels) < settings.scales:
        size = [round(side * settings.scale_step) for side in levels[-1].shape[2:]]
        if min(size) < MIN_SIDE:
            break
        levels.append(_resize(levels[-1], size, 1 / settings.scale_step))
    flow = torch.zeros_like(levels[-1])
    for level in reversed(levels):
        if flow.shape != level.shape:
            flow = _resize(flow, list(level.shape[2:])).div_(settings.scale_step)
        flow = _one_scale(level[:, :1], level[:, 1:], flow, settings, step)
    return flow


def _one_scale(first: Tensor, second: Tensor, flow: Tensor, settings: TvL1, step: Step) -> Tensor:
    """Improve the flow of one level of the pyramid, where frames are ``(N, 1, H, W)``."""
    pairs, _, height, width = flow.shape
    images = torch.cat([second, _centred_gradient(second)], 1)
    # sides of 2^k pixels make `grid_sample`'s coordinates exact: what is still stays exactly still
    images = F.pad(images, (0, _power_of_2(width) - width, 0, _power_of_2(height) - height))
    # the dual variables times theta, along x and y; their first column and row stay 0
    duals = (
        flow.new_zeros((pairs, 2, height, width + 1)),
        flow.new_zeros((pairs, 2, height + 1, width)),
    )
    for _ in range(settings.warps):
        _iterate_until_still(flow, duals, _warp(first, images, flow), settings, step)
    return flow


def _iterate_until_still(
    flow: Tensor, duals: tuple[Tensor, Tensor], warped: _Warped, settings: TvL1, step: Step
) -> None:
    """Change flow and duals in place, each pair's until its flow changes by little."""
    enough = settings.epsilon**2 * flow[0, 0].numel()
    rows = torch.arange(len(flow), device=flow.device)
    kept = (flow, *duals)
    u, x, y = kept
    for iteration in range(settings.outer_iterations * settings.inner_iterations):
        if settings.median > 1 and iteration % settings.inner_iterations == 0:
            u = median5(u)
        u, change = step(u, x, y, warped, settings)
        moving = change > enough
        if moving.all():
            continue
        _put_back(kept, (u, x, y), rows)
        if not moving.any():
            return
        rows, u, x, y = rows[moving], u[moving], x[moving], y[moving]
        warped = _Warped(*(planes[moving] for planes in warped))
    _put_back(kept, (u, x, y), rows)


def _put_back(kept: Sequence[Tensor], found: Sequence[Tensor], rows: Tensor) -> None:
    for to, planes in zip(kept, found, strict=True):
        if planes is not to:
            to.index_copy_(0, rows, planes)


def _iterate(
    u: Tensor, dual_x: Tensor, dual_y: Tensor, warped: _Warped, settings: TvL1
) -> tuple[Tensor, Tensor]:
    """Do one iteration, on the duals in place; give the new flow and each pair's squared change."""
    gradient, slope, offset = warped
    limit = settings.lambda_ * settings.theta
    amount = torch.addcmul(offset, slope[:, :1], u[:, :1])
    amount = amount.addcmul_(slope[:, 1:], u[:, 1:]).clamp_(-limit, limit)
    new = torch.addcmul(u, amount, gradient)
    new += dual_x[..., 1:]
    new -= dual_x[..., :-1]
    new += dual_y[..., 1:, :]
    new -= dual_y[..., :-1, :]
    change = (new - u).square_().sum((1, 2, 3))
    beyond = F.pad(new, (0, 1, 0, 1), mode="replicate")
    along_x = beyond[..., :-1, 1:] - new
    along_y = beyond[..., 1:, :-1] - new
    norm = torch.hypot(along_x, along_y).mul_(settings.tau / settings.theta).add_(1)
    dual_x[..., 1:].add_(along_x, alpha=settings.tau).div_(norm)
    dual_y[..., 1:, :].add_(along_y, alpha=settings.tau).div_(norm)
    return new, change


@cache
def _compiled_step() -> Step:
    return torch.compile(_iterate, dynamic=True)


def _warp(first: Tensor, images: Tensor, flow: Tensor) -> _Warped:
    """Warp the second frames and their gradients by the flow.

    Sampled as by OpenCV's `remap`: bicubic with A = -0.75, at multiples of 1/32 pixel, 0 outside.
    """
    height, width = flow.shape[2:]
    sides = flow.new_tensor([images.shape[3], images.shape[2]])
    x = torch.arange(width, device=flow.device) + flow[:, 0]
    y = torch.arange(height, device=flow.device)[:, None] + flow[:, 1]
    at = torch.stack([x, y], -1).mul_(_SUBPIXELS).round_().div_(_SUBPIXELS)
    at = (at * 2 + 1) / sides - 1
    sampled = F.grid_sample(images, at, "bicubic", "zeros", align_corners=False)
    gradient = sampled[:, 1:]
    square = gradient.square().sum(1, keepdim=True)
    inverse = square.clamp_(min=torch.finfo(torch.float32).eps).reciprocal_().neg_()
    residual = sampled[:, :1] - first - (gradient * flow).sum(1, keepdim=True)
    return _Warped(gradient.contiguous(), gradient * inverse, residual * inverse)


def _power_of_2(side: int) -> int:
    """Round up.

    >>> _power_of_2(256), _power_of_2(340)
    (256, 512)
    """
    return 1 << (side - 1).bit_length()


def _centred_gradient(image: Tensor) -> Tensor:
    """``(N, 1, H, W)`` -> ``(N, 2, H, W)``, along x and y, with the borders repeated."""
    padded = F.pad(image, (1, 1, 1, 1), mode="replicate")
    along_x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    along_y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    return torch.cat([along_x, along_y], 1).div_(2)


def _resize(image: Tensor, size: Sequence[int], scale: float | None = None) -> Tensor:
    """Resize bilinearly, as OpenCV: without a low-pass filter, at a scale that may be told."""
    for dim, length in zip((-2, -1), size, strict=True):
        old = image.shape[dim]
        at = torch.arange(length, device=image.device, dtype=torch.float64)
        at = ((at + 0.5) * (scale or old / length) - 0.5).clamp_(0, old - 1)
        low = at.long()
        share = (at - low).to(image.dtype)
        share = share[:, None] if dim == -2 else share
        high = (low + 1).clamp_(max=old - 1)
        image = torch.lerp(image.index_select(dim, low), image.index_select(dim, high), share)
    return image

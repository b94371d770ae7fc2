"""From decoded frames to what a model reads: resize and crop bytes, then floats on the device.

Bytes are kept until the batch is on the device: a float is four times as much to move. All
published codes round to bytes after resizing, too, as images are bytes in PIL and torchvision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from mimecurate.baselines.protocol import Protocol

_CHUNK_BYTES = 64 << 20


def resized_size(protocol: Protocol, height: int, width: int) -> tuple[int, int]:
    """Tell the size (height, width) of frames after resizing.

    The longer side is cut down to whole pixels, as PIL-based codes and torchvision do.

    >>> from mimecurate.baselines.protocol import Protocol
    >>> resized_size(Protocol(16, 1, (112, 112), (0,), (1,), short_side=112), 240, 427)
    (112, 199)
    """
    if protocol.resize is not None:
        return protocol.resize
    short = protocol.short_side
    if short is None or short == min(height, width):
        return height, width
    if height <= width:
        return short, max(short, int(short * width / height))
    return max(short, int(short * height / width)), short


def resize(frames: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Resize frames bilinearly; the numbers are PIL's with ``antialias``, else torchvision's.

    Args:
        frames: uint8[T, C, H, W], on any device.
        protocol: of the model.

    Returns:
        uint8[T, C, h, w]; ``frames`` itself where nothing is to be done.
    """
    size = resized_size(protocol, frames.shape[-2], frames.shape[-1])
    if size == tuple(frames.shape[-2:]):
        return frames
    each = 4 * frames.shape[1] * max(frames.shape[-2] * frames.shape[-1], size[0] * size[1])
    step = max(1, _CHUNK_BYTES // each)
    parts = [
        _resize(frames[first : first + step], size, protocol.antialias)
        for first in range(0, len(frames), step)
    ]
    return torch.cat(parts) if len(parts) != 1 else parts[0]


def _resize(frames: torch.Tensor, size: tuple[int, int], antialias: bool) -> torch.Tensor:
    if antialias and frames.device.type == "cpu":
        return functional.interpolate(frames, size, mode="bilinear", antialias=True)
    floats = functional.interpolate(frames.float(), size, mode="bilinear", antialias=antialias)
    return floats.round_().clamp_(0, 255).to(torch.uint8)


def crop(frames: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Cut the test-time crops out of resized frames.

    Args:
        frames: [..., H, W].
        protocol: of the model.

    Returns:
        [crops, ..., h, w]: the centre; or three along the longer side, from its start.
    """
    height, width = protocol.crop
    below, beside = frames.shape[-2] - height, frames.shape[-1] - width
    if below < 0 or beside < 0:
        raise ValueError(f"frames of {tuple(frames.shape[-2:])} are smaller than {protocol.crop}")
    top, left = round(below / 2), round(beside / 2)
    places = [(top, left)]
    if protocol.crops == 3:
        along = beside >= below
        places = [(top, x) for x in (0, left, beside)]
        if not along:
            places = [(y, left) for y in (0, top, below)]
    return torch.stack([frames[..., y : y + height, x : x + width] for y, x in places])


def normalise(views: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Make floats of bytes, with the model's range, mean and deviation.

    Args:
        views: uint8[B, T, C, h, w], on the model's device.
        protocol: of the model.

    Returns:
        float32[B, C, T, h, w].
    """
    shape = (1, -1, 1, 1, 1)
    mean = torch.tensor(protocol.mean, dtype=torch.float32, device=views.device).view(shape)
    std = torch.tensor(protocol.std, dtype=torch.float32, device=views.device).view(shape)
    floats = views.transpose(1, 2).to(torch.float32, memory_format=torch.contiguous_format)
    return floats.div_(protocol.scale).sub_(mean).div_(std)

"""Run a model over the views of many clips in batches, and average each clip's scores."""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch

from mimecurate.baselines.clip_trouble import batch_of, is_memory
from mimecurate.baselines.clip_views import ClipViews
from mimecurate.baselines.transforms import normalise
from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from mimecurate.baselines.protocol import Protocol

Amp = str | None
"""``bf16`` or ``None``."""

_CPU_BATCH = 4
_CUDA_BATCH = 64
_CPU_SHARE, _CUDA_SHARE = 0.5, 0.7
"""Of the free memory, what a batch may take."""


class _Clip:
    """A clip whose views are partly scored."""

    def __init__(self, clip_id: str, views: ClipViews | ClipError) -> None:
        self.clip_id = clip_id
        self.views: ClipViews | None = views if isinstance(views, ClipViews) else None
        self.error = views if isinstance(views, ClipError) else None
        self.left = 0 if self.views is None else len(self.views)
        self.outputs: list[torch.Tensor] = []


def score_views(
    clips: Iterable[tuple[str, ClipViews | ClipError]],
    model: nn.Module,
    protocol: Protocol,
    *,
    device: torch.device,
    batch_size: int,
    amp: Amp = None,
) -> Iterator[list[tuple[str, NDArray[np.float32] | ClipError]]]:
    """Score clips, a batch of views at a time; a batch may hold views of several clips.

    Args:
        clips: id and views of each, or why there are none.
        model: in evaluation mode, on the device.
        protocol: of the model.
        device: where it is.
        batch_size: views.
        amp: ``bf16``: in bfloat16 where autocast says so.

    Raises:
        MimecurateError: a batch does not fit into the memory.

    Yields:
        After each batch the clips that are done, in order: float32[C], probabilities averaged over
        views, or the softmax of averaged logits where the protocol has it so.
    """
    waiting: deque[_Clip] = deque()
    batch: list[tuple[_Clip, int]] = []
    for clip_id, views in clips:
        clip = _Clip(clip_id, views)
        waiting.append(clip)
        for number in range(clip.left):
            batch.append((clip, number))
            if len(batch) == batch_size:
                _run(model, protocol, batch, device, amp)
                batch = []
                if done := list(_done(waiting, protocol)):
                    yield done
    if batch:
        _run(model, protocol, batch, device, amp)
    if done := list(_done(waiting, protocol)):
        yield done


def _done(
    waiting: deque[_Clip], protocol: Protocol
) -> Iterator[tuple[str, NDArray[np.float32] | ClipError]]:
    while waiting and waiting[0].left == 0:
        clip = waiting.popleft()
        yield clip.clip_id, clip.error or _average(clip.clip_id, clip.outputs, protocol)


def _run(
    model: nn.Module,
    protocol: Protocol,
    batch: list[tuple[_Clip, int]],
    device: torch.device,
    amp: Amp,
) -> None:
    views = torch.stack([c.views.view(number) for c, number in batch if c.views is not None])
    with batch_of(len(batch), device):
        outputs = forward(model, views, protocol, device, amp)
    for (clip, _), output in zip(batch, outputs, strict=True):
        clip.outputs.append(output)
        clip.left -= 1
        if not clip.left:
            clip.views = None  # its frames are not needed any more


def forward(
    model: nn.Module, views: torch.Tensor, protocol: Protocol, device: torch.device, amp: Amp
) -> torch.Tensor:
    """Run the model on uint8[B, T, C, h, w].

    Returns:
        float32[B, C], logits, averaged over time where the model gives them over time; on the CPU.
    """
    cast: Any = torch.autocast(device.type, torch.bfloat16) if amp == "bf16" else nullcontext()
    with torch.inference_mode(), cast:
        logits: torch.Tensor = model(normalise(views.to(device), protocol))
        return logits.float().flatten(2).mean(2).cpu() if logits.ndim > 2 else logits.float().cpu()


def _average(
    clip_id: str, outputs: list[torch.Tensor], protocol: Protocol
) -> NDArray[np.float32] | ClipError:
    logits = torch.stack(outputs).double()
    if protocol.average == "logits":
        scores = logits.mean(0).softmax(0)
    else:
        scores = logits.softmax(1).mean(0)
    if not torch.isfinite(scores).all():
        return ClipError(Reason.OTHER, f"{clip_id}: the model's scores are not finite")
    found: NDArray[np.float32] = scores.float().numpy()
    return found


def largest_batch(
    model: nn.Module, protocol: Protocol, *, channels: int, device: torch.device, amp: Amp
) -> int:
    """Find how many views to score at once, by trying how much memory they take.

    On CUDA sizes double up to 64, on a CPU up to 4 by what a single view took: beyond, little is
    gained. By memory alone, not by time: so a machine takes the same size each time, and gives the
    same scores to the last bit.

    Raises:
        MimecurateError: not even one view fits.
    """
    is_cuda = device.type == "cuda"
    size, best, most = 1, 0, _CUDA_BATCH if is_cuda else _CPU_BATCH
    free, each = _free_bytes(device), 0
    while size <= most and each * size <= free:
        if is_cuda or not best:
            used = _try(model, protocol, (size, channels), device, amp)
            if used is None:
                break
            each = max(each, used // size)
        best, size = size, 2 * size
    if is_cuda:
        torch.cuda.empty_cache()
    if not best:
        raise MimecurateError(f"one view does not fit into the memory of {device}")
    return best


def _try(
    model: nn.Module, protocol: Protocol, shape: tuple[int, int], device: torch.device, amp: Amp
) -> int | None:
    """Score black views, and say how many bytes that took; ``None``: too many."""
    size, channels = shape
    views = torch.zeros((size, protocol.frames, channels, *protocol.crop), dtype=torch.uint8)
    before = _peak_bytes(device)
    try:
        forward(model, views, protocol, device, amp)
    except (RuntimeError, MemoryError) as error:
        if is_memory(error):
            return None
        raise
    return _peak_bytes(device) - before


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0] * _CUDA_SHARE)
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            fields = dict(line.split(":") for line in file)
        return int(int(fields["MemAvailable"].split()[0]) * 1024 * _CPU_SHARE)
    except (OSError, KeyError, ValueError):
        return 1 << 31


def _peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

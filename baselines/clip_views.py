"""One clip's frames, decoded, resized and cropped to bytes, with the views a model will see."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from math import prod
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from mimecurate.baselines.clip_trouble import check_resized, clip_error
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.flow_store import read_flow
from mimecurate.baselines.sampling import view_frames
from mimecurate.baselines.transforms import crop, resize, resized_size
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mimecurate.baselines.decode import Decoder
    from mimecurate.baselines.protocol import Protocol

Item = TypeVar("Item")
Result = TypeVar("Result")

_CHUNK_BYTES = 64 << 20
_MAX_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class ClipViews:
    """What a model will see of a clip.

    Attributes:
        frames: uint8[crops, U, C, h, w], each frame that is in some view, once.
        views: int64[V, T], places in ``frames``.
        decoder: that gave the frames, ``torchcodec`` or ``pyav``; of stored flow none.
    """

    frames: torch.Tensor
    views: torch.Tensor
    decoder: str = ""

    def __len__(self) -> int:
        """Count views, of all crops."""
        return len(self.frames) * len(self.views)

    def view(self, number: int) -> torch.Tensor:
        """Give uint8[T, C, h, w]; those of the first crop come first."""
        which, place = divmod(number, len(self.views))
        return self.frames[which].index_select(0, self.views[place])


def video_views(
    path: Path, protocol: Protocol, *, device: torch.device, decoder: Decoder = "auto"
) -> ClipViews:
    """Decode what a model sees of a video.

    Frames are read, moved to the device and made small a part at a time: a clip of large frames
    needs no more memory than another.

    Raises:
        ClipError: it can't be decoded, or is so long that its views don't fit into memory.
    """
    with open_video(path, decoder=decoder, device=device) as video:
        chosen = view_frames(protocol, video.frames, video.fps)
        places, views = np.unique(chosen, return_inverse=True)
        _check_size(path.name, len(places), 3, protocol)
        before = video.height, video.width
        after = resized_size(protocol, *before)
        check_resized(path.name, before, after)
        step = max(1, _CHUNK_BYTES // (3 * max(prod(before), prod(after))))
        parts = (
            video.read(places[first : first + step].tolist())
            for first in range(0, len(places), step)
        )
        found = _cropped(parts, views.reshape(chosen.shape), protocol, device)
        return replace(found, decoder=video.decoder)


def flow_views(
    folder: Path,
    clip_id: str,
    protocol: Protocol,
    *,
    device: torch.device,
    fps: float | None,
    made: str | None = None,
) -> ClipViews:
    """Read what a model sees of a clip's stored flow.

    Args:
        folder: the store.
        clip_id: the clip.
        protocol: of the model.
        device: where the model is.
        fps: of the clip, where the protocol asks for a rate.
        made: how, as `flow_store.how_made` says it; ``None``: in whatever way.

    Raises:
        ClipError: there is none, it is damaged, or its rate is wanted and not known.
    """
    if fps is None and protocol.fps is not None:
        raise ClipError(Reason.UNAVAILABLE, f"{clip_id}: its frame rate is told by its media alone")
    flow = torch.from_numpy(read_flow(folder, clip_id, made=made))
    if not len(flow):
        raise ClipError(Reason.INTERVAL_OUTSIDE, f"{clip_id}: a single frame has no flow")
    before = flow.shape[-2], flow.shape[-1]
    check_resized(clip_id, before, resized_size(protocol, *before))
    chosen = view_frames(protocol, len(flow), fps or 1.0)
    places, views = np.unique(chosen, return_inverse=True)
    parts = [flow[torch.from_numpy(places)]]
    return _cropped(parts, views.reshape(chosen.shape), protocol, device)


def _check_size(name: str, frames: int, channels: int, protocol: Protocol) -> None:
    """Refuse a video whose views alone would fill the memory."""
    wanted = frames * protocol.crops * channels * protocol.crop[0] * protocol.crop[1]
    if wanted > _MAX_BYTES:
        raise ClipError(
            Reason.UNSUPPORTED, f"{name}: views of {frames} frames; cut a shorter clip of it"
        )


def _cropped(
    parts: Iterable[torch.Tensor], views: object, protocol: Protocol, device: torch.device
) -> ClipViews:
    """Resize and crop frames; on CUDA beside the model, in this thread's own stream."""
    make_stream: Any = torch.cuda.Stream
    stream = make_stream(device) if device.type == "cuda" else None
    with torch.cuda.stream(stream) if stream is not None else nullcontext():
        small = [crop(resize(part.to(device), protocol), protocol) for part in parts]
        frames = torch.cat(small, dim=1) if len(small) > 1 else small[0]
        places = torch.as_tensor(views, device=device)
    if stream is not None:
        stream.synchronize()
        frames.record_stream(torch.cuda.current_stream(device))
        places.record_stream(torch.cuda.current_stream(device))
    return ClipViews(frames, places)


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int
) -> Iterator[tuple[Item, Result | ClipError]]:
    """Do work in threads and give results in the order of the items, none far ahead of its turn.

    At most two results per worker wait, so memory does not grow with the number of items.

    Args:
        work: may raise `ClipError`, which becomes the result, as do want of memory and what torch
            can't do with the item; other errors end the iteration.
        items: what to work on; drawn as needed.
        workers: threads.
    """

    def attempt(item: Item) -> Result | ClipError:
        try:
            return work(item)
        except ClipError as error:
            return error
        except (RuntimeError, MemoryError) as error:
            return clip_error(error, "it can't be prepared")

    rest = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        waiting = deque((item, pool.submit(attempt, item)) for item in islice(rest, 2 * workers))
        try:
            while waiting:
                item, future = waiting.popleft()
                result = future.result()
                waiting.extend((new, pool.submit(attempt, new)) for new in islice(rest, 1))
                yield item, result
        finally:
            for _, future in waiting:
                future.cancel()

"""Clips as models of frames are trained on them: random frames, sizes, crops and mirrors."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch.utils.data import DataLoader, Dataset

from mimecurate.baselines.clip_trouble import check_resized
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.sampling import held, looped, resampled, view_frames
from mimecurate.baselines.train_batches import begin_worker
from mimecurate.baselines.train_validate import Scored
from mimecurate.baselines.transforms import crop, normalise, resize, resized_size
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mimecurate.baselines.decode import Video
    from mimecurate.baselines.protocol import Protocol

LARGEST = 1.25
"""The shorter side is resized to 1 to 1.25 times what it is at test time (256 to 320 pixels for
256: Simonyan and Zisserman's scale jitter, in the range that video models have used since)."""


class FrameClips:
    """Clips of video files, with their classes.

    Attributes:
        clip_ids: of the clips.
        labels: the number of each one's class.
    """

    def __init__(
        self,
        clip_ids: Sequence[str],
        paths: Sequence[Path],
        labels: Sequence[int],
        protocol: Protocol,
        *,
        batch_size: int = 8,
        augment: bool = True,
    ) -> None:
        """Describe the clips; no file is opened yet.

        Args:
            clip_ids: of the clips.
            paths: of their files.
            labels: the number of each one's class.
            protocol: the frames that the model wants.
            batch_size: clips that are scored at once.
            augment: crop, resize and mirror at random; otherwise the centre is cut out.
        """
        self.clip_ids, self.labels, self._paths = clip_ids, labels, paths
        self._protocol, self._batch_size, self._augment = protocol, batch_size, augment

    def __len__(self) -> int:
        """Count them."""
        return len(self.clip_ids)

    def draw(self, index: int, rng: np.random.Generator) -> Tensor:
        """Draw T frames at stride τ, a square of them, and perhaps its mirror image.

        Without augmentation the frames alone are drawn, and their centre is cut out.

        Args:
            index: of the clip.
            rng: decides where they begin, how large the square is, where it lies, and whether it
                is mirrored.

        Returns:
            uint8[T, 3, h, w].

        Raises:
            ClipError: the file is not there or can't be decoded.
        """
        protocol = self._protocol
        with open_video(self._paths[index]) as video:
            chosen = random_frames(protocol, video.frames, video.fps, rng)
            if not self._augment:
                return self._centre(video, index, chosen)
            frames = video.read(chosen)
        top, left, height, width = random_window(protocol, frames.shape[-2], frames.shape[-1], rng)
        window = frames[..., top : top + height, left : left + width]
        sized = resize(window, replace(protocol, resize=protocol.crop, short_side=None))
        mirrored = rng.random() < 0.5
        return (sized.flip(-1) if mirrored else sized).contiguous()

    def to_inputs(self, samples: Tensor) -> Tensor:
        """Make the model's input of uint8[B, T, 3, h, w]: float32[B, 3, T, h, w]."""
        return normalise(samples, self._protocol)

    def middle(self, index: int) -> Tensor:
        """Read the middle one of the model's test-time clips, its centre cut out.

        Returns:
            uint8[T, 3, h, w].

        Raises:
            ClipError: the file is not there or can't be decoded.
        """
        with open_video(self._paths[index]) as video:
            views = view_frames(self._protocol, video.frames, video.fps)
            return self._centre(video, index, views[len(views) // 2].tolist())

    def _centre(self, video: Video, index: int, chosen: Sequence[int]) -> Tensor:
        protocol = replace(self._protocol, crops=1)
        before = video.height, video.width
        check_resized(self._paths[index].name, before, resized_size(protocol, *before))
        return crop(resize(video.read(chosen), protocol), protocol)[0].contiguous()

    def scores(
        self, model: nn.Module, indices: Sequence[int], device: torch.device, workers: int
    ) -> Iterator[Scored]:
        """Score the middle of every clip: quick, while `baseline run` takes all clips and crops."""
        loader = DataLoader(
            _Middles(self, indices),
            batch_size=self._batch_size,
            collate_fn=list,
            num_workers=workers,
            worker_init_fn=begin_worker,
            generator=torch.Generator(),
        )
        for read in loader:
            inputs = [frames for _, frames, _ in read if frames is not None]
            rows: Iterator[NDArray[np.float32]] = iter(())
            if inputs:
                with torch.inference_mode():
                    logits = model(self.to_inputs(torch.stack(inputs).to(device)))
                rows = iter(logits.float().softmax(1).cpu().numpy())
            for index, frames, why in read:
                yield Scored(index, None if frames is None else next(rows), why)


class _Middles(Dataset[tuple[int, "Tensor | None", str]]):
    def __init__(self, clips: FrameClips, indices: Sequence[int]) -> None:
        self._clips, self._indices = clips, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, at: int) -> tuple[int, Tensor | None, str]:
        index = self._indices[at]
        try:
            return index, self._clips.middle(index), ""
        except ClipError as error:
            return index, None, f"{error.reason}: {error}"


def random_frames(
    protocol: Protocol, frames: int, fps: float, rng: np.random.Generator
) -> list[int]:
    """Choose T frames that begin anywhere in a video; a shorter video is filled up.

    >>> from mimecurate.baselines.protocol import Protocol
    >>> from numpy.random import default_rng
    >>> random_frames(Protocol(4, 2, (8, 8), (0.5,), (0.5,)), 3, 25.0, default_rng(0))
    [0, 2, 1, 0]
    """
    order = resampled(frames, fps, protocol.fps)
    reach = (protocol.frames - 1) * protocol.stride + 1
    start = int(rng.integers(max(1, len(order) - reach + 1)))
    fill = looped if protocol.short == "loop" else held
    return fill(order[start : start + reach], reach)[:: protocol.stride]


def random_window(
    protocol: Protocol, height: int, width: int, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Choose what becomes the model's picture.

    That is a random crop of the frames after they are resized to 1 to `LARGEST` times their size
    at test time, told in pixels of the frames before that.

    Args:
        protocol: of the model.
        height: of the frames.
        width: of the frames.
        rng: decides.

    Returns:
        Top, left, height and width.
    """
    larger = rng.uniform(1.0, LARGEST)
    high, wide = protocol.crop
    if protocol.resize is not None:
        scales = larger * protocol.resize[0] / height, larger * protocol.resize[1] / width
    else:
        scale = larger * (protocol.short_side or min(height, width)) / min(height, width)
        scales = scale, scale
    rows = min(height, max(1, round(high / scales[0])))
    columns = min(width, max(1, round(wide / scales[1])))
    top = int(rng.integers(height - rows + 1))
    left = int(rng.integers(width - columns + 1))
    return top, left, rows, columns

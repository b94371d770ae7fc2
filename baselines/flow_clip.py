"""The optical flow of one clip: decode, shrink, estimate, store."""

from __future__ import annotations

import importlib.metadata
from functools import cache, partial
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch.nn import functional as F

from mimecurate.baselines.clip_trouble import check_resized, clip_error, is_memory
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.devices import find_device
from mimecurate.baselines.flow_store import FlowManifest, read_flow_manifest, write_flow
from mimecurate.baselines.weights import file_sha256
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torch import Tensor

    from mimecurate.baselines.decode import Video
    from mimecurate.baselines.flow_run import FlowJob, FlowSettings

Estimate: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
_GREY = (0.299, 0.587, 0.114)
"""ITU-R BT.601's luma, as OpenCV's conversion from RGB."""
_PAIRS_AT_ONCE = {"cpu": 8, "cuda": 64}
_RAFT_PAIRS_AT_ONCE = 16


def compute_clip(job: FlowJob, *, folder: Path, settings: FlowSettings) -> bool:
    """Compute and store the flow of a clip, unless it is there, of this very file.

    Args:
        job: the clip.
        folder: the store.
        settings: how.

    Returns:
        Whether it was computed.

    Raises:
        ClipError: the clip can't be decoded, has no two frames, or can't be written.
        MimecurateError: the method can't run here.
    """
    if settings.threads:
        set_threads(settings.threads)
    sha256 = file_sha256(job.path)
    if is_stored(folder, job.clip_id, sha256, settings):
        return False
    with open_video(job.path, device=settings.device) as video:
        if video.frames < 2:
            raise ClipError(
                Reason.UNSUPPORTED, f"{job.path.name} has one frame: nothing moves in it"
            )
        height, width = shrunk_size(video.height, video.width, settings.short_side)
        check_resized(job.path.name, (video.height, video.width), (height, width))
        manifest = FlowManifest(
            job.clip_id,
            sha256,
            settings.method,
            settings.recorded(),
            video.frames - 1,
            width,
            height,
            importlib.metadata.version("mimecurate"),
        )
        try:
            with write_flow(folder, manifest) as out:
                for flow in flow_of(video, settings):
                    out.append(flow.cpu().numpy())
        except (RuntimeError, MemoryError) as error:
            advice = "; use --workers 1" if is_memory(error) else ""
            failure = clip_error(error, f"flow of {width}x{height} pixels")
            raise ClipError(failure.reason, f"{failure}{advice}") from error
    return True


def is_stored(folder: Path, clip_id: str, sha256: str, settings: FlowSettings) -> bool:
    """Say whether a clip's flow is there, readable, and of this file and these settings."""
    try:
        found = read_flow_manifest(folder, clip_id)
    except ClipError:
        return False
    return (found.clip_sha256, found.method, found.settings) == (
        sha256,
        settings.method,
        settings.recorded(),
    )


def flow_of(video: Video, settings: FlowSettings) -> Iterator[Tensor]:
    """Yield the flow of a video, ``(N, 2, height, width)`` in pixels, some pairs at a time."""
    estimate = _estimator(settings)
    is_grey = settings.method in {"tvl1", "opencv"}
    at_once = _PAIRS_AT_ONCE[torch.device(settings.device).type] if is_grey else _RAFT_PAIRS_AT_ONCE
    last: Tensor | None = None
    for chunk in video.chunks(at_once):
        frames = shrink(chunk, settings.short_side)
        if is_grey:
            frames = grey(frames)
        if last is not None:
            frames = torch.cat([last, frames])
        last = frames[-1:]
        if len(frames) > 1:
            yield estimate(frames[:-1], frames[1:])


def shrunk_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Give the size whose shorter side is ``short_side``, in the same proportion.

    >>> shrunk_size(480, 640, 256)
    (256, 341)
    """
    scale = short_side / min(height, width)
    return max(round(height * scale), short_side), max(round(width * scale), short_side)


def shrink(frames: Tensor, short_side: int) -> Tensor:
    """Resize ``(N, 3, H, W)`` uint8 frames bilinearly, with a low-pass filter when they shrink."""
    height, width = frames.shape[2:]
    size = shrunk_size(height, width, short_side)
    if (height, width) == size:
        return frames
    resized = F.interpolate(frames.float(), size, mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).byte()


def grey(frames: Tensor) -> Tensor:
    """Turn ``(N, 3, H, W)`` RGB into ``(N, H, W)`` luma, uint8 both.

    >>> grey(torch.full((1, 3, 1, 1), 200, dtype=torch.uint8)).item()
    200
    """
    weights = torch.tensor(_GREY, device=frames.device)[:, None, None]
    return (frames * weights).sum(1).round_().clamp_(0, 255).byte()


def set_threads(threads: int) -> None:
    """Let each operation use so many cores: clips are worked on beside one another."""
    torch.set_num_threads(threads)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(threads)


def check_method(settings: FlowSettings) -> None:
    """Make the method once, so that what is wrong with it shows before the first clip.

    Raises:
        MissingExtraError: OpenCV isn't installed.
        MimecurateError: it has no TV-L1; the device isn't there; the weights don't fit.
    """
    find_device(settings.device)
    if settings.method == "opencv":
        from mimecurate.baselines.opencv_flow import make_opencv

        make_opencv()
    elif settings.method != "tvl1":
        from mimecurate.baselines.raft import build_raft

        build_raft(settings.method, settings.weights)


@cache
def _estimator(settings: FlowSettings) -> Estimate:
    """Make the function from first and second frames to flow: once a process."""
    if settings.method == "tvl1":
        from mimecurate.baselines.tvl1 import tvl1_flow

        return partial(tvl1_flow, compiled=settings.compiled)
    if settings.method == "opencv":
        from mimecurate.baselines.opencv_flow import opencv_flow

        return lambda a, b: torch.from_numpy(opencv_flow(a.cpu().numpy(), b.cpu().numpy()))
    from mimecurate.baselines.raft import build_raft, raft_flow

    model = build_raft(settings.method, settings.weights).to(settings.device)
    return partial(raft_flow, model)

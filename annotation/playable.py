"""Whether a browser will play a clip, and Label Studio will count its frames right.

Label Studio shows an endless spinner, and no message, for what a browser can't play; and it knows
one frame rate per clip, so that the frames of a trim are wrong where the rate changes.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mimecurate.annotation.mp4_video import VideoTrack, read_video_track
from mimecurate.curation.recheck import file_sha256
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

MAX_FRAME_ERROR = 0.2
"""How far a frame may be from where the constant rate puts it, in frames."""

_LATE_S = 0.001
_AGAIN = "`mimecurate clips verify` strikes it, and the next `fetch` gets it again"
_ENCODE = "fetch it again with --cut encode"
_CONSTANT = "make its rate constant (`ffmpeg -i IN -r 30 OUT.mp4`) and fetch that"


def find_unplayable(root: Path, clip: Mapping[str, object]) -> str:
    """Say why a browser can't be trusted to play a clip, and what would do.

    That it decodes to its end was seen when it was fetched or verified: the file must be the one
    that was seen then (size and time of change, or else its checksum). What its header says is
    read here; where that doesn't tell, the file is decoded.

    Args:
        root: the workspace's folder.
        clip: ``path``, ``sha256``, ``bytes``, ``video_codec`` and ``verified_at`` of its row in
            ``media``.

    Returns:
        An empty text if it will play: H.264, 8 bits of 4:2:0, first frame at 0, constant rate.
    """
    path = os.path.join(root, str(clip["path"]))  # of thousands of clips, pathlib would be felt
    try:
        if problem := _find_change(path, clip):
            return problem
        if clip["video_codec"] != "h264":
            return f"it is coded as {clip['video_codec']}, browsers play H.264: {_ENCODE}"
        try:
            track = read_video_track(path)
        except ClipError as error:
            if error.reason is not Reason.UNSUPPORTED:
                return f"{error}; {_AGAIN}"
            track = None
        if track is None or track.is_yuv420p is None:
            track = _decoded(path)
    except OSError as error:
        return f"its file can't be read ({error.strerror}); {_AGAIN}"
    except ClipError as error:
        return f"{error}; {_AGAIN}"
    return _judge(track)


def _find_change(path: str, clip: Mapping[str, object]) -> str:
    """Compare the file with the one that was decoded to its end."""
    facts = os.stat(path)
    if facts.st_size != clip["bytes"]:
        return f"its file has {facts.st_size} bytes, not {clip['bytes']}; {_AGAIN}"
    seen = datetime.fromisoformat(str(clip["verified_at"])).timestamp()
    if facts.st_mtime > seen + 1 and file_sha256(Path(path)) != clip["sha256"]:
        return f"its checksum is not the recorded one; {_AGAIN}"
    return ""


def _judge(track: VideoTrack) -> str:
    if track.coding not in {"avc1", "avc3"}:
        return f"it is coded as {track.coding}, browsers play H.264 (avc1): {_ENCODE}"
    if not track.is_yuv420p:
        return (
            f"its pixels are not 8-bit 4:2:0 (yuv420p), which some browsers can't show: {_ENCODE}"
        )
    if not len(track.times):
        return f"it shows no frame; {_AGAIN}"
    if track.times[0] > _LATE_S:
        return f"its first frame is shown at {track.times[0]:.3f} s, not at 0: {_ENCODE}"
    if (error := frame_error(track.times)) > MAX_FRAME_ERROR:
        return f"its frame rate is not constant (off by {error:.1f} frames): {_CONSTANT}"
    return ""


def frame_error(times: npt.NDArray[np.float64]) -> float:
    """Return how far a frame is at most from where a constant rate would put it, in frames.

    The rate is that of the whole clip, between its first and its last frame.

    >>> frame_error(np.array([0, 0.04, 0.08, 0.12]))
    0.0
    >>> frame_error(np.array([0, 0.04, 0.12, 0.16]))  # one was dropped
    0.25
    """
    if len(times) < 3 or times[-1] <= times[0]:
        return 0.0
    places = (times - times[0]) * ((len(times) - 1) / (times[-1] - times[0]))
    places -= np.arange(len(times))
    return round(max(float(places.max()), -float(places.min())), 6)


def _decoded(path: str) -> VideoTrack:
    """Learn the same of a file whose header doesn't tell, by decoding it."""
    import av

    from mimecurate.curation.verify import verify_clip

    verify_clip(Path(path))
    with av.open(path) as container:
        video = container.streams.video[0]
        is_h264 = video.codec_context.codec.canonical_name == "h264"
        pixels = video.codec_context.pix_fmt
        times = [frame.time for frame in container.decode(video) if frame.time is not None]
    return VideoTrack(
        "avc1" if is_h264 else video.codec_context.name,
        pixels in {"yuv420p", "yuvj420p"},
        np.array(times),
    )

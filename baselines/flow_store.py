"""Optical flow at rest: one file per clip, 8 bits per component, written whole or not at all.

Flow is cut off at ±20 pixels and stretched to 0..255, x and y apart. Eight bits are from Simonyan
and Zisserman, "Two-Stream Convolutional Networks", NIPS 2014, section 5; the bound of 20 is that of
Wang et al., "Temporal Segment Networks", ECCV 2016 (their ``dense_flow``) and of Carreira and
Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017 (their published I3D input). Those keep JPEG
pictures. Here a file is Matroska with one FFV1 stream of grey pictures, the x plane above the y
plane: lossless, about as large as JPEG of quality 95, sealed with a checksum, and any player shows
it. What it was made from and how is in the file itself, so the two can't part.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import uuid
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from mimecurate.curation.media_store import publish
from mimecurate.errors import ClipError, MimecurateError, Reason, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

BOUND = 20.0
"""Pixels per frame that become 0 and 255."""
UNFINISHED = ".unfinished"
"""The folder, in the store, of files that are still being written."""
_TAG = "MIMECURATE_FLOW"
_MAX_MANIFEST = 1 << 16
_MAX_BYTES = 8 << 30
_SEAL = b"\xec\xa0"
"""An EBML element of type Void and 32 bytes: players skip it."""
_CODEC_OPTIONS = {"level": "3", "coder": "range_tab", "slices": "4", "slicecrc": "1"}


@dataclass(frozen=True, slots=True)
class FlowManifest:
    """What a stored flow was made from, and how.

    Attributes:
        clip_id: the clip.
        clip_sha256: of the clip's file, 64 hexadecimal digits.
        method: ``tvl1``, ``opencv``, ``raft_large`` or ``raft_small``.
        settings: of the method, by name; all that changes its result.
        pairs: of frames: one fewer than the clip has.
        width: of the flow, in pixels.
        height: of the flow, in pixels.
        version: of mimecurate.
    """

    clip_id: str
    clip_sha256: str
    method: str
    settings: Mapping[str, Any]
    pairs: int
    width: int
    height: int
    version: str


def quantise(flow: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut flow off at ±`BOUND` pixels and stretch it to 0..255; no motion is 128.

    >>> quantise(np.array([-30, -20, 0, 0.1, 20], np.float32))
    array([  0,   0, 128, 128, 255], dtype=uint8)
    """
    bounded = np.clip(flow, -BOUND, BOUND) + BOUND
    levels: NDArray[np.uint8] = np.rint(bounded * (255 / (2 * BOUND))).astype(np.uint8)
    return levels


def restore(stored: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn stored values back into pixels: within 0.08 of what they were, inside ±`BOUND`.

    >>> restore(np.array([0, 255], np.uint8))
    array([-20.,  20.], dtype=float32)
    """
    return (stored * np.float32(2 * BOUND / 255) - np.float32(BOUND)).astype(np.float32)


def flow_path(folder: Path, clip_id: str) -> Path:
    """Say where a clip's flow is, or would be.

    Raises:
        ValueError: the id can't be a file's name.

    >>> from pathlib import Path
    >>> flow_path(Path("flow"), "0zFbEjoGlhc_000006_000010").as_posix()
    'flow/0z/0zFbEjoGlhc_000006_000010.mkv'
    """
    if not clip_id or not clip_id.isprintable() or clip_id[0] == "." or set(clip_id) & set("/\\:"):
        raise ValueError(f"{clip_id!r} can't be the name of a file")
    return folder / clip_id[:2] / f"{clip_id}.mkv"


@contextlib.contextmanager
def write_flow(folder: Path, manifest: FlowManifest) -> Iterator[FlowWriter]:
    """Write a clip's flow; it takes the place of another only when the block ends without error.

    Args:
        folder: of the store.
        manifest: with the number and size of what will be written.

    Raises:
        ClipError: ``DISK_FULL`` or ``OTHER``: it can't be written. Nothing is left then.
        ValueError: not as many pairs came as the manifest says.
    """
    final = flow_path(folder, manifest.clip_id)
    unfinished = folder / UNFINISHED / f"{uuid.uuid4().hex}.mkv"
    try:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file, av.open(file, "w", format="matroska") as container:
            writer = FlowWriter(container, manifest)
            yield writer
            writer.finish()
        _seal(unfinished)
        publish(unfinished, final)
    except (FFmpegError, OSError) as error:
        full = getattr(error, "errno", None) in (28, 122)
        reason = Reason.DISK_FULL if full else Reason.OTHER
        raise ClipError(reason, f"{final}: {plain_words(error)}") from error
    finally:
        unfinished.unlink(missing_ok=True)


class FlowWriter:
    """Takes the flow of one clip, a few pairs at a time."""

    def __init__(self, container: OutputContainer, manifest: FlowManifest) -> None:
        """Begin a file."""
        self._container, self._manifest, self._written = container, manifest, 0
        container.metadata[_TAG] = json.dumps(asdict(manifest), sort_keys=True)
        self._stream: VideoStream = container.add_stream("ffv1", rate=25, options=_CODEC_OPTIONS)
        self._stream.width, self._stream.height = manifest.width, 2 * manifest.height
        self._stream.pix_fmt = "gray"

    def append(self, flow: NDArray[np.float32]) -> None:
        """Add pairs: ``(N, 2, H, W)``, in pixels.

        Raises:
            ValueError: of another size than the manifest says.
        """
        size = (2, self._manifest.height, self._manifest.width)
        if flow.shape[1:] != size:
            raise ValueError(f"flow has shape {flow.shape}; it must be (pairs, *{size})")
        for planes in quantise(flow).reshape(len(flow), -1, size[2]):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="gray")
            frame.pts, frame.time_base = self._written, Fraction(1, 25)
            self._container.mux(self._stream.encode(frame))
            self._written += 1

    def finish(self) -> None:
        """Write what the encoder holds back."""
        if self._written != self._manifest.pairs:
            raise ValueError(f"{self._written} pairs came; the manifest has {self._manifest.pairs}")
        self._container.mux(self._stream.encode(None))


def read_flow(folder: Path, clip_id: str, *, made: str | None = None) -> NDArray[np.uint8]:
    """Read the flow of a clip.

    Args:
        folder: the store.
        clip_id: the clip.
        made: how it must have been made, as `how_made` says it; ``None``: in whatever way.

    Returns:
        ``(T - 1, 2, H, W)``, x then y, as `quantise` makes it. T: the clip's frames.

    Raises:
        ClipError: ``UNAVAILABLE``: there is none; ``CORRUPT``: it is damaged or no flow;
            ``UNSUPPORTED``: it was made otherwise.
    """
    with _opened(flow_path(folder, clip_id)) as container:
        manifest = _manifest_of(container, clip_id)
        if made is not None and how_made(manifest) != made:
            raise ClipError(
                Reason.UNSUPPORTED,
                f"the flow of {clip_id} is of {how_made(manifest)[:200]}, not of {made[:200]}",
            )
        stream = container.streams.video[0]
        if stream.codec_context.name != "ffv1" or stream.codec_context.pix_fmt != "gray":
            raise _corrupt(clip_id, "is no FFV1 video of grey pictures")
        size = (manifest.width, 2 * manifest.height)
        if (stream.width, stream.height) != size:
            raise _corrupt(clip_id, f"has {stream.width}x{stream.height} pixels, not {size}")
        pictures: list[NDArray[np.uint8]] = []
        for frame in container.decode(stream):
            if len(pictures) == manifest.pairs or (frame.width, frame.height) != size:
                raise _corrupt(clip_id, "holds other pictures than its manifest says")
            pictures.append(np.asarray(frame.to_ndarray(), np.uint8))
    if len(pictures) != manifest.pairs:
        raise _corrupt(clip_id, f"ends after {len(pictures)} of {manifest.pairs} pairs")
    return np.stack(pictures).reshape(-1, 2, manifest.height, manifest.width)


def read_flow_manifest(folder: Path, clip_id: str) -> FlowManifest:
    """Read what a stored flow was made from.

    Raises:
        ClipError: as `read_flow`.
    """
    with _opened(flow_path(folder, clip_id)) as container:
        return _manifest_of(container, clip_id)


def how_made(manifest: FlowManifest) -> str:
    """Say in words how flow was made: its method and all settings that change it.

    >>> settings = {"short_side": 256, "bound": 20.0}
    >>> how_made(FlowManifest("a", "0" * 64, "tvl1", settings, 9, 340, 256, "1.0"))
    'tvl1, bound 20.0, short_side 256'
    """
    found = sorted(manifest.settings.items())
    return ", ".join([manifest.method, *(f"{name} {value}" for name, value in found)])


def how_store_was_made(folder: Path, clip_ids: Iterable[str]) -> str:
    """Say how the flow of some clips was made, by the first that can be read.

    Raises:
        MimecurateError: there is none of any of them.
    """
    for clip_id in clip_ids:
        with contextlib.suppress(ClipError, ValueError):
            return how_made(read_flow_manifest(folder, clip_id))
    raise MimecurateError(
        f"{folder} holds no flow of any of the clips; compute it with `mimecurate baseline flow`"
    )


def _seal(path: Path) -> None:
    """End a file with the SHA-256 of all before it: libav conceals pictures that are damaged."""
    with path.open("r+b") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0, 2)
        file.write(_SEAL + digest)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _corrupt(path.stem, f"has over {_MAX_BYTES >> 30} GiB")
        data = path.read_bytes()
        inside = data[: -len(_SEAL) - 32]
        if data[len(inside) :] != _SEAL + hashlib.sha256(inside).digest():
            raise _corrupt(path.stem, "its bytes are not as they were written")
        with av.open(io.BytesIO(inside), format="matroska") as opened:
            assert isinstance(opened, InputContainer)
            if len(opened.streams) != 1 or len(opened.streams.video) != 1:
                raise _corrupt(path.stem, "does not hold one video")
            opened.streams.video[0].thread_type = "SLICE"
            yield opened
    except FileNotFoundError as error:
        raise ClipError(Reason.UNAVAILABLE, f"{path}: there is no flow of this clip") from error
    except (FFmpegError, OSError, MemoryError, UnicodeDecodeError) as error:
        raise _corrupt(path.stem, plain_words(error)) from error


def _corrupt(clip_id: str, problem: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"the flow of {clip_id}: {problem}; delete it and compute it")


def _manifest_of(container: InputContainer, clip_id: str) -> FlowManifest:
    text = container.metadata.get(_TAG, "")
    try:
        found = json.loads(text) if len(text) <= _MAX_MANIFEST else None
    except (ValueError, RecursionError):
        found = None
    names = {field.name for field in fields(FlowManifest)}
    if not isinstance(found, dict) or set(found) != names or not _is_sound(found):
        raise _corrupt(clip_id, "its manifest is missing or malformed")
    manifest = FlowManifest(**found)
    if manifest.clip_id != clip_id:
        raise _corrupt(clip_id, f"is that of {manifest.clip_id[:100]!r}")
    if 2 * manifest.pairs * manifest.width * manifest.height > _MAX_BYTES:
        raise _corrupt(clip_id, f"would take over {_MAX_BYTES >> 30} GiB")
    return manifest


def _is_sound(found: dict[str, Any]) -> bool:
    texts = ("clip_id", "clip_sha256", "method", "version")
    counts = ("pairs", "width", "height")
    return (
        all(isinstance(found[name], str) for name in texts)
        and all(type(found[name]) is int and 0 < found[name] <= 1 << 20 for name in counts)
        and isinstance(found["settings"], dict)
    )

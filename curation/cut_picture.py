"""How a clip's frames look, and what must be done to the source's so that they look so."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    from av.sidedata.sidedata import SideData
    from av.video.codeccontext import VideoCodecContext
    from av.video.stream import VideoStream

    Plane = npt.NDArray[np.uint8]

_EIGHT_BIT_420 = frozenset({"yuv420p", "yuvj420p"})
_BT709, _UNSPECIFIED = 1, 2
_HDR_TRANSFERS = frozenset({16, 18})  # ITU-T H.273: PQ and HLG
_RGB_MATRIX = 0
_LIMITED_RANGE = 1
_of_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Orientation:
    """How to turn a stored picture upright: transpose it first, then mirror it."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: bytes) -> Orientation:
        """Read a display matrix (ISO/IEC 14496-12, 6.2.2): nine native 32-bit integers.

        Angles other than quarter turns become the nearest one.
        """
        a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32)[:5])
        if abs(b) > abs(a):
            return cls(True, mirrored_x=c < 0, mirrored_y=b < 0)
        return cls(False, mirrored_x=a < 0, mirrored_y=d < 0)

    def apply(self, plane: Plane) -> Plane:
        """Turn one plane of pixels."""
        if self.transposed:
            plane = plane.T
        return plane[:: -1 if self.mirrored_y else 1, :: -1 if self.mirrored_x else 1]


@dataclass(frozen=True, slots=True)
class ColourTags:
    """How numbers become colours, in the numbers of ITU-T H.273; range 2 is full."""

    primaries: int
    transfer: int
    matrix: int
    range: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The frames of a clip that is encoded, and what makes them of the source's."""

    width: int
    height: int
    pix_fmt: str
    sample_aspect_ratio: Fraction | None
    colour: ColourTags
    is_interlaced: bool
    orientation: Orientation
    stored_width: int
    """Of the frames before they are turned and cropped."""
    stored_height: int
    is_tone_mapped: bool
    changes: tuple[str, ...]
    """Why the source's own frames won't do."""


def picture_of(frame: av.VideoFrame, stream: VideoStream, max_height: int | None) -> Picture:
    """Decide how a clip of this source is to look.

    * Other pixel formats become 8-bit 4:2:0 with the same colour tags and range.
    * HDR (PQ or HLG) is mapped to BT.709, what is brighter than its reference white is clipped.
    * RGB becomes BT.709 in limited range.
    * A display matrix is carried out, so that readers which ignore it show the picture upright.
    * A picture higher than ``max_height`` is scaled to it, or to the even number below.
    * Of an odd width or height the last column or row is cut off: H.264 4:2:0 has none.
    * The sample aspect ratio stays, inverted where the picture is turned by a quarter.
    * Interlaced frames stay as they are, and are coded as interlaced.

    Args:
        frame: any frame of the clip.
        stream: the one it comes from.
        max_height: largest height of the upright picture in pixels.

    Raises:
        ClipError: ``UNSUPPORTED``: the picture is less than two pixels wide or high.
    """
    orientation = _orientation(frame)
    width, height = frame.width, frame.height
    changes = []
    if orientation != Orientation():
        changes.append("rotated")
    if frame.format.name not in _EIGHT_BIT_420:
        changes.append(f"pixel format {frame.format.name}")
    upright_height = width if orientation.transposed else height
    if max_height is not None and upright_height > max_height:
        changes.append(f"scaled to {max_height} lines")
        scale = Fraction(max_height - max_height % 2, upright_height)
        width, height = (2 * max(1, round(side * scale / 2)) for side in (width, height))
    elif width % 2 or height % 2:
        changes.append("odd size")
    if min(width, height) < 2:
        raise ClipError(Reason.UNSUPPORTED, f"frames of {width}x{height} are too small")
    is_tone_mapped = frame.color_trc in _HDR_TRANSFERS
    if is_tone_mapped:
        changes.append("HDR")
    even = width - width % 2, height - height % 2
    aspect = stream.sample_aspect_ratio or None
    is_converted = (width, height) != (frame.width, frame.height)
    is_converted = is_converted or frame.format.name not in _EIGHT_BIT_420 or is_tone_mapped
    return Picture(
        *(even[::-1] if orientation.transposed else even),
        pix_fmt="yuv420p" if is_converted else frame.format.name,
        sample_aspect_ratio=1 / aspect if aspect and orientation.transposed else aspect,
        colour=_colour(frame, is_tone_mapped=is_tone_mapped),
        is_interlaced=frame.interlaced_frame,
        orientation=orientation,
        stored_width=width,
        stored_height=height,
        is_tone_mapped=is_tone_mapped,
        changes=tuple(changes),
    )


def frame_fitter(picture: Picture) -> Callable[[av.VideoFrame], av.VideoFrame]:
    """Return what makes a frame of the clip from one of the source; its time may be lost."""
    reformatter = _tone_mapper() if picture.is_tone_mapped else VideoReformatter()
    stored = picture.stored_width, picture.stored_height
    is_turned = picture.orientation != Orientation() or stored[0] % 2 or stored[1] % 2

    def fit(frame: av.VideoFrame) -> av.VideoFrame:
        if (frame.width, frame.height, frame.format.name) != (*stored, picture.pix_fmt):
            frame = _converted(frame, picture, reformatter)
        return _turned(frame, picture) if is_turned else frame

    return fit


def set_up_encoder(
    encoder: VideoCodecContext,
    picture: Picture,
    *,
    time_base: Fraction,
    rate: Fraction,
    quality: Mapping[str, str],
) -> None:
    """Make an H.264 encoder produce this picture, in one thread; ``quality`` is x264's options."""
    encoder.width, encoder.height = picture.width, picture.height
    encoder.pix_fmt = picture.pix_fmt
    encoder.time_base, encoder.framerate = time_base, rate
    if picture.sample_aspect_ratio:
        encoder.sample_aspect_ratio = picture.sample_aspect_ratio
    encoder.color_primaries = picture.colour.primaries
    encoder.color_trc = picture.colour.transfer
    encoder.colorspace = picture.colour.matrix
    encoder.color_range = picture.colour.range
    if picture.is_interlaced:
        encoder.flags |= av.codec.context.Flags.interlaced_dct
    encoder.thread_count = 1
    encoder.options = dict(quality)


def _tone_mapper() -> VideoReformatter:
    """Return the thread's own: what it learns takes seconds, and serves the next clip."""
    if not hasattr(_of_thread, "tone_mapper"):
        _of_thread.tone_mapper = VideoReformatter()
    return cast("VideoReformatter", _of_thread.tone_mapper)


def _orientation(frame: av.VideoFrame) -> Orientation:
    matrix = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    return Orientation.from_display_matrix(bytes(matrix)) if matrix else Orientation()


def _colour(frame: av.VideoFrame, *, is_tone_mapped: bool) -> ColourTags:
    if is_tone_mapped:
        return ColourTags(_BT709, _BT709, _BT709, _LIMITED_RANGE)
    tags = ColourTags(frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range)
    if frame.format.is_rgb:
        return ColourTags(tags.primaries, tags.transfer, _BT709, _LIMITED_RANGE)
    if tags.matrix == _RGB_MATRIX:  # impossible of YUV
        return ColourTags(tags.primaries, tags.transfer, _UNSPECIFIED, tags.range)
    return tags


def _converted(
    frame: av.VideoFrame, picture: Picture, reformatter: VideoReformatter
) -> av.VideoFrame:
    colour = picture.colour
    to_tags: dict[str, int] = {}
    if picture.is_tone_mapped:
        to_tags = {"dst_color_trc": colour.transfer, "dst_color_primaries": colour.primaries}
    if picture.is_tone_mapped or frame.format.is_rgb:
        to_tags |= {"dst_colorspace": colour.matrix, "dst_color_range": colour.range}
    return reformatter.reformat(
        frame,
        picture.stored_width,
        picture.stored_height,
        picture.pix_fmt,
        interpolation="BICUBIC",
        threads=1,
        **to_tags,
    )


def _turned(frame: av.VideoFrame, picture: Picture) -> av.VideoFrame:
    """Turn a 4:2:0 frame upright and cut it to an even size."""
    turned = av.VideoFrame(picture.width, picture.height, picture.pix_fmt)
    crop = picture.stored_width & ~1, picture.stored_height & ~1
    for source, target, step in zip(frame.planes, turned.planes, (1, 2, 2), strict=True):
        stored = _pixels(source)[: crop[1] // step, : crop[0] // step]
        _pixels(target)[:] = picture.orientation.apply(stored)
    return turned


def _pixels(plane: av.video.plane.VideoPlane) -> Plane:
    """View a plane's pixels, without the padding at the end of its lines."""
    lines = np.frombuffer(cast("memoryview", plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]

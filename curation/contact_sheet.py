"""Pictures of clips: a row of evenly spaced frames for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
from PIL import Image, ImageDraw, ImageFont

from mimecurate.errors import ClipError, Reason, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

CAPTION_PX = 18
GAP_PX = 2
_BACKGROUND = (24, 24, 28)
_INK = (225, 225, 230)


def evenly_spaced_frames(path: Path, count: int, *, height: int) -> list[Image.Image]:
    """Decode a clip and return ``count`` frames spread over it, each ``height`` lines high.

    Frames are taken at the middle of ``count`` equal parts; a clip with fewer frames repeats some.
    The display aspect is kept.

    Raises:
        ClipError: it can't be decoded.
    """
    try:
        with av.open(str(path), format="mp4") as container:
            if not container.streams.video:
                raise ClipError(Reason.CORRUPT, f"{path.name}: has no video stream")
            stream = container.streams.video[0]
            pixel_aspect = float(stream.sample_aspect_ratio or 1)
            total = stream.frames or sum(1 for p in container.demux(stream) if p.size)
            wanted = [int((i + 0.5) * total / count) for i in range(count)]
            container.seek(0, stream=stream)
            pictures: list[Image.Image] = []
            for index, frame in enumerate(container.decode(stream)):
                while len(pictures) < count and wanted[len(pictures)] <= index:
                    pictures.append(_scaled(frame, pixel_aspect, height))
                if len(pictures) == count:
                    break
    except (av.FFmpegError, OSError) as error:
        raise ClipError(Reason.CORRUPT, f"{path.name}: {plain_words(error)}") from error
    if not pictures:
        raise ClipError(Reason.CORRUPT, f"{path.name}: no frame could be decoded")
    return pictures + pictures[-1:] * (count - len(pictures))


def contact_sheet(
    rows: Iterable[tuple[str, Sequence[Image.Image]]], *, height: int = 96
) -> Image.Image:
    """Lay frames out in rows, a caption above each.

    Args:
        rows: a caption and its frames, all ``height`` lines high.
        height: of the frames, in pixels.

    Returns:
        One RGB picture.
    """
    laid = list(rows)
    width = max(sum(f.width + GAP_PX for f in frames) for _, frames in laid)
    sheet = Image.new("RGB", (width, len(laid) * (CAPTION_PX + height + GAP_PX)), _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)
    for index, (caption, frames) in enumerate(laid):
        top = index * (CAPTION_PX + height + GAP_PX)
        draw.text((4, top + 2), _drawable(caption), fill=_INK, font=font)
        left = 0
        for frame in frames:
            sheet.paste(frame, (left, top + CAPTION_PX))
            left += frame.width + GAP_PX
    return sheet


def _scaled(frame: av.VideoFrame, pixel_aspect: float, height: int) -> Image.Image:
    width = max(1, round(height * frame.width * pixel_aspect / frame.height))
    return Image.fromarray(frame.reformat(width, height, "rgb24").to_ndarray())


def _drawable(caption: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in caption)[:200]

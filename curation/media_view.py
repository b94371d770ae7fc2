"""What libav gets to see of a media file, so that opening it reads next to nothing."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.container_format import SNIFF_BYTES, container_format
from mimecurate.curation.masked_file import MaskedFile
from mimecurate.curation.matroska_layout import MatroskaLayout, survey_matroska
from mimecurate.curation.mp4_guard import check_fragments
from mimecurate.curation.mp4_layout import PROBE_BYTES, Mp4Layout, survey_mp4
from mimecurate.curation.open_container import is_understood, open_container
from mimecurate.curation.range_file import RangeFile, read_range
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

    from av.container import InputContainer

    from mimecurate.curation.segment_index import Fragment

_MAX_TAIL_BYTES = 4 << 20
_FIRST_PICTURE_BYTES = 192 << 10


@dataclass(frozen=True, slots=True)
class MediaView:
    """A media file, its demuxer, and where the parts of it lie."""

    file: BinaryIO | io.RawIOBase
    name: str
    demuxer: str
    layout: Mp4Layout | MatroskaLayout | None
    """``None``: only libav knows."""

    @property
    def fragments(self) -> tuple[Fragment, ...]:
        """Those that `open_fragments` shows; empty where libav may see the whole file."""
        if isinstance(self.file, RangeFile) and isinstance(self.layout, Mp4Layout):
            return self.layout.fragments
        return ()


def survey_media(file: BinaryIO | io.RawIOBase, *, name: str) -> MediaView:
    """Tell what a file is, and find its index.

    Raises:
        ClipError: it is not media, or broken.
    """
    size = file.seek(0, io.SEEK_END)
    demuxer = container_format(read_range(file, 0, SNIFF_BYTES), name=name)
    layout: Mp4Layout | MatroskaLayout | None = None
    if demuxer == "mp4":
        layout = survey_mp4(file, size)
    elif demuxer == "matroska":
        layout = survey_matroska(file, size)
    return MediaView(file, name, demuxer, layout)


def open_first(view: MediaView) -> InputContainer:
    """Open a file to learn what it holds; of a `RangeFile`, by what is here, if that will do.

    Raises:
        ClipError: ``CORRUPT``: libav can't read it; or bytes could not be had.
    """
    file, layout = view.file, view.layout
    if not isinstance(file, RangeFile):
        return _open_visible(view)
    if isinstance(layout, MatroskaLayout):
        file.prefetch(layout.tail, min(file.size, layout.tail + _MAX_TAIL_BYTES))
    places = {0}
    if isinstance(layout, Mp4Layout) and layout.index_kind == "mfra":  # the last says how long
        places.add(len(layout.fragments) - 1)
        file.prefetch(layout.fragments[-1].start, layout.fragments[-1].start + PROBE_BYTES)
    if layout is None or _must_be_scanned(view):
        return open_fragments(view, places)
    for is_last in (False, True):
        file.end_at(0)
        with contextlib.suppress(ClipError):
            container = open_fragments(view, places)
            # fragments are opened again with a clip's, which tell more
            if all(is_understood(s, by_header=bool(view.fragments)) for s in container.streams):
                file.end_at(None)
                return container
            first = [] if is_last else _first_packets(view, container)
            container.close()
            for start, stop in first:
                file.prefetch(start, stop)
        file.end_at(None)
    return open_fragments(view, places)


def _first_packets(view: MediaView, container: InputContainer) -> list[tuple[int, int]]:
    """Find the bytes of the first picture."""
    if isinstance(view.layout, MatroskaLayout):
        return [(view.layout.first_cluster, view.layout.first_cluster + _FIRST_PICTURE_BYTES)]
    entries = [s.index_entries[0] for s in container.streams.video if len(s.index_entries)]
    return [(entry.pos, entry.pos + entry.size) for entry in entries]


def open_fragments(view: MediaView, places: Iterable[int]) -> InputContainer:
    """Open a file so that libav sees some of its `MediaView.fragments`; without any, all of it.

    Raises:
        ClipError: ``CORRUPT``: libav can't read it; or bytes could not be had.
    """
    if not view.fragments:
        return _open_visible(view)
    assert isinstance(view.layout, Mp4Layout)
    parts = [(view.fragments[n].start, view.fragments[n].stop) for n in places]
    return _open_parts(view, view.layout.header_stop, parts)


def _open_visible(view: MediaView) -> InputContainer:
    """Open all of a file, save segment indexes: with those libav seeks coarsely, or not at all."""
    layout = view.layout
    if not isinstance(layout, Mp4Layout) or layout.media_start is None:
        return open_container(view.file, view.demuxer, name=view.name)
    size = view.file.seek(0, io.SEEK_END)
    parts = [(f.start, f.stop) for f in layout.fragments] or [(layout.media_start, size)]
    return _open_parts(view, layout.header_stop, parts)


def _open_parts(view: MediaView, header_stop: int, parts: list[tuple[int, int]]) -> InputContainer:
    check_fragments(view.file, parts)
    masked = MaskedFile(view.file, [(0, header_stop), *parts])
    return open_container(masked, view.demuxer, name=view.name)


def _must_be_scanned(view: MediaView) -> bool:
    """Whether libav has to look for the fragments all over the file."""
    layout = view.layout
    is_fragmented = isinstance(layout, Mp4Layout) and layout.media_start is not None
    return is_fragmented and not view.fragments

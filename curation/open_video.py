"""From a link to an open video: by byte ranges where the server knows them, else whole."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mimecurate.curation.byte_reader import RangesNotSupportedError
from mimecurate.curation.media_source import open_media
from mimecurate.curation.range_file import RangeFile
from mimecurate.curation.sources import download_whole, open_bytes, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mimecurate.curation.media_source import MediaSource
    from mimecurate.curation.pacing import Pacer
    from mimecurate.curation.sources import Resolved, SourceOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenVideo:
    """An open source: its picture, its sound, and what it has cost so far."""

    resolved: Resolved
    video: MediaSource
    audio: MediaSource | None
    """A file of its own, where picture and sound come apart."""
    bytes_read: Callable[[], int]
    """Bytes transferred until now."""
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def open_video(
    url: str,
    options: SourceOptions,
    pacer: Pacer,
    check_stopped: Callable[[], None],
    *,
    spool_dir: Path,
) -> Iterator[OpenVideo]:
    """Resolve a link with one metadata request and open what is behind it.

    Args:
        url: a link, or a local file if the options allow those.
        options: how to ask.
        pacer: the run's pacer.
        check_stopped: raises when the run is to end.
        spool_dir: where bytes are kept while the video is open; nothing stays there.

    Raises:
        ClipError: it can't be had, with the reason.
    """
    spool_dir.mkdir(parents=True, exist_ok=True)
    resolved = resolve(url, options, pacer, check_stopped)
    with contextlib.ExitStack() as stack:
        try:
            opened = _by_ranges(resolved, options, pacer, check_stopped, spool_dir, stack)
        except RangesNotSupportedError:
            logger.info("%s: no byte ranges, reading it whole", url)
            opened = _whole(resolved, options, pacer, check_stopped, spool_dir, stack)
        yield opened


def _by_ranges(
    resolved: Resolved,
    options: SourceOptions,
    pacer: Pacer,
    check_stopped: Callable[[], None],
    spool_dir: Path,
    stack: contextlib.ExitStack,
) -> OpenVideo:
    readers = [
        open_bytes(file, options, pacer, check_stopped)
        for file in (resolved.video, resolved.audio)
        if file is not None
    ]
    media = [
        stack.enter_context(
            open_media(RangeFile(reader, spool_dir=spool_dir), name=resolved.url, need_video=not i)
        )
        for i, reader in enumerate(readers)
    ]
    return OpenVideo(
        resolved,
        media[0],
        media[1] if len(media) > 1 else None,
        lambda: sum(reader.bytes_read for reader in readers),
    )


def _whole(
    resolved: Resolved,
    options: SourceOptions,
    pacer: Pacer,
    check_stopped: Callable[[], None],
    spool_dir: Path,
    stack: contextlib.ExitStack,
) -> OpenVideo:
    folder = Path(tempfile.mkdtemp(dir=spool_dir))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    files = download_whole(resolved, folder, options, pacer, check_stopped)
    size = sum(file.stat().st_size for file in files)
    media = [
        stack.enter_context(
            open_media(stack.enter_context(file.open("rb")), name=resolved.url, need_video=not i)
        )
        for i, file in enumerate(files)
    ]
    return OpenVideo(
        resolved,
        media[0],
        media[1] if len(media) > 1 else None,
        lambda: size,
        ("read whole: the server has no byte ranges",),
    )

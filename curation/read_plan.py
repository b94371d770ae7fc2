"""Which bytes of a media file hold the packets of an interval.

Decoding starts at the key frame at or before the interval; in order of decoding, frames that are
shown before ``end`` all come before the first packet whose decoding time is ``end`` or later.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import islice
from math import ceil, floor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.index import IndexEntries, IndexEntry
    from av.stream import Stream

    from mimecurate.curation.segment_index import Fragment

PREROLL_S = Fraction(1, 10)
"""Sound that a decoder wants before the first sample that counts: 80 ms for Opus, less for AAC."""
_INTERLEAVED_S = Fraction(5, 4)
"""libav reads streams in the file's order while they are within a second, and a packet more."""
_CHUNK_HEADER_BYTES = 16  # AVI's, which its index leaves out
_LEADING_ENTRIES = 1000

ByteRange = tuple[int, int]


def ranges_by_index(
    streams: Sequence[Stream], start: Fraction, end: Fraction, origin: Fraction
) -> list[ByteRange]:
    """Find the bytes of an interval in an index of every packet, as MP4 and AVI have.

    Each stream's first packet at or after ``end`` is among them: it tells a reader to stop.

    Args:
        streams: the one that decides where decoding starts, then others to read beside it.
        start: the interval's start, in seconds of the file's own clock.
        end: its end.
        origin: where the first stream's first frame is shown, by the same clock.
    """
    decoded_from = start
    spans: list[tuple[IndexEntries, int, int, int]] = []
    for stream in streams:
        entries, tick = stream.index_entries, stream.time_base
        if not len(entries) or tick is None:
            continue
        after = bisect_left(entries, ceil(end / tick), key=_ticks)
        if stream is streams[0]:
            first = _key_entry(entries, floor(start / tick), floor(origin / tick))
            decoded_from = min(start - PREROLL_S, entries[first].timestamp * tick)
        else:
            first = max(0, bisect_right(entries, floor(decoded_from / tick), key=_ticks) - 1)
        reach = bisect_left(entries, ceil((end + _INTERLEAVED_S) / tick), key=_ticks)
        spans.append((entries, first, min(after + 1, len(entries)), reach))
    needed = [_bytes(e) for entries, first, after, _ in spans for e in entries[first:after]]
    last = max((stop for _, stop in needed), default=0)
    for entries, _, after, reach in spans:
        needed += [_bytes(e) for e in entries[after:reach] if e.pos < last]
    return needed


def ranges_by_cues(
    entries: IndexEntries, start: int, end: int, clusters_stop: int
) -> tuple[ByteRange, int | None]:
    """Find the clusters of an interval in Matroska's index of key frames.

    Args:
        entries: a stream's.
        start: the interval's start, in ticks of the stream.
        end: its end, likewise.
        clusters_stop: where the last cluster ends.

    Returns:
        The bytes, and the time of the key frame after them, in ticks, if there is one.
    """
    first = max(0, bisect_right(entries, start, key=_ticks) - 1)
    for entry in islice(entries, bisect_left(entries, end, key=_ticks), None):
        if entry.pos > entries[first].pos:
            return (entries[first].pos, entry.pos), entry.timestamp
    return (entries[first].pos, clusters_stop), None


def fragments_between(
    fragments: Sequence[Fragment], start: Fraction, end: Fraction, *, has_sound: bool
) -> range:
    """Find the fragments of an interval.

    Args:
        fragments: all of them.
        start: the interval's start, in seconds from the first fragment's.
        end: its end.
        has_sound: whether sound lies in the same fragments. They are cut between frames in order
            of decoding, so sound from about a cut may lie on its other side.

    Returns:
        Their places in ``fragments``; at least one.
    """
    margin = PREROLL_S if has_sound else 0
    first = max(0, bisect_right(fragments, start - margin, key=lambda f: f.start_s) - 1)
    after = bisect_left(fragments, end + margin, key=lambda f: f.start_s)
    return range(first, max(after, first + 1))


def _key_entry(entries: IndexEntries, start: int, origin: int) -> int:
    """Find the last key frame that is shown at ``start`` or before.

    The index gives decoding times. How much later frames are shown is the same for most key
    frames, and known of the first; where it differs, the reader finds out.
    """
    shown = (e.timestamp for e in islice(entries, _LEADING_ENTRIES) if not e.is_discard)
    delay = max(0, origin - next(shown, origin))
    return max(0, entries.search_timestamp(start - delay))


def _bytes(entry: IndexEntry) -> ByteRange:
    return entry.pos, entry.pos + entry.size + _CHUNK_HEADER_BYTES


def _ticks(entry: IndexEntry) -> int:
    return entry.timestamp

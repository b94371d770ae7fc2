"""A far-away file reads as a near one does, and no byte is fetched twice or without need."""

from __future__ import annotations

import errno
import io
import random
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from counting_reader import CountingReader
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation import range_file
from mimecurate.curation.range_file import HEAD_BYTES, MIN_BLOCK_BYTES, RangeFile, read_range
from mimecurate.errors import ClipError, Reason

MIB = 1 << 20
DATA = random.Random(0).randbytes(MIB)


def opened(size: int = MIB) -> tuple[RangeFile, CountingReader]:
    reader = CountingReader(DATA, size=size)
    return RangeFile(reader), reader


def drained(file: io.RawIOBase) -> bytes:
    return b"".join(iter(lambda: file.read(30_000) or b"", b""))


def test_the_head_is_there_at_once() -> None:
    file, reader = opened()
    with file:
        assert read_range(file, 100, HEAD_BYTES) == DATA[100:HEAD_BYTES]
        assert reader.requests == [(0, HEAD_BYTES)]


@pytest.mark.parametrize("size", [0, 1, HEAD_BYTES - 1, HEAD_BYTES])
def test_a_short_file_is_its_head(size: int) -> None:
    file, reader = opened(size)
    with file:
        assert drained(file) == DATA[:size]
        assert reader.requests == [(0, size)]


_OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 1_100_000), st.integers(0, 200_000)),
        st.tuples(st.just("prefetch"), st.integers(0, 1_100_000), st.integers(0, 300_000)),
    ),
    max_size=12,
)


@given(_OPERATIONS)
def test_reads_are_the_files_bytes_and_none_is_fetched_twice(
    operations: list[tuple[str, int, int]],
) -> None:
    file, reader = opened()
    with file:
        for what, start, length in operations:
            if what == "prefetch":
                file.prefetch(start, start + length)
                assert file.fetched_until(start) >= min(start + length, MIB) or start >= MIB
            else:
                assert read_range(file, start, start + length) == DATA[start : start + length]
    fetched = sorted(reader.requests)
    assert all(stop <= start for (_, stop), (start, _) in pairwise(fetched))


def test_seeking_counts_from_all_three_places() -> None:
    file, reader = opened()
    with file:
        assert file.seek(-10, io.SEEK_END) == MIB - 10
        assert file.seek(4, io.SEEK_CUR) == MIB - 6 == file.tell()
        assert file.seek(MIB + 5) == MIB + 5
        assert file.read(1) == b""
        with pytest.raises(OSError, match="before the start"):
            file.seek(-1)
        assert len(reader.requests) == 1


def test_reading_ranges_leaves_the_position() -> None:
    file, _ = opened()
    with file:
        file.seek(77)
        read_range(file, 500, 600)
        assert file.tell() == 77


def test_prefetch_asks_for_what_is_missing() -> None:
    file, reader = opened()
    with file:
        file.prefetch(200_000, 300_000)
        file.prefetch(250_000, 260_000)
        file.prefetch(50_000, 400_000)
        assert reader.requests[1:] == [
            (200_000, 300_000),
            (HEAD_BYTES, 200_000),
            (300_000, 400_000),
        ]


def test_long_runs_come_in_pieces_that_fit_in_memory() -> None:
    file, reader = opened(25 * MIB)
    with file:
        file.prefetch(0, 25 * MIB)
        assert [stop - start for start, stop in reader.requests[1:]] == [
            10 * MIB,
            10 * MIB,
            5 * MIB - HEAD_BYTES,
        ]


def test_scattered_reads_fetch_little_each() -> None:
    file, reader = opened(40 * MIB)
    with file:
        for at in range(30 * MIB, MIB, -2 * MIB):
            read_range(file, at, at + 16)
        assert {stop - start for start, stop in reader.requests[1:]} == {MIN_BLOCK_BYTES}


def test_reading_on_takes_few_requests() -> None:
    file, reader = opened(16 * MIB)
    with file:
        assert len(drained(file)) == 16 * MIB
        assert len(reader.requests) <= 12
        assert reader.bytes_read == 16 * MIB


def test_the_file_can_end_early() -> None:
    file, reader = opened()
    with file:
        file.prefetch(300_000, 310_000)
        file.end_at(100_000)
        assert read_range(file, 60_000, 200_000) == DATA[60_000:100_000]
        assert read_range(file, 300_000, MIB) == DATA[300_000:310_000]
        file.end_at(None)
        assert read_range(file, 60_000, 200_000) == DATA[60_000:200_000]
    assert all(stop <= MIB for _, stop in reader.requests)


def test_a_failure_is_raised_once_then_the_file_ends() -> None:
    file, reader = opened()
    with file:
        reader.is_broken = True
        file.seek(500_000)
        with pytest.raises(ClipError, match="connection reset"):
            file.read(10)
        assert file.read(10) == b""  # libav may have swallowed the first
        with pytest.raises(ClipError, match="connection reset"):
            file.prefetch(500_000, 500_010)
        reader.is_broken = False
        file.end_at(None)
        assert file.read(10) == DATA[500_000:500_010]


def test_a_prefetch_that_works_takes_a_failure_back() -> None:
    file, reader = opened()
    with file:
        reader.is_broken = True
        file.seek(500_000)
        with pytest.raises(ClipError, match="connection reset"):
            file.read(10)
        reader.is_broken = False
        file.prefetch(200_000, 200_010)
        assert file.read(10) == DATA[500_000:500_010]


def test_nothing_stays_in_the_folder(tmp_path: Path) -> None:
    file = RangeFile(CountingReader(DATA), spool_dir=tmp_path)
    file.prefetch(0, MIB)
    assert list(tmp_path.iterdir()) == []
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


def test_a_missing_folder_is_an_error_of_the_clip(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="temporary file: No such file") as raised:
        RangeFile(CountingReader(DATA), spool_dir=tmp_path / "gone")
    assert raised.value.reason is Reason.OTHER


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(**_: Any) -> io.FileIO:
        return open("/dev/full", "r+b", buffering=0)

    monkeypatch.setattr(tempfile, "TemporaryFile", full_disk)
    with pytest.raises(ClipError, match="No space left") as raised:
        RangeFile(CountingReader(DATA))
    assert raised.value.reason is Reason.DISK_FULL
    cause = raised.value.__cause__
    assert isinstance(cause, OSError)
    assert cause.errno == errno.ENOSPC


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(range_file, "MAX_SPOOL_BYTES", 300_000)
    file, _ = opened()
    with file, pytest.raises(ClipError, match="of one file"):
        drained(file)

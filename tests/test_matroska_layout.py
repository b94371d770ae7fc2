"""The header of a Matroska file is walked to the first cluster, whatever lies in between."""

from __future__ import annotations

import io

import pytest
from counting_reader import CountingReader
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.curation.matroska_layout import cluster_ticks, survey_matroska
from mimecurate.curation.range_file import RangeFile
from mimecurate.errors import ClipError, Reason

EBML, SEGMENT, VOID = "1a45dfa3", "18538067", "ec"
SEEK_HEAD, SEEK, SEEK_ID, SEEK_POSITION = "114d9b74", "4dbb", "53ab", "53ac"
CUES, TAGS, CLUSTER, TIMESTAMP, CHECKSUM = "1c53bb6b", "1254c367", "1f43b675", "e7", "bf"


def element(number: str, payload: bytes = b"", *, width: int = 8) -> bytes:
    size = (len(payload) | 1 << 7 * width).to_bytes(width)
    return bytes.fromhex(number) + size + payload


def cluster(ticks: int, *, checksum: bool = False) -> bytes:
    stamp = element(TIMESTAMP, ticks.to_bytes(2), width=1)
    return element(CLUSTER, (element(CHECKSUM, bytes(4), width=1) if checksum else b"") + stamp)


def seek_head(*entries: tuple[str, int]) -> bytes:
    return element(
        SEEK_HEAD,
        b"".join(
            element(
                SEEK,
                element(SEEK_ID, bytes.fromhex(number), width=1)
                + element(SEEK_POSITION, offset.to_bytes(8), width=2),
            )
            for number, offset in entries
        ),
    )


def matroska(*parts: bytes, known_size: bool = True) -> tuple[bytes, int]:
    """Put a file together; also return where its segment's payload starts."""
    segment = element(SEGMENT, b"".join(parts))
    if not known_size:
        segment = segment[:4] + b"\x01" + b"\xff" * 7 + segment[12:]
    head = element(EBML, bytes(20), width=1)
    return head + segment, len(head) + 12


@pytest.mark.parametrize("known_size", [True, False])
def test_cues_at_the_end(known_size: bool) -> None:
    first = len(seek_head((CUES, 0), (TAGS, 0))) + 109
    media = cluster(0) + cluster(700)
    listed = seek_head((TAGS, first + len(media) + 50), (CUES, first + len(media)))
    void = element(VOID, bytes(100))
    data, start = matroska(
        listed, void, media, element(CUES, bytes(41)), element(TAGS), known_size=known_size
    )
    layout = survey_matroska(io.BytesIO(data), len(data))
    assert layout.first_cluster == start + first
    assert layout.tail == start + first + len(media)
    assert layout.has_cues


def test_cues_in_front_reach_beyond_the_head() -> None:
    front = element(CUES, bytes(300_000))
    data, start = matroska(front, cluster(0), bytes(200_000))
    reader = CountingReader(data)
    with RangeFile(reader) as file:
        layout = survey_matroska(file, len(data))
    assert (layout.first_cluster, layout.tail) == (start + len(front), len(data))
    assert layout.has_cues
    assert len(reader.requests) == 2
    assert reader.bytes_read < 301_000


def test_no_cues() -> None:
    data, start = matroska(cluster(0))
    layout = survey_matroska(io.BytesIO(data), len(data))
    assert (layout.first_cluster, layout.tail, layout.has_cues) == (start, len(data), False)


@pytest.mark.parametrize("checksum", [True, False])
def test_times_of_clusters(checksum: bool) -> None:
    data = bytes(7) + cluster(700, checksum=checksum) + bytes(50)
    assert cluster_ticks(io.BytesIO(data), 7, len(data)) == 700


@pytest.mark.parametrize(
    "data", [b"", bytes(30), element(CUES), element(CLUSTER, element(VOID)), cluster(1)[:10]]
)
def test_no_cluster_has_no_time(data: bytes) -> None:
    assert cluster_ticks(io.BytesIO(data), 0, len(data)) is None


def test_levels_that_lie_are_refused() -> None:
    huge = bytes.fromhex(CUES + "01ffffffffffff00")
    data, _ = matroska(huge)
    with pytest.raises(ClipError, match="reaches too far") as raised:
        survey_matroska(io.BytesIO(data), len(data))
    assert raised.value.reason is Reason.CORRUPT
    with pytest.raises(ClipError, match="unlikely length"):
        survey_matroska(io.BytesIO(data), 1 << 60)


@given(st.binary(max_size=80), st.integers(0, 60))
def test_any_bytes_end_well(noise: bytes, at: int) -> None:
    data, _ = matroska(seek_head((CUES, 500)), cluster(0))
    data = data[:at] + noise + data[at:]
    try:
        layout = survey_matroska(io.BytesIO(data), len(data))
    except ClipError:
        return
    assert 0 < layout.first_cluster < layout.tail <= len(data)

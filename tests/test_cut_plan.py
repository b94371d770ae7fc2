from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, cast

import av
import pytest
from cut_checks import cut_file, opened
from hypothesis import given
from hypothesis import strategies as st
from testbed import frames_read

from mimecurate.curation.cut_copy import plan_copy
from mimecurate.curation.cut_output import decoding_ticks
from mimecurate.curation.cut_plan import CodedFrame, Plan, plan_cut
from mimecurate.curation.cut_smart import Seams, find_seams
from mimecurate.curation.h264 import ParameterSets
from mimecurate.curation.samples import VideoSpec

if TYPE_CHECKING:
    from pathlib import Path

    from av.video.stream import VideoStream
    from testbed import SampleMaker

SETS = ParameterSets((b"\x67123",), (b"\x68",), 4)


def frame(pts: int, kind: str) -> CodedFrame:
    """I is an IDR picture, i another key frame, P a reference, b none."""
    return CodedFrame(pts, kind in "Ii", kind == "I", kind != "b", True)


def plan(coded: list[CodedFrame], low: int, high: int) -> Plan:
    """Plan ``[low, high)``, as `plan_cut` does: from the last key frame at ``low`` or before."""
    keys = [at for at, f in enumerate(coded) if f.is_key and f.pts <= low]
    ticks = tuple(sorted(f.pts for f in coded if low <= f.pts < high and f.is_shown))
    begin = keys[-1] if keys else 0
    return Plan(Fraction(1, 30), Fraction(0), ticks, 1, 1, tuple(coded[begin:]), SETS)


@st.composite
def streams(draw: st.DrawFn) -> list[CodedFrame]:
    """Draw closed GOPs of groups of reordered frames at irregular distances."""
    coded: list[CodedFrame] = []
    times = iter(accumulate(draw(st.lists(st.integers(1, 5), min_size=80, max_size=80))))
    for _ in range(draw(st.integers(1, 4))):
        coded.append(frame(next(times), "I"))
        for depth in draw(st.lists(st.integers(1, 6), max_size=4)):
            group = [next(times) for _ in range(depth)]
            order = [group[-1], *draw(st.permutations(group[:-1]))]
            coded += [frame(pts, "P" if at == 0 else "b") for at, pts in enumerate(order)]
    return coded


def decodable(coded: list[CodedFrame], begin: int, stop: int) -> set[int]:
    return {f.pts for f in coded[begin:stop]}


@given(coded=streams(), data=st.data())
def test_seams_leave_every_frame_exactly_one_place(
    coded: list[CodedFrame], data: st.DataObject
) -> None:
    shown = sorted(f.pts for f in coded)
    low = data.draw(st.sampled_from(shown))
    high = data.draw(st.integers(low + 1, shown[-1] + 1))
    planned = plan(coded, low, high)
    seams = find_seams(planned)
    if isinstance(seams, str):
        assert seams == "no IDR picture inside it"
        assert not any(f.is_idr and low <= f.pts < high for f in coded)
        return
    inner = planned.coded
    order = seams.decode_order(planned)
    assert sorted(order) == list(planned.ticks)
    assert inner[seams.copy_from].is_idr
    copied = order[len(seams.head) : len(order) - len(seams.tail)]
    assert list(seams.head) + sorted(copied) + list(seams.tail) == list(planned.ticks)
    assert set(seams.head) <= decodable(list(inner), 0, seams.copy_from)
    assert set(seams.tail) <= decodable(list(inner), seams.copy_from, seams.tail_stop)
    assert len(seams.tail) <= 6  # no more than a group


@given(coded=streams(), data=st.data())
def test_copies_hold_every_frame_from_key_frame_to_end(
    coded: list[CodedFrame], data: st.DataObject
) -> None:
    shown = sorted(f.pts for f in coded)
    low = data.draw(st.sampled_from(shown))
    high = data.draw(st.integers(low + 1, shown[-1] + 1))
    planned = plan(coded, low, high)
    copied = plan_copy(planned, "h264")
    assert isinstance(copied, Plan)
    first, last = copied.ticks[0], copied.ticks[-1]
    assert first == planned.coded[0].pts <= low
    assert planned.ticks[-1] <= last
    assert list(copied.ticks) == [tick for tick in shown if first <= tick <= last]
    assert sorted(f.pts for f in copied.coded) == list(copied.ticks)


@given(coded=streams())
def test_decoding_times_rise_and_precede_presentation(coded: list[CodedFrame]) -> None:
    order = [f.pts for f in coded]
    times = decoding_ticks(order)
    assert all(earlier < later for earlier, later in pairwise(times))
    assert all(dts <= pts for dts, pts in zip(times, order, strict=True))
    assert times[-1] - times[0] == max(order) - min(order)
    assert any(dts == pts for dts, pts in zip(times, order, strict=True))  # no later than needed


GOP = [frame(pts, kind) for pts, kind in [(0, "I"), (3, "P"), (1, "b"), (2, "b")]]
NEXT = [frame(pts, kind) for pts, kind in [(4, "I"), (7, "P"), (5, "b"), (6, "b")]]


def test_the_tail_is_what_a_copy_would_show_with_gaps() -> None:
    seams = find_seams(plan(GOP + NEXT, 2, 7))
    assert seams == Seams(4, 5, 8, head=(2, 3), tail=(5, 6))


def test_nothing_is_encoded_from_key_frame_to_the_end_of_a_group() -> None:
    seams = find_seams(plan(GOP + NEXT, 4, 8))
    assert seams == Seams(0, 4, 4, head=(), tail=())


def changed(planned: Plan, at: int, **fields: object) -> Plan:
    coded = list(planned.coded)
    coded[at] = replace(coded[at], **fields)  # type: ignore[arg-type]
    return replace(planned, coded=tuple(coded))


BOTH = plan(GOP + NEXT, 2, 7)


@pytest.mark.parametrize(
    ("planned", "reason"),
    [
        pytest.param(changed(BOTH, 4, is_idr=False), "open GOP", id="a key frame, but no IDR"),
        pytest.param(changed(BOTH, 0, is_idr=False), "open GOP", id="the first key frame"),
        pytest.param(
            changed(BOTH, 6, is_shown=False), "an edit list hides frames inside it", id="hidden"
        ),
        pytest.param(
            replace(BOTH, ticks=(2, 3)), "no IDR picture inside it", id="ends before the IDR"
        ),
        pytest.param(replace(BOTH, parameter_sets=None), "not H.264", id="another codec"),
        pytest.param(
            replace(BOTH, is_copyable=False), "its packets don't tell enough", id="new parameters"
        ),
        pytest.param(
            plan([*GOP[:3], NEXT[0], GOP[3], *NEXT[1:]], 1, 7),
            "frames are shown across an IDR picture",
            id="a frame after the IDR is shown before it",
        ),
        pytest.param(
            plan([GOP[0], frame(9, "P"), *GOP[1:], *NEXT], 1, 8),
            "frames are shown across an IDR picture",
            id="a frame before the IDR is shown after it",
        ),
    ],
)
def test_what_cannot_be_cut_smartly_is_told_from_the_packets(planned: Plan, reason: str) -> None:
    assert find_seams(planned) == reason


@pytest.mark.parametrize(
    ("planned", "codec", "reason"),
    [
        (BOTH, "mpeg4", "mpeg4 is not copied into MP4"),
        (replace(BOTH, is_copyable=False), "h264", "the stream's header changes"),
        (replace(BOTH, coded=()), "vp9", "the stream's header changes"),
        (changed(BOTH, 6, is_shown=False), "h264", "an edit list hides frames"),
    ],
)
def test_what_cannot_be_copied_is_told_from_the_packets(
    planned: Plan, codec: str, reason: str
) -> None:
    assert plan_copy(planned, codec) == reason


def test_frames_shown_before_the_first_key_frame_are_left_out_of_copies() -> None:
    coded = [frame(4, "i"), frame(2, "b"), frame(3, "b"), frame(6, "P"), frame(5, "b")]
    copied = plan_copy(plan(coded, 4, 7), "hevc")
    assert isinstance(copied, Plan)
    assert copied.ticks == (4, 5, 6)


# --- plans of real files


def test_frames_that_an_edit_list_hides_are_not_in_the_clip(
    sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=3, bframes=2))
    hidden = hide_start(video.path, tmp_path / "hidden.mp4", frames=7)
    shown = [number for number, _ in frames_read(hidden)]
    assert shown[0] == 7
    for start_ms, end_ms in [(0, 500), (300, 2200), (900, 1900)]:
        cut, _ = cut_file(hidden, start_ms, end_ms, tmp_path / "clip.mp4")
        first = -(-start_ms * 30 // 1000)
        expected = shown[first : -(-end_ms * 30 // 1000)]
        assert [number for number, _ in frames_read(tmp_path / "clip.mp4")] == expected
        assert cut.start == Fraction(first, 30)


def hide_start(path: Path, target: Path, *, frames: int) -> Path:
    """Copy a video so that its first frames lie before its time zero."""
    with av.open(path) as source, av.open(target, "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                shift = round(frames / 30 / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    stream,
                )
                output.mux(packet)
    return target


def test_codecs_whose_packets_say_little_are_decoded_for_the_plan(
    sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=3))
    for name, codec in [("v.avi", "mpeg4"), ("v.mkv", "mpeg2video"), ("v.webm", "libvpx")]:
        path = reencoded(video.path, tmp_path / name, codec)
        with opened(path) as source:
            planned = plan_cut(source, 500, 2100, check_stopped=lambda: None)
            assert not planned.coded
        cut, _ = cut_file(path, 500, 2100, tmp_path / "clip.mp4")
        numbers = [number for number, _ in frames_read(tmp_path / "clip.mp4")]
        assert numbers == list(range(15, 63))
        assert (cut.mode, cut.notes) == ("encode", ("re-encoded whole: not H.264",))


def reencoded(path: Path, target: Path, codec: str) -> Path:
    with av.open(path) as source, av.open(target, "w") as output:
        stream = cast("VideoStream", output.add_stream(codec, rate=30))
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.bit_rate = 400_000
        stream.codec_context.gop_size = 30
        for picture in source.decode(video=0):
            picture.pict_type = 0
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return target

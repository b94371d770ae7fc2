"""Far away or near, a clip's packets are the file's own, and little else is read."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import av
import pytest
from media_variants import FRAGMENTS, all_frames, far, near, read_clip, remux

from mimecurate.curation.media_source import prefetch
from mimecurate.curation.mp4_boxes import iter_boxes
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet
    from testbed import SampleMaker

SPEC = VideoSpec(seconds=5, gop=30, audio="mono")
VP9 = replace(SPEC, codec="vp9")


@dataclass(frozen=True, slots=True)
class Variant:
    """A sample, what becomes of it, and how its bytes should be found."""

    spec: VideoSpec
    plan: str
    suffix: str = ".mp4"
    container: str = ""
    options: tuple[tuple[str, str], ...] = ()
    only: str | None = None
    earlier: Fraction = Fraction(0)
    apart: bool = False


def variant(name: str, *args: Any, **kwargs: Any) -> ParameterSet:
    return pytest.param(Variant(*args, **kwargs), id=name)


def movflags(flags: str) -> tuple[tuple[str, str], ...]:
    return (("movflags", flags),)


VARIANTS = [
    variant("progressive", SPEC, "index"),
    variant("index-at-end", replace(SPEC, layout="moov_at_end"), "index"),
    variant("open-gop", replace(SPEC, open_gop=True, bframes=3), "index"),
    variant("variable-rate", replace(SPEC, variable_rate=True, bframes=3), "index"),
    variant("late", replace(SPEC, start_offset_frames=7), "index"),
    variant("hidden-start", SPEC, "index", container="mp4", earlier=Fraction(1, 2)),
    variant("fragmented", replace(SPEC, layout="fragmented"), "sidx"),
    variant("fragmented-video", replace(SPEC, layout="fragmented", audio=None), "sidx"),
    variant("fragmented-late", replace(SPEC, layout="fragmented", start_offset_frames=7), "sidx"),
    variant("table-at-end", SPEC, "index", container="mp4", options=movflags(FRAGMENTS)),
    variant(
        "no-index", SPEC, "scan", container="mp4", options=movflags(FRAGMENTS + "+skip_trailer")
    ),
    variant(
        "index-per-segment",
        SPEC,
        "scan",
        container="mp4",
        options=movflags("+frag_keyframe+dash+skip_trailer"),
    ),
    variant(
        "first-fragment-in-header",
        SPEC,
        "scan",
        container="mp4",
        options=movflags("+frag_keyframe"),
    ),
    variant("matroska", replace(SPEC, open_gop=True, bframes=3), "cues", ".mkv"),
    variant("webm", VP9, "cues", ".webm"),
    variant(
        "webm-video",
        VP9,
        "cues",
        ".webm",
        container="webm",
        options=(("cues_to_front", "1"),),
        only="video",
    ),
    variant("webm-live", VP9, "scan", ".webm", container="webm", options=(("live", "1"),)),
    variant("transport-stream", SPEC, "scan", ".ts"),
    variant("flash", SPEC, "scan", container="flv"),
]


@pytest.fixture
def made(sample: SampleMaker, tmp_path: Path) -> Callable[[Variant], Path]:
    def make(this: Variant) -> Path:
        path = sample(this.spec, this.suffix).path
        if not this.container:
            return path
        return remux(
            path,
            tmp_path / "variant",
            this.container,
            options=dict(this.options),
            only=this.only,
            earlier=this.earlier,
            apart=this.apart,
        )

    return make


def intervals(
    keys: list[Fraction], step: Fraction, duration: Fraction
) -> list[tuple[Fraction, Fraction]]:
    """The beginning, around a key frame, the end, and anywhere."""
    draw = random.Random(5)
    anywhere = [Fraction(draw.randrange(0, 4500), 1000) for _ in range(3)]
    key = keys[2]
    return [
        (Fraction(0), step),
        (key - step, key + step),
        (key, keys[3]),
        (key + step / 2, key + Fraction(1, 2)),
        (duration - Fraction(1, 4), duration),
        *((start, start + Fraction(1, 3)) for start in anywhere),
    ]


@pytest.mark.parametrize("this", VARIANTS)
def test_a_clips_packets_are_the_files(this: Variant, made: Callable[[Variant], Path]) -> None:
    path = made(this)
    frames = all_frames(path)
    times = sorted(frame.shown for frame in frames)
    origin = times[0]
    source, reader = far(path)
    with source, near(path) as local:
        assert (source.video_origin, local.video_origin) == (origin, origin)
        assert (source.plan, local.plan) == (this.plan, "local")
        keys = sorted(frame.shown - origin for frame in frames if frame.is_key)
        for start, end in intervals(keys, times[1] - origin, times[-1] - origin):
            prefetch(source, [(start, end)])
            fetched = reader.bytes_read
            for opened in (source, local):
                clip = read_clip(opened, start, end)["video"]
                assert clip[0].is_key
                assert clip[0].shown <= origin + start
                needed = [f for f in frames if clip[0].shown <= f.shown < origin + end]
                assert [frame for frame in clip if frame in needed] == needed
            assert this.plan == "scan" or reader.bytes_read - fetched <= 64 << 10


@pytest.mark.parametrize("this", VARIANTS)
def test_the_sound_of_a_clip_comes_with_it(this: Variant, made: Callable[[Variant], Path]) -> None:
    path = made(this)
    if this.spec.audio is None or this.only:
        return
    sound = all_frames(path, "audio")
    source, _ = far(path)
    with source:
        for start, end in [(Fraction(2), Fraction(3)), (Fraction(31, 10), Fraction(33, 10))]:
            prefetch(source, [(start, end)])
            first, last = source.video_origin + start, source.video_origin + end
            needed = [frame for frame in sound if first <= frame.shown < last]
            got = read_clip(source, start, end)["audio"]
            assert [frame for frame in got if frame in needed] == needed


@pytest.mark.parametrize("this", VARIANTS)
def test_what_is_known_far_away_is_what_is_known_here(
    this: Variant, made: Callable[[Variant], Path]
) -> None:
    path = made(this)
    source, _ = far(path)
    with source, near(path) as local:
        prefetch(source, [(Fraction(1), Fraction(2))])
        for name in ("time_base", "average_rate", "sample_aspect_ratio"):
            assert getattr(source.video, name) == getattr(local.video, name), name
        for name in ("width", "height", "pix_fmt", "profile", "extradata"):
            here = getattr(local.video.codec_context, name)
            assert getattr(source.video.codec_context, name) == here, name
        assert source.duration == local.duration
        if "live" not in dict(this.options):
            assert source.duration is not None
            times = [frame.shown for frame in all_frames(path)]
            assert 0 < source.duration - (max(times) - min(times)) < Fraction(1, 8)


# --- what it costs ----------------------------------------------------------------------------
LONG = VideoSpec(
    seconds=4, repeats=20, gop=60, width=320, height=180, grain=6, crf=20, audio="mono", bframes=3
)
SILENT_VP9 = replace(LONG, audio=None, codec="vp9", crf=30)
FRAGMENTED = movflags("+frag_keyframe+empty_moov+default_base_moof+dash+global_sidx+skip_trailer")
COSTS = [
    variant("progressive", LONG, "index"),
    variant("index-at-end", LONG, "index", container="mp4"),
    variant("sound-apart", LONG, "index", container="mp4", apart=True),
    variant("fragmented", LONG, "sidx", container="mp4", options=FRAGMENTED, only="video"),
    variant("webm", SILENT_VP9, "cues", ".webm"),
]
CLIP = (Fraction("41.4"), Fraction("51.4"))


def ideal_bytes(path: Path) -> int:
    """Bytes of the GOPs that overlap the clip, with their sound, and of the index."""
    with av.open(path) as container:
        kinds = [stream.type for stream in container.streams]
    streams = [all_frames(path, kind) for kind in kinds]
    keys = [frame.shown for frame in streams[0] if frame.is_key]
    first = max(key for key in keys if key <= keys[0] + CLIP[0])
    last = min(key for key in keys if key >= keys[0] + CLIP[1])
    media = sum(len(f.data) for frames in streams for f in frames if first <= f.shown < last)
    data = path.read_bytes()
    boxes = iter_boxes(data, 0, len(data)) if data[4:8] == b"ftyp" else ()
    return media + sum(b.stop - b.start for b in boxes if b.type in {b"moov", b"sidx"})


@pytest.mark.parametrize("this", COSTS)
def test_a_clip_costs_little_more_than_its_gops(
    this: Variant, made: Callable[[Variant], Path]
) -> None:
    path = made(this)
    most_requests = 2 if this.plan == "sidx" else 4 if this.apart else 3
    source, reader = far(path)
    with source:
        assert source.plan == this.plan
        prefetch(source, [CLIP])
        assert len(reader.requests) <= most_requests
        read_clip(source, *CLIP)
    assert len(reader.requests) <= most_requests
    assert reader.bytes_read <= 1.15 * ideal_bytes(path)


@pytest.mark.parametrize("this", COSTS)
@pytest.mark.parametrize(
    ("start", "end"),
    [
        pytest.param(Fraction("41.4"), Fraction(44), id="up-to-a-key-frame"),
        pytest.param(Fraction(44) - Fraction(1, 60), Fraction(47), id="from-just-before-one"),
        pytest.param(Fraction(44), Fraction(47), id="from-one"),
    ],
)
def test_what_was_fetched_is_enough(
    this: Variant, start: Fraction, end: Fraction, made: Callable[[Variant], Path]
) -> None:
    source, reader = far(made(this))
    with source:
        prefetch(source, [(start, end)])
        asked = len(reader.requests)
        read_clip(source, start, end)
        assert reader.requests[asked:] == []


def test_clips_asked_for_together_share_their_bytes(made: Callable[[Variant], Path]) -> None:
    this = Variant(LONG, "sidx", container="mp4", options=FRAGMENTED, only="video")
    clips = [(Fraction(start), Fraction(start + 6)) for start in (42, 40, 48, 70, 41)]
    together, reader = far(made(this))
    with together:
        prefetch(together, clips)
        assert len(reader.requests) == 3  # the head, 40-54 s and 70-76 s
        spent = reader.bytes_read
        for clip in clips:
            assert read_clip(together, *clip)["video"]
        prefetch(together, clips)
        assert reader.bytes_read == spent


def test_clips_asked_for_in_turn_fetch_nothing_twice(sample: SampleMaker) -> None:
    source, reader = far(sample(LONG).path)
    with source:
        for start in (70, 20, 21, 60):
            clip = Fraction(start), Fraction(start + 2)
            prefetch(source, [clip])
            assert read_clip(source, *clip)["video"]
    fetched = sorted(reader.requests)
    assert all(first[1] <= second[0] for first, second in pairwise(fetched))
    assert len(fetched) <= 6


@pytest.mark.parametrize(
    ("spec", "suffix", "container"),
    [
        pytest.param(LONG, ".mp4", "mp4", id="aac"),
        pytest.param(replace(SPEC, codec="vp9", seconds=4, repeats=20), ".webm", "webm", id="opus"),
    ],
)
def test_sound_alone_is_read_as_sparingly(
    spec: VideoSpec, suffix: str, container: str, sample: SampleMaker, tmp_path: Path
) -> None:
    path = remux(sample(spec, suffix).path, tmp_path / "sound", container, only="audio")
    sound = all_frames(path, "audio")
    source, reader = far(path, need_video=False)
    with source:
        assert source.video_origin == 0
        with pytest.raises(ClipError, match="no video"):
            _ = source.video
        opened = reader.bytes_read
        prefetch(source, [CLIP])
        got = read_clip(source, *CLIP)["audio"]
    needed = [frame for frame in sound if CLIP[0] <= frame.shown < CLIP[1]]
    assert [frame for frame in got if frame in needed] == needed
    clip_bytes = sum(len(frame.data) for frame in needed)
    cluster = clip_bytes / 2 if container == "webm" else 0  # of 5 s, one at each end
    assert reader.bytes_read - opened <= 1.15 * clip_bytes + 2 * cluster

from __future__ import annotations

import random
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import av
import numpy as np
import pytest
from cut_checks import IN_STEP_S, PIECE_S, check_in_step, cut_file, only_sound, opened, sound_of

from mimecurate.curation.audio_cut import cut_sound
from mimecurate.curation.cut import cut_clip
from mimecurate.curation.sample_sound import clock_sound
from mimecurate.curation.samples import VideoSpec, audio_time
from mimecurate.curation.verify import verify_clip
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from av.audio.codeccontext import AudioCodecContext
    from av.audio.stream import AudioStream
    from testbed import SampleMaker


def source(name: str, suffix: str = ".mp4", *, is_copied: bool = True, **spec: Any) -> Any:
    return pytest.param(VideoSpec(seconds=4, **spec), suffix, is_copied, id=name)


SOURCES = [
    source("mono_48", audio="mono"),
    source("stereo_44.1", audio="stereo", sample_rate=44_100),
    source("stereo_48_index_at_end", audio="stereo", layout="moov_at_end"),
    source("fragmented_late_start", audio="mono", layout="fragmented", start_offset_frames=2),
    source("matroska", ".mkv", audio="stereo"),
    source("variable_rate", audio="mono", variable_rate=True),
    source("adts_in_mpegts", ".ts", is_copied=False, audio="stereo"),
    source("opus", ".webm", is_copied=False, audio="stereo", codec="vp9"),
]


@pytest.mark.parametrize("mode", ["smart", "encode", "copy"])
@pytest.mark.parametrize(("spec", "suffix", "is_copied"), SOURCES)
def test_sound_is_in_step(
    spec: VideoSpec, suffix: str, is_copied: bool, mode: Any, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(spec, suffix)
    draw = random.Random(f"{spec}{mode}")
    start_ms = draw.randrange(0, 2800)
    end_ms = start_ms + draw.randrange(800, 4000 - start_ms)
    cut, facts = cut_file(video.path, start_ms, end_ms, tmp_path / "clip.mp4", mode=mode)
    assert facts.audio_codec == "aac"
    check_in_step(tmp_path / "clip.mp4", cut)


@pytest.mark.parametrize(("spec", "suffix", "is_copied"), SOURCES)
def test_sound_is_copied_where_it_can_be(
    spec: VideoSpec, suffix: str, is_copied: bool, sample: SampleMaker
) -> None:
    with opened(sample(spec, suffix).path) as media:
        sound = cut_sound(media, Fraction(1), Fraction(2), lambda: None)
    assert sound is not None
    assert (sound.copied_from is not None) == is_copied
    assert sound.rate == spec.sample_rate
    assert sound.layout == spec.audio


def test_sound_starts_with_the_video_at_the_source_start(
    sample: SampleMaker, tmp_path: Path
) -> None:
    cut, _ = cut_file(sample(VideoSpec(audio="mono")).path, 0, 1500, tmp_path / "clip.mp4")
    check_in_step(tmp_path / "clip.mp4", cut)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_sound_may_come_in_a_file_of_its_own(
    suffix: str, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=4, layout="fragmented", start_offset_frames=2))
    spec = VideoSpec(seconds=4, audio="stereo", codec="vp9" if suffix == ".webm" else "h264")
    alone = only_sound(sample(spec, suffix).path, tmp_path / f"sound{suffix}")
    with opened(video.path) as pictures, opened(alone, need_video=False) as sound:
        cut = cut_clip(pictures, sound, 1210, 3460, tmp_path / "clip.mp4")
    verify_clip(tmp_path / "clip.mp4", cut)
    check_in_step(tmp_path / "clip.mp4", cut)


def test_a_source_without_sound_gives_a_clip_without(sample: SampleMaker, tmp_path: Path) -> None:
    cut, facts = cut_file(sample(VideoSpec(seconds=4)).path, 500, 1500, tmp_path / "clip.mp4")
    assert not cut.has_audio
    assert facts.audio_codec is None


def test_sound_that_is_over_leaves_the_clip_without(sample: SampleMaker, tmp_path: Path) -> None:
    path = with_sound(sample(VideoSpec(seconds=4)).path, tmp_path / "v.mp4", [(0.0, 1.0)])
    cut, facts = cut_file(path, 2000, 3500, tmp_path / "clip.mp4")
    assert not cut.has_audio
    assert facts.audio_codec is None


def test_a_gap_becomes_silence_and_what_follows_stays_in_step(
    sample: SampleMaker, tmp_path: Path
) -> None:
    path = with_sound(
        sample(VideoSpec(seconds=4)).path, tmp_path / "v.mkv", [(0.0, 1.0), (2.0, 4.0)]
    )
    cut, _ = cut_file(path, 500, 3500, tmp_path / "clip.mp4")
    samples, rate, first_s = sound_of(tmp_path / "clip.mp4")
    assert first_s == 0
    assert np.abs(samples[int(0.7 * rate) : int(1.3 * rate)]).max() < 0.01
    for at_s in (0.1, 1.8, 2.4):
        piece = samples[int(at_s * rate) : int((at_s + PIECE_S) * rate)]
        expected = float(cut.start) + int(at_s * rate) / rate
        assert audio_time(piece, rate) == pytest.approx(expected, abs=IN_STEP_S)


def test_sound_that_starts_late_is_led_by_silence(sample: SampleMaker, tmp_path: Path) -> None:
    path = with_sound(sample(VideoSpec(seconds=4)).path, tmp_path / "v.mkv", [(1.5, 4.0)])
    cut_file(path, 1000, 3000, tmp_path / "clip.mp4")
    samples, rate, first_s = sound_of(tmp_path / "clip.mp4")
    assert first_s == 0
    assert np.abs(samples[: int(0.45 * rate)]).max() < 0.01
    piece = samples[int(0.8 * rate) : int(1.1 * rate)]
    assert audio_time(piece, rate) == pytest.approx(1.8, abs=IN_STEP_S)


@pytest.mark.parametrize(
    ("codec", "rate", "layout", "expected"),
    [
        ("pcm_s16le", 96_000, "stereo", (96_000, "stereo")),
        ("pcm_s16le", 18_000, "mono", (48_000, "mono")),
        ("mp3", 44_100, "stereo", (44_100, "stereo")),
        ("ac3", 48_000, "5.1(side)", (48_000, "stereo")),
        ("flac", 48_000, "5.1", (48_000, "5.1")),
    ],
)
def test_other_sound_becomes_aac(
    codec: str,
    rate: int,
    layout: str,
    expected: tuple[int, str],
    sample: SampleMaker,
    tmp_path: Path,
) -> None:
    path = with_sound(
        sample(VideoSpec(seconds=4)).path,
        tmp_path / "v.mkv",
        [(0.0, 4.0)],
        codec=codec,
        rate=rate,
        layout=layout,
    )
    cut, facts = cut_file(path, 700, 2900, tmp_path / "clip.mp4")
    assert facts.audio_codec == "aac"
    check_in_step(tmp_path / "clip.mp4", cut)
    with av.open(tmp_path / "clip.mp4") as container:
        stream = container.streams.audio[0]
        assert (stream.sample_rate, stream.layout.name) == expected


@pytest.mark.parametrize("codec", ["aac", "flac", "ac3"])
def test_broken_sound_is_found(codec: str, sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=4)).path
    path = with_sound(video, tmp_path / "v.mkv", [(0, 4)], codec=codec)
    with av.open(path) as container:
        hit, size = next((p.pos, p.size) for p in container.demux(audio=0) if (p.pts or 0) >= 2000)
    assert hit is not None
    data = bytearray(path.read_bytes())
    data[hit + 20 : hit + size] = b"U" * (size - 20)
    (tmp_path / "broken.mkv").write_bytes(data)
    with pytest.raises(ClipError, match=r"sound|does not decode") as caught:
        cut_file(tmp_path / "broken.mkv", 1500, 2500, tmp_path / "clip.mp4")
    assert caught.value.reason is Reason.CORRUPT
    cut_file(tmp_path / "broken.mkv", 200, 1500, tmp_path / "clip.mp4")


def with_sound(
    path: Path,
    target: Path,
    spans: list[tuple[float, float]],
    *,
    codec: str = "aac",
    rate: int = 48_000,
    layout: str = "mono",
) -> Path:
    """Copy a video and give it the clock sound at some times only."""
    with av.open(path) as silent, av.open(target, "w") as loud:
        video = loud.add_stream_from_template(silent.streams.video[0])
        audio = cast("AudioStream", loud.add_stream(codec, rate=rate))
        audio.layout = layout
        packets = [packet for packet in silent.demux(video=0) if packet.size]
        sound = []
        for start_s, end_s in spans:
            encoder = cast("AudioCodecContext", av.CodecContext.create(codec, "w"))
            encoder.sample_rate, encoder.layout, encoder.format = rate, layout, audio.format
            encoder.time_base = Fraction(1, rate)
            begin = round(start_s * rate)
            for at in range(begin, round(end_s * rate), 1024):
                samples = clock_sound(at / rate, min(1024, round(end_s * rate) - at), rate)
                planes = np.repeat(samples[np.newaxis], encoder.layout.nb_channels, axis=0)
                frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
                sound += encoder.encode(frame)
            sound += encoder.encode(None)
        for packet in sound:
            packet.stream = audio
        for packet in packets:
            packet.stream = video
        everything = sorted([*packets, *sound], key=lambda p: (p.dts or 0) * p.time_base)
        loud.mux(everything)
    return target

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from cut_checks import cut_file, cut_sample, luma_frames, psnr_db

from mimecurate.curation.cut_picture import Orientation, frame_fitter, picture_of
from mimecurate.curation.samples import ColourTags, VideoSpec, read_counter
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.cut import CutMode

MODES: list[CutMode] = ["smart", "encode", "copy"]
ONE = 1 << 16
SHORT = VideoSpec(seconds=2)
TALL = VideoSpec(seconds=2, width=128, height=256, rotation=90, sample_aspect_ratio=Fraction(4, 3))


def stream_facts(path: Path) -> tuple[Any, ...]:
    """Sample aspect ratio and colour: of the container, and of every frame, in one."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        facts = set()
        for frame in container.decode(stream):
            tags = frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range
            facts.add((frame.format.name, *tags))
        assert len(facts) == 1
        context = stream.codec_context
        return stream.sample_aspect_ratio, context.sample_aspect_ratio, *facts.pop()


# --- what stays


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("ratio", [Fraction(1024, 765), Fraction(8, 9), Fraction(64, 51)])
def test_the_sample_aspect_ratio_stays(
    ratio: Fraction, mode: CutMode, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=2, sample_aspect_ratio=ratio))
    cut_sample(video, 500, 1900, tmp_path / "clip.mp4", mode=mode)
    assert stream_facts(tmp_path / "clip.mp4")[:2] == (ratio, ratio)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "tags",
    [
        pytest.param(ColourTags.bt709(), id="bt709"),
        pytest.param(ColourTags(6, 6, 6), id="bt601"),
        pytest.param(ColourTags(1, 1, 1, full_range=True), id="full range"),
        pytest.param(ColourTags(9, 14, 9), id="bt2020"),
    ],
)
def test_colour_tags_stay(
    tags: ColourTags, mode: CutMode, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=2, colour=tags))
    cut_file(video.path, 500, 1900, tmp_path / "clip.mp4", mode=mode)
    form = "yuvj420p" if tags.full_range else "yuv420p"
    expected = (form, tags.primaries, tags.transfer, tags.matrix, 2 if tags.full_range else 1)
    assert stream_facts(tmp_path / "clip.mp4")[2:] == expected


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p", "yuv444p10le"])
@pytest.mark.parametrize("full_range", [False, True])
def test_other_pixel_formats_keep_brightness_and_tags(
    pix_fmt: str, full_range: bool, sample: SampleMaker, tmp_path: Path
) -> None:
    spec = VideoSpec(seconds=1, colour=ColourTags(9, 14, 9, full_range=full_range))
    plain = sample(spec)
    video = sample(VideoSpec(seconds=1, pix_fmt=pix_fmt, colour=spec.colour))
    cut_file(video.path, 0, 500, tmp_path / "clip.mp4")
    cut_file(plain.path, 0, 500, tmp_path / "plain.mp4", mode="encode")
    assert stream_facts(tmp_path / "clip.mp4")[3:] == (9, 14, 9, 2 if full_range else 1)
    ours, theirs = luma_frames(tmp_path / "clip.mp4"), luma_frames(tmp_path / "plain.mp4")
    assert abs(float(ours[7].mean()) - float(theirs[7].mean())) < 0.5
    assert psnr_db(ours[7], theirs[7]) > 35


def test_hdr_becomes_bt709(sample: SampleMaker, tmp_path: Path) -> None:
    spec = VideoSpec(
        seconds=0.5, codec="hevc", pix_fmt="yuv420p10le", colour=ColourTags.hdr10(), width=128
    )
    cut = cut_sample(sample(spec), 100, 400, tmp_path / "clip.mp4")
    assert cut.notes == ("re-encoded whole: pixel format yuv420p10le, HDR",)
    assert stream_facts(tmp_path / "clip.mp4")[2:] == ("yuv420p", 1, 1, 1, 1)


# --- what is turned, cut off and scaled


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_is_carried_out(rotation: Any, sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=1, rotation=rotation))
    cut = cut_sample(video, 200, 900, tmp_path / "clip.mp4")
    assert (cut.width, cut.height) == ((160, 120) if rotation == 180 else (120, 160))
    upright = luma_frames(tmp_path / "clip.mp4")[3]
    stored = luma_frames(video.path)[9]
    assert psnr_db(np.rot90(stored, -rotation // 90), upright) > 40
    with av.open(tmp_path / "clip.mp4") as container:
        assert next(container.decode(video=0)).rotation == 0


def test_a_copy_keeps_its_display_matrix(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=1, rotation=90))
    cut_sample(video, 200, 900, tmp_path / "clip.mp4", mode="copy")
    with av.open(tmp_path / "clip.mp4") as ours, av.open(video.path) as theirs:
        assert next(ours.decode(video=0)).rotation == next(theirs.decode(video=0)).rotation != 0


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        pytest.param((ONE, 0, 0, ONE), [[1, 2], [3, 4]], id="as it is"),
        pytest.param((0, ONE, -ONE, 0), [[3, 1], [4, 2]], id="clockwise"),
        pytest.param((-ONE, 0, 0, -ONE), [[4, 3], [2, 1]], id="half a turn"),
        pytest.param((0, -ONE, ONE, 0), [[2, 4], [1, 3]], id="anticlockwise"),
        pytest.param((-ONE, 0, 0, ONE), [[2, 1], [4, 3]], id="mirrored"),
        pytest.param((ONE, 0, 0, -ONE), [[3, 4], [1, 2]], id="upside down"),
        pytest.param((0, ONE, ONE, 0), [[1, 3], [2, 4]], id="transposed"),
        pytest.param((0, -ONE, -ONE, 0), [[4, 2], [3, 1]], id="the other transposed"),
        pytest.param((0, 0, 0, 0), [[1, 2], [3, 4]], id="nonsense"),
        pytest.param((64000, 9000, -9000, 64000), [[1, 2], [3, 4]], id="a few degrees"),
    ],
)
def test_display_matrices(matrix: tuple[int, ...], expected: list[list[int]]) -> None:
    a, b, c, d = matrix
    data = np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()
    plane = np.array([[1, 2], [3, 4]], np.uint8)
    assert Orientation.from_display_matrix(data).apply(plane).tolist() == expected


def test_an_odd_size_loses_one_column_and_row(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=1, codec="vp9", width=161, height=121), ".webm")
    cut = cut_sample(video, 100, 900, tmp_path / "clip.mp4")
    assert (cut.width, cut.height) == (160, 120)
    assert cut.notes == ("re-encoded whole: not H.264",) or "odd size" in cut.notes[0]
    ours, theirs = luma_frames(tmp_path / "clip.mp4")[0], luma_frames(video.path)[3]
    assert psnr_db(ours, theirs[:120, :160]) > 40


@pytest.mark.parametrize(
    ("spec", "max_height", "size", "ratio"),
    [
        pytest.param(SHORT, 60, (80, 60), 1, id="half"),
        pytest.param(SHORT, 61, (80, 60), 1, id="an odd number of lines"),
        pytest.param(SHORT, 100, (134, 100), 1, id="the width is even"),
        pytest.param(TALL, 96, (192, 96), Fraction(3, 4), id="turned and anamorphic"),
    ],
)
def test_a_higher_picture_is_scaled(
    spec: VideoSpec,
    max_height: int,
    size: tuple[int, int],
    ratio: Fraction,
    sample: SampleMaker,
    tmp_path: Path,
) -> None:
    cut, facts = cut_file(sample(spec).path, 500, 1500, tmp_path / "c.mp4", max_height=max_height)
    assert (cut.width, cut.height) == (facts.width, facts.height) == size
    assert f"scaled to {max_height} lines" in cut.notes[0]
    assert stream_facts(tmp_path / "c.mp4")[0] == ratio
    turned = [np.rot90(luma, spec.rotation // 90) for luma in luma_frames(tmp_path / "c.mp4")]
    assert [read_counter(luma) for luma in turned] == list(range(15, 45))


@pytest.mark.parametrize("max_height", [120, 480])
def test_a_picture_that_is_low_enough_is_cut_smartly(
    max_height: int, sample: SampleMaker, tmp_path: Path
) -> None:
    cut = cut_sample(sample(SHORT), 500, 1500, tmp_path / "clip.mp4", max_height=max_height)
    assert (cut.mode, cut.notes) == ("smart", ())


# --- pictures that samples don't have


def plain_frame(pix_fmt: str, value: int, size: tuple[int, int] = (32, 16)) -> av.VideoFrame:
    frame = av.VideoFrame(*size, pix_fmt)
    for plane in frame.planes:
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def test_rgb_becomes_bt709_in_limited_range(sample: SampleMaker) -> None:
    frame = plain_frame("gbrp", 255)
    frame.colorspace, frame.color_range = 0, 2
    with av.open(sample(SHORT).path) as container:
        picture = picture_of(frame, container.streams.video[0], None)
    white = frame_fitter(picture)(frame)
    assert (picture.colour.matrix, picture.colour.range) == (1, 1)
    assert [bytes(plane)[0] for plane in white.planes] == [235, 128, 128]


def test_interlaced_frames_stay_interlaced(sample: SampleMaker, tmp_path: Path) -> None:
    path = interlaced(sample(SHORT).path, tmp_path / "interlaced.mp4")
    for mode in MODES:
        cut, _ = cut_file(path, 500, 1900, tmp_path / "clip.mp4", mode=mode)
        with av.open(tmp_path / "clip.mp4") as container:
            frames = list(container.decode(video=0))
        assert all(frame.interlaced_frame for frame in frames)
        numbers = [read_counter(frame.to_ndarray(format="gray")) for frame in frames]
        first = 15 if mode != "copy" else 0
        assert numbers == list(range(first, first + cut.frames))


def test_frames_too_small_to_encode_are_unsupported(sample: SampleMaker) -> None:
    with av.open(sample(SHORT).path) as container, pytest.raises(ClipError) as caught:
        picture_of(plain_frame("yuv444p", 9, (1, 8)), container.streams.video[0], None)
    assert caught.value.reason is Reason.UNSUPPORTED


def interlaced(path: Path, target: Path) -> Path:
    """Encode a video's frames as interlaced ones."""
    with av.open(path) as source, av.open(target, "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        stream.codec_context.gop_size = 30
        for frame in source.decode(video=0):
            frame.pict_type = 0
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import imagehash
import pytest
from cut_checks import cut_file
from PIL import Image

from mimecurate.curation.cut import Cut
from mimecurate.curation.frame_looks import HASHES
from mimecurate.curation.mp4_boxes import find_box
from mimecurate.curation.sample_files import disguised, scrambled, truncated
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.verify import MediaFacts, verify_clip
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.cut import Cut, CutMode

SPEC = VideoSpec(seconds=4, bframes=3, audio="stereo", grain=4)


@pytest.fixture(scope="module")
def made(sample: SampleMaker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Cut]:
    """A clip that is whole."""
    path = tmp_path_factory.mktemp("verify") / "clip.mp4"
    cut, _ = cut_file(sample(SPEC).path, 500, 3300, path)
    assert cut.mode == "smart"
    return path, cut


def test_facts_are_those_of_the_file(made: tuple[Path, Cut]) -> None:
    path, cut = made
    facts = verify_clip(path, cut)
    assert facts == MediaFacts(
        bytes=path.stat().st_size,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        duration_ms=2800,
        width=160,
        height=120,
        fps=30.0,
        fps_num=30,
        fps_den=1,
        frames=84,
        video_codec="h264",
        audio_codec="aac",
        frame_hashes=facts.frame_hashes,
        warnings=(),
    )
    assert cut.checked is not None
    assert verify_clip(path, replace(cut, checked=None)) == facts
    assert verify_clip(path) == facts


def test_rates_are_exact(sample: SampleMaker, tmp_path: Path) -> None:
    video = sample(VideoSpec(seconds=4, fps=Fraction(30000, 1001), gop=48))
    _, facts = cut_file(video.path, 500, 3000, tmp_path / "clip.mp4")
    assert (facts.fps_num, facts.fps_den) == (30000, 1001)
    assert facts.duration_ms == round(75 * 1001 / 30)


def test_hashes_are_of_evenly_spaced_frames(made: tuple[Path, Cut]) -> None:
    path, cut = made
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    for i, value in enumerate(verify_clip(path, cut).frame_hashes):
        middle = frames[(2 * i + 1) * 84 // 16]
        small = Image.fromarray(middle.to_ndarray(format="gray")).resize(
            (64, 64), Image.Resampling.BOX
        )
        ours = imagehash.hex_to_hash(f"{value:016x}")
        assert ours - imagehash.phash(small) <= 4


def test_hashes_outlive_another_encoding_and_tell_clips_apart(
    sample: SampleMaker, tmp_path: Path
) -> None:
    path = sample(SPEC).path
    hashes = []
    ways: list[tuple[int, CutMode]] = [(500, "smart"), (500, "encode"), (1700, "smart")]
    for start_ms, mode in ways:
        _, facts = cut_file(path, start_ms, start_ms + 1500, tmp_path / "clip.mp4", mode=mode)
        hashes.append(facts.frame_hashes)
    first, again, other = hashes
    assert len(first) == HASHES
    assert all(0 <= value < 1 << 64 for value in first)
    assert max((a ^ b).bit_count() for a, b in zip(first, again, strict=True)) <= 6
    assert max((a ^ b).bit_count() for a, b in zip(first, other, strict=True)) > 6


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_clips_of_few_frames_have_eight_hashes(
    frames: int, sample: SampleMaker, tmp_path: Path
) -> None:
    _, facts = cut_file(sample(SPEC).path, 1000, 990 + frames * 100 // 3, tmp_path / "clip.mp4")
    assert facts.frames == frames
    assert len(facts.frame_hashes) == HASHES


# --- clips that are not whole


def flipped(path: Path, target: Path, seed: int) -> Path:
    """Turn a bit over in each of twenty bytes of the coded pictures."""
    data = bytearray(path.read_bytes())
    media = find_box(data, (b"mdat",), 0, len(data))
    assert media is not None
    draw = random.Random(seed)
    for _ in range(20):
        data[draw.randrange(media.payload, media.stop)] ^= 1 << draw.randrange(8)
    target.write_bytes(data)
    return target


def zeroed(path: Path, target: Path, part: float) -> Path:
    data = bytearray(path.read_bytes())
    begin = int(len(data) * part)
    data[begin : begin + len(data) // 12] = bytes(len(data) // 12)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("keep", [0, 0.01, 0.3, 0.6, 0.95, 0.999])
def test_truncated_clips_are_caught(keep: float, made: tuple[Path, Cut], tmp_path: Path) -> None:
    path = truncated(made[0], tmp_path / "clip.mp4", keep=keep)
    with pytest.raises(ClipError) as caught:
        verify_clip(path, made[1])
    assert caught.value.reason is Reason.CORRUPT


def test_a_file_of_other_packets_is_caught(made: tuple[Path, Cut], tmp_path: Path) -> None:
    path, cut = made
    assert cut.checked is not None
    digests = cut.checked.digests
    for others in (digests[:-1], (*digests, b"one more"), digests[::-1]):
        with pytest.raises(ClipError, match="not whole"):
            verify_clip(path, replace(cut, checked=replace(cut.checked, digests=others)))


@pytest.mark.parametrize("seed", range(8))
def test_flipped_bits_are_caught(seed: int, made: tuple[Path, Cut], tmp_path: Path) -> None:
    with pytest.raises(ClipError) as caught:
        verify_clip(flipped(made[0], tmp_path / "clip.mp4", seed), made[1])
    assert caught.value.reason is Reason.CORRUPT


@pytest.mark.parametrize("part", [0, 0.001, 0.3, 0.5, 0.9])
def test_zeroes_are_caught(part: float, made: tuple[Path, Cut], tmp_path: Path) -> None:
    with pytest.raises(ClipError) as caught:
        verify_clip(zeroed(made[0], tmp_path / "clip.mp4", part), made[1])
    assert caught.value.reason in {Reason.CORRUPT, Reason.NO_VIDEO}


def test_noise_is_caught(made: tuple[Path, Cut], tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="not whole"):
        verify_clip(scrambled(made[0], tmp_path / "clip.mp4"), made[1])


@pytest.mark.parametrize("kind", ["empty", "garbage", "html", "m3u8", "ffconcat"])
def test_what_is_no_video_is_caught(kind: str, tmp_path: Path) -> None:
    path = disguised(tmp_path / "clip.mp4", kind)  # type: ignore[arg-type]
    with pytest.raises(ClipError) as caught:
        verify_clip(path)
    assert caught.value.reason is Reason.CORRUPT


def test_a_file_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verify_clip(tmp_path / "clip.mp4")


def test_a_file_of_sound_alone_has_no_video(made: tuple[Path, Cut], tmp_path: Path) -> None:
    with av.open(made[0]) as whole, av.open(tmp_path / "sound.mp4", "w") as alone:
        stream = alone.add_stream_from_template(whole.streams.audio[0])
        for packet in whole.demux(audio=0):
            if packet.size:
                packet.stream = stream
                alone.mux(packet)
    with pytest.raises(ClipError) as caught:
        verify_clip(tmp_path / "sound.mp4")
    assert caught.value.reason is Reason.NO_VIDEO


@pytest.mark.parametrize(
    ("planned", "message"),
    [
        ({"frames": 85}, "it holds 84 frames, not 85"),
        ({"duration": Fraction(27, 10)}, "it lasts 2.8000 s, not 2.7000"),
        ({"width": 162}, "its frames are 160x120, not 162x120"),
        ({"has_audio": False}, "it has sound"),
    ],
)
def test_clips_other_than_planned_are_caught(
    planned: dict[str, object], message: str, made: tuple[Path, Cut]
) -> None:
    path, cut = made
    with pytest.raises(ClipError, match=message):
        verify_clip(path, replace(cut, **planned))  # type: ignore[arg-type]


def test_a_frame_at_another_time_is_caught(made: tuple[Path, Cut]) -> None:
    path, cut = made
    times = list(cut.frame_times)
    times[40] += Fraction(1, 1000)
    with pytest.raises(ClipError, match=r"frame 40 is at 1.3333 s, not 1.3343"):
        verify_clip(path, replace(cut, frame_times=tuple(times)))


def test_frames_that_an_edit_list_hides_are_caught(sample: SampleMaker, tmp_path: Path) -> None:
    """A clip as ``ffmpeg -ss -c copy`` makes it shows the right frames, but holds others too."""
    with av.open(sample(SPEC).path) as source, av.open(tmp_path / "clip.mp4", "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                shift = round(Fraction(1, 2) / packet.time_base)
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - shift,
                    packet.dts - shift,
                    stream,
                )
                output.mux(packet)
    with pytest.raises(ClipError, match="105 frames decode, the file says 120"):
        verify_clip(tmp_path / "clip.mp4")


def test_a_clip_that_does_not_begin_at_zero_is_caught(sample: SampleMaker) -> None:
    video = sample(VideoSpec(seconds=4, start_offset_frames=2))
    with pytest.raises(ClipError, match=r"it begins at 0.066 s"):
        verify_clip(video.path)


# --- clips that are whole and useless


@pytest.mark.parametrize(("picture", "warning"), [("black", "black"), ("frozen", "frozen")])
@pytest.mark.parametrize("mode", ["smart", "encode"])
def test_pictures_without_content_are_mentioned(
    picture: str, warning: str, mode: str, sample: SampleMaker, tmp_path: Path
) -> None:
    video = sample(VideoSpec(seconds=4, picture=picture, grain=3))  # type: ignore[arg-type]
    _, facts = cut_file(video.path, 500, 3300, tmp_path / "clip.mp4", mode=mode)  # type: ignore[arg-type]
    assert facts.warnings == (f"{warning} throughout",)


def test_one_small_movement_is_no_frozen_picture(tmp_path: Path) -> None:
    """A black film with a light spot crossing it, as of somebody far away at night."""
    with av.open(tmp_path / "clip.mp4", "w", options={"movflags": "+faststart"}) as output:
        stream = output.add_stream("libx264", rate=30, options={"crf": "18"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(30):
            luma = bytearray(b"\x60" * 320 * 240)
            for line in range(100, 124):
                begin = line * 320 + 5 * number
                luma[begin : begin + 24] = b"\xa0" * 24
            frame = av.VideoFrame(320, 240, "yuv420p")
            for plane, data in zip(frame.planes, [luma, *2 * [b"\x80" * 160 * 120]], strict=True):
                plane.update(bytes(data))
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert verify_clip(tmp_path / "clip.mp4").warnings == ()


def test_a_clip_of_one_frame_is_not_called_frozen(sample: SampleMaker, tmp_path: Path) -> None:
    _, facts = cut_file(sample(SPEC).path, 1000, 1020, tmp_path / "clip.mp4")
    assert (facts.frames, facts.warnings) == (1, ())

from __future__ import annotations

import contextlib
import json
import random
import shutil
from fractions import Fraction
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_variants import remux
from torchcodec_programs import run_with_torchcodec

from mimecurate.baselines import decode
from mimecurate.baselines.decode import open_video, torchcodec_problem
from mimecurate.curation.samples import VideoSpec, read_counter
from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

PLAIN = VideoSpec(seconds=2, fps=25, gop=10)
SPECS = {
    "constant": PLAIN,
    "variable": VideoSpec(seconds=2, fps=25, gop=12, variable_rate=True, bframes=3),
    "open": VideoSpec(seconds=2, fps=30, gop=15, open_gop=True, bframes=3),
    "intra": VideoSpec(seconds=1, fps=25, gop=1, bframes=0),
    "late": VideoSpec(seconds=1, fps=25, start_offset_frames=5, audio="mono"),
    "fragmented": VideoSpec(seconds=2, fps=25, gop=10, layout="fragmented"),
    "ntsc": VideoSpec(seconds=2, fps=Fraction(30000, 1001), gop=50, bframes=0),
    "hevc": VideoSpec(seconds=1, fps=25, gop=10, codec="hevc"),
}


def numbers(frames: torch.Tensor) -> list[int]:
    """Read the number that each frame carries."""
    grey = frames.float().mean(1).round().to(torch.uint8).numpy()
    return [read_counter(picture) for picture in grey]


@pytest.mark.parametrize("name", SPECS)
def test_frames_come_by_their_numbers(name: str, sample: SampleMaker) -> None:
    made = sample(SPECS[name])
    expected = [number for number, _ in made.frames]
    with open_video(made.path, decoder="pyav") as video:
        assert video.frames == len(expected)
        assert (video.width, video.height) == (160, 120)
        assert numbers(torch.cat(list(video.chunks(7)))) == expected
        draw = random.Random(name)
        for _ in range(4):
            wanted = [draw.randrange(video.frames) for _ in range(5)]
            assert numbers(video.read(wanted)) == [expected[i] for i in wanted]
        span = made.frames[-1][1] - made.frames[0][1]
        assert video.fps == pytest.approx(float((len(expected) - 1) / span), rel=1e-3)


def test_other_containers(sample: SampleMaker) -> None:
    for suffix in (".mkv", ".ts"):
        made = sample(PLAIN, suffix)
        with open_video(made.path, decoder="pyav") as video:
            assert numbers(video.read([49, 0, 20])) == [49, 0, 20]


def test_hidden_frames_are_not_counted(sample: SampleMaker, tmp_path: Path) -> None:
    made = sample(VideoSpec(seconds=2, fps=25, gop=10, bframes=0))
    cut = remux(made.path, tmp_path / "cut.mp4", "mp4", earlier=Fraction(15, 25))
    with open_video(cut, decoder="pyav") as video:
        first = numbers(video.read([0]))[0]
        assert video.frames == 50 - first
        assert first > 0
        assert numbers(video.read(range(video.frames))) == list(range(first, 50))


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_frames_are_upright(rotation: int, sample: SampleMaker) -> None:
    plain = sample(VideoSpec(seconds=0.2, fps=25))
    turned = sample(VideoSpec(seconds=0.2, fps=25, rotation=rotation))  # type: ignore[arg-type]
    with open_video(plain.path) as straight, open_video(turned.path) as video:
        found, expected = video.read([3]), straight.read([3])
    back = torch.rot90(found, rotation // 90, (2, 3))  # clockwise turned, back again
    assert back.shape == expected.shape
    assert (back.int() - expected.int()).abs().max() <= 2


def test_odd_sizes(sample: SampleMaker) -> None:
    made = sample(VideoSpec(seconds=0.2, fps=25, width=161, height=121, pix_fmt="yuv444p"))
    with open_video(made.path) as video:
        assert video.read([0, 1]).shape == (2, 3, 121, 161)


_BOTH = """
import json, random, sys
from mimecurate.baselines.decode import open_video
worst = {}
for path in sys.argv[1:]:
    with open_video(path, decoder="torchcodec") as a, open_video(path, decoder="pyav") as b:
        assert (a.decoder, b.decoder) == ("torchcodec", "pyav")
        same = [(v.frames, v.width, v.height, v.fps) for v in (a, b)]
        assert same[0] == same[1], (path, same)
        draw, off = random.Random(path), 0
        for _ in range(5):
            wanted = [draw.randrange(a.frames) for _ in range(6)]
            off = max(off, (a.read(wanted).int() - b.read(wanted).int()).abs().max().item())
        worst[path] = off
    with open_video(path) as video:
        assert video.decoder == "torchcodec"
print(json.dumps(worst))
"""


def test_both_decoders_give_the_same_frames(
    sample: SampleMaker, tmp_path: Path, shared: Path
) -> None:
    media = [sample(spec).path for spec in SPECS.values()]
    media += [sample(VideoSpec(seconds=0.2, fps=25, rotation=90)).path]
    media += [sample(VideoSpec(seconds=0.2, fps=25, width=161, height=121, pix_fmt="yuv444p")).path]
    media += [
        remux(media[0], tmp_path / "cut.mp4", "mp4", earlier=Fraction(15, 25)),
        shared / "clips" / "tai_chi.mp4",
    ]
    worst = json.loads(run_with_torchcodec(_BOTH, *media, folder=tmp_path))
    assert len(worst) == len(media)
    assert max(worst.values()) <= 2, worst  # another FFmpeg may round colours otherwise


_BROKEN = """
import sys
from mimecurate.baselines.decode import open_video
from mimecurate.errors import ClipError
for path in sys.argv[1:]:
    for decoder in ("auto", "torchcodec"):
        try:
            with open_video(path, decoder=decoder) as video:
                video.read(range(video.frames))
        except ClipError as error:
            print(error.reason)
"""


def test_broken_files_are_an_error_of_torchcodec_s_too(sample: SampleMaker, tmp_path: Path) -> None:
    data = bytearray(sample(PLAIN).path.read_bytes())
    for place in range(len(data) // 2, len(data), 40):
        data[place] ^= 0xFF
    (tmp_path / "flipped.mp4").write_bytes(data)
    (tmp_path / "cut.mp4").write_bytes(sample(PLAIN).path.read_bytes()[:-3000])
    files = [tmp_path / "flipped.mp4", tmp_path / "cut.mp4"]
    assert run_with_torchcodec(_BROKEN, *files, folder=tmp_path).split() == ["corrupt"] * 4


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("name", ["constant", "fragmented"])
def test_a_file_that_is_cut_off_is_corrupt(
    cut: float, name: str, sample: SampleMaker, tmp_path: Path
) -> None:
    data = sample(SPECS[name]).path.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(ClipError) as caught, open_video(path) as video:
        video.read(range(video.frames))
    assert caught.value.reason is Reason.CORRUPT


def test_what_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with pytest.raises(ClipError, match="No such file") as caught:
        open_video(path)
    assert caught.value.reason is Reason.UNAVAILABLE
    for data, reason in (
        (b"", Reason.NO_VIDEO),
        (b"#EXTM3U\nhttp://127.0.0.1/a.ts\n", Reason.UNSUPPORTED),
        (random.Random(1).randbytes(4000), Reason.NO_VIDEO),
    ):
        path.write_bytes(data)
        with pytest.raises(ClipError) as caught:
            open_video(path)
        assert caught.value.reason is reason


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1 << 30), damages=st.integers(1, 40))
def test_damage_is_an_error_of_the_clip_or_none(
    seed: int, damages: int, sample: SampleMaker, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    data = bytearray(sample(PLAIN).path.read_bytes())
    for _ in range(damages):
        data[draw.randrange(len(data))] = draw.randrange(256)
    path = tmp_path / "damaged.mp4"
    path.write_bytes(data)
    with contextlib.suppress(ClipError), open_video(path) as video:
        for frame in range(0, min(video.frames, 100), 3):
            assert video.read([frame]).shape == (1, 3, video.height, video.width)


def test_reading_beyond_the_end_or_too_much_is_refused(
    sample: SampleMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_video(sample(PLAIN).path) as video:
        assert video.read([]).shape == (0, 3, 120, 160)
        for wrong in (50, -1):
            with pytest.raises(IndexError, match="of a video of 50 frames"):
                video.read([0, wrong])
        monkeypatch.setattr(decode, "MAX_CALL_BYTES", 3 * 160 * 120)
        with pytest.raises(ValueError, match="read fewer"):
            video.read([0, 1])


def test_torchcodec_is_asked_for_where_it_does_not_run(
    monkeypatch: pytest.MonkeyPatch, sample: SampleMaker
) -> None:
    monkeypatch.setattr(decode, "torchcodec_problem", lambda: "it is not there")
    with pytest.raises(MimecurateError, match="does not run here: it is not there"):
        open_video(sample(PLAIN).path, decoder="torchcodec")
    with open_video(sample(PLAIN).path) as video:
        assert video.decoder == "pyav"


def test_why_torchcodec_does_not_run_is_one_line() -> None:
    problem = torchcodec_problem()
    assert problem is None or "\n" not in problem


def test_many_videos_in_threads(sample: SampleMaker, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    source = sample(SPECS["variable"]).path
    copies = [shutil.copy(source, tmp_path / f"{i}.mp4") for i in range(8)]

    def read(path: Path) -> list[int]:
        with open_video(path) as video:
            return numbers(video.read(range(video.frames)))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, copies))
    assert all(one == found[0] for one in found)
    assert np.all(np.diff(found[0]) == 1)


@pytest.mark.gpu
def test_cuda_gives_the_same_frames(sample: SampleMaker) -> None:
    if not torch.cuda.is_available():
        pytest.skip("gpu: torch finds no CUDA device")
    made = sample(PLAIN)
    with open_video(made.path, device="cuda") as there, open_video(made.path) as here:
        wanted = [3, 40, 12, 49]
        found = there.read(wanted)
        assert found.device.type == "cuda"
        assert (found.cpu().int() - here.read(wanted).int()).abs().float().mean() < 2
        assert numbers(found.cpu()) == wanted

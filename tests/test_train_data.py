from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from testbed import need

try:
    import torch
except ImportError:
    need("torch", False, "pip install 'mimecurate[baselines]'")

from hypothesis import given
from hypothesis import strategies as st
from training import Heard

from mimecurate import baselines
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.protocol import Protocol
from mimecurate.baselines.train import fit
from mimecurate.baselines.train_data import LARGEST, FrameClips, random_frames, random_window
from mimecurate.baselines.train_state import TrainedModel, TrainSettings
from mimecurate.baselines.transforms import resize
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = Protocol(
    frames=8,
    stride=1,
    short_side=40,
    crop=(32, 32),
    mean=(0.45, 0.45, 0.45),
    std=(0.22, 0.22, 0.22),
    views=3,
)


@pytest.fixture(scope="module")
def eight_clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Clips of patterns of their own that move, 12 frames of 96x72 each."""
    folder = tmp_path_factory.mktemp("eight")
    return [_moving_pattern(folder / f"clip{number}.mp4", number) for number in range(8)]


def _moving_pattern(path: Path, number: int) -> Path:
    rng = np.random.default_rng(number)
    blocks = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    picture = blocks.repeat(12, axis=0).repeat(12, axis=1)
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=12)
        stream.width, stream.height, stream.pix_fmt = 96, 72, "yuv420p"
        for frame in range(12):
            rolled = np.roll(picture, 2 * frame, axis=number % 2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rolled, format="rgb24")))
        container.mux(stream.encode())
    return path


@given(
    frames=st.integers(1, 400),
    stride=st.integers(1, 4),
    length=st.integers(1, 64),
    fps=st.sampled_from([10.0, 25.0, 29.97]),
    target=st.sampled_from([None, 15.0]),
    seed=st.integers(0, 99),
)
def test_random_frames_are_of_the_video(
    frames: int, stride: int, length: int, fps: float, target: float | None, seed: int
) -> None:
    protocol = replace(SMALL, frames=length, stride=stride, fps=target)

    chosen = random_frames(protocol, frames, fps, np.random.default_rng(seed))

    assert len(chosen) == length
    assert 0 <= min(chosen) <= max(chosen) < frames
    if target is None and (length - 1) * stride < frames:
        assert set(np.diff(chosen)) <= {stride}


def test_random_frames_begin_everywhere() -> None:
    rng = np.random.default_rng(0)

    starts = {random_frames(SMALL, 12, 25.0, rng)[0] for _ in range(200)}

    assert starts == {0, 1, 2, 3, 4}


@given(
    height=st.integers(8, 400),
    width=st.integers(8, 400),
    resize=st.sampled_from([None, (36, 48)]),
    seed=st.integers(0, 99),
)
def test_random_window_lies_in_the_frame(
    height: int, width: int, resize: tuple[int, int] | None, seed: int
) -> None:
    protocol = replace(SMALL, resize=resize, short_side=None if resize else 40)

    top, left, rows, columns = random_window(protocol, height, width, np.random.default_rng(seed))

    assert 0 <= top <= top + rows <= height
    assert 0 <= left <= left + columns <= width
    if resize is None:
        wanted = 32 / 40 * min(height, width)
        assert wanted / LARGEST - 1 <= rows <= wanted + 1
        assert abs(rows - columns) <= 1


def test_draw_is_what_the_model_reads(eight_clips: list[Path]) -> None:
    clips = FrameClips(["a"], eight_clips[:1], [0], SMALL)

    sample = clips.draw(0, np.random.default_rng(3))

    assert sample.shape == (8, 3, 32, 32)
    assert sample.dtype == torch.uint8
    assert torch.equal(sample, clips.draw(0, np.random.default_rng(3)))
    assert not torch.equal(sample, clips.draw(0, np.random.default_rng(4)))
    inputs = clips.to_inputs(sample[None])
    assert inputs.shape == (1, 3, 8, 32, 32)
    torch.testing.assert_close(inputs[0, 1, 2], (sample[2, 1] / 255 - 0.45) / 0.22)


def test_half_of_the_draws_are_mirrored(eight_clips: list[Path]) -> None:
    whole = replace(SMALL, short_side=72, crop=(72, 96), frames=1)
    clips = FrameClips(["a"], eight_clips[:1], [0], whole)
    left_right = []
    for seed in range(40):
        picture = clips.draw(0, np.random.default_rng(seed))[0].float()
        left_right.append(float(picture[..., :48].mean() - picture[..., 48:].mean()) > 0)

    assert 10 <= sum(left_right) <= 30


def test_middle_is_in_the_middle(eight_clips: list[Path]) -> None:
    clips = FrameClips(["a"], eight_clips[:1], [0], replace(SMALL, short_side=32))

    with open_video(eight_clips[0]) as video:
        assert video.frames == 12
        expected = resize(video.read(range(2, 10)), replace(SMALL, short_side=32))

    assert torch.equal(clips.middle(0), expected[..., 5:37])


def test_without_augmentation_the_centre_is_cut_out(eight_clips: list[Path]) -> None:
    small = replace(SMALL, short_side=32)
    clips = FrameClips(["a"], eight_clips[:1], [0], small, augment=False)

    drawn = [clips.draw(0, np.random.default_rng(seed)) for seed in range(8)]

    with open_video(eight_clips[0]) as video:
        whole = resize(video.read(range(video.frames)), small)[..., 5:37]
    starts = [whole[start : start + 8] for start in range(5)]
    assert all(any(torch.equal(each, start) for start in starts) for each in drawn)
    assert not all(torch.equal(each, drawn[0]) for each in drawn)


def test_missing_file_is_a_clip_error(tmp_path: Path) -> None:
    clips = FrameClips(["gone"], [tmp_path / "gone.mp4"], [0], SMALL)

    with pytest.raises(ClipError, match=r"gone\.mp4"):
        clips.draw(0, np.random.default_rng(0))
    (scored,) = clips.scores(torch.nn.Identity(), [0], torch.device("cpu"), 0)
    assert scored.scores is None
    assert scored.why.startswith("unavailable: ")


class Narrow(torch.nn.Sequential):
    """Two convolutions over time and space."""

    def __init__(self) -> None:
        super().__init__(
            torch.nn.Conv3d(3, 8, (3, 5, 5), stride=(1, 2, 2), bias=False),
            torch.nn.BatchNorm3d(8),
            torch.nn.ReLU(),
            torch.nn.Conv3d(8, 16, (3, 5, 5), stride=(1, 2, 2), bias=False),
            torch.nn.BatchNorm3d(16),
            torch.nn.ReLU(),
            torch.nn.AdaptiveAvgPool3d((1, 2, 2)),
            torch.nn.Flatten(),
            torch.nn.Linear(64, 4),
        )


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("build", "lr"),
    [
        pytest.param(Narrow, 0.05, id="narrow"),
        pytest.param(
            partial(baselines.build, "r3d_18", num_classes=4),
            0.01,
            id="r3d_18",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_overfits_eight_clips(
    eight_clips: list[Path], tmp_path: Path, build: Callable[[], torch.nn.Module], lr: float
) -> None:
    torch.manual_seed(0)
    labels = [0, 0, 1, 1, 2, 2, 3, 3]
    clips = FrameClips([f"clip{n}" for n in range(8)], eight_clips, labels, SMALL, augment=False)
    settings = TrainSettings(epochs=24, batch_size=8, lr=lr, drops=(0.5,), augment=False)

    ended = fit(
        build(),
        clips,
        clips,
        settings,
        TrainedModel("small", {}, ("a", "b", "c", "d")),
        tmp_path,
        watcher=Heard(),
    )

    last = ended.state.history[-1]
    assert (last["train_top1"], last["val_top1"]) == (100, 100)

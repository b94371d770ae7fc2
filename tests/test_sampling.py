from __future__ import annotations

import importlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from mimecurate.baselines import sampling
from mimecurate.baselines.protocol import Protocol
from mimecurate.baselines.sampling import resampled, view_frames
from mimecurate.baselines.transforms import crop, normalise, resize, resized_size

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = Protocol(16, 1, (112, 112), (0.0,), (1.0,))


def parity(shared: Path, name: str) -> tuple[dict[str, Any], Any]:
    base = shared / "parity" / "cases" / "resnext101_3d" / name
    arrays = base.with_suffix(".npz")
    return (
        json.loads(base.with_suffix(".json").read_text()),
        np.load(arrays) if arrays.exists() else None,
    )


def written(clips: list[list[int]], *, whole: bool) -> list[list[int]]:
    """Write clips as the parity cases do: 1-based; long ones as first, last, length."""
    ones = [[i + 1 for i in clip] for clip in clips]
    return ones if whole else [[c[0], c[-1], len(c)] for c in ones]


def test_consecutive_clips_are_those_of_2018(shared: Path) -> None:
    case, _ = parity(shared, "clips_2018_test")
    assert len(case["data"]) > 5
    for row in case["data"]:
        found = sampling.consecutive_clips(row["n_frames"], row["clip_length"])
        assert written(found, whole=row["clip_length"] <= 16) == row["clips"], row["n_frames"]


def test_windows_and_even_and_centre_clips_are_those_of_2020(shared: Path) -> None:
    case, _ = parity(shared, "clips_2020")
    for row in case["data"]:
        frames, length = row["n_frames"], row["clip_length"]
        windows = sampling.sliding_windows(frames, length, 16)
        assert written(windows, whole=False) == row["inference_sliding_window_stride16"]
        assert (
            written(sampling.even_clips(frames, length, 3), whole=True) == row["validation_even_3"]
        )
        assert written([sampling.centre_clip(frames, length)], whole=True) == [row["centre_clip"]]


def test_frames_are_prepared_as_in_2018(shared: Path) -> None:
    case, arrays = parity(shared, "frame_preprocessing_2018")
    params = case["params"]
    protocol = Protocol(
        *(1, 1, (112, 112), tuple(params["mean"]), tuple(params["std"])), scale=1, short_side=112
    )
    for row in case["data"]:
        seed = torch.Generator().manual_seed(row["image_seed"])
        shape = (row["height"], row["width"], 3)
        image = torch.randint(0, 256, shape, generator=seed, dtype=torch.uint8)
        frames = resize(image.permute(2, 0, 1)[None], protocol)
        found = normalise(crop(frames, protocol), protocol)[0, :, 0]
        assert list(found.shape) == row["out_shape"]
        name = row["name"]
        picked = found.flatten().numpy()[arrays[f"index__{name}"]]
        np.testing.assert_allclose(picked, arrays[f"value__{name}"], rtol=0, atol=1.01)
        assert np.abs(picked - arrays[f"value__{name}"]).mean() < 0.01


@pytest.mark.parametrize("fps", [29.97002997002997, 30.0, 25.0, 24.0, 12.5, 60.0, 15.0, 7.0])
@pytest.mark.parametrize("target", [15.0, 7.5])
def test_views_are_those_of_torchvision_s_evaluation(fps: float, target: float) -> None:
    from torchvision.datasets import video_utils

    protocol = replace(PLAIN, fps=target, views=5)
    for frames in (60, 250, 299, 300, 301):
        if len(resampled(frames, fps, target)) < 16:
            continue  # torchvision has no clip then
        times = torch.arange(frames)
        clips, _ = video_utils.VideoClips.compute_clips_for_video(times, 16, 1, fps, target)
        chosen = torch.linspace(0, len(clips) - 1, steps=5).floor().long()
        assert view_frames(protocol, frames, fps).tolist() == clips[chosen].tolist()


def test_frames_that_just_suffice_are_counted_as_torchvision_does() -> None:
    from torchvision.datasets import video_utils

    for frames in (145, 290, 551, 580):  # frames / (29 / 25) is whole, and just below it in floats
        times = torch.arange(frames)
        _, clips = video_utils.VideoClips.compute_clips_for_video(times, 1, 1, 29.0, 25.0)
        theirs = [int(clip[0]) for clip in clips]
        assert resampled(frames, 29.0, 25.0) == theirs
        assert len(theirs) == frames * 25 // 29


@given(
    frames=st.integers(1, 400),
    length=st.integers(1, 64),
    stride=st.integers(1, 8),
    views=st.one_of(st.none(), st.integers(1, 12)),
    short=st.sampled_from(["loop", "hold"]),
    partial=st.sampled_from(["fill", "drop"]),
    fps=st.floats(1, 120),
    target=st.one_of(st.none(), st.floats(1, 60)),
)
def test_every_video_has_views_of_its_own_frames(
    frames: int, length: int, stride: int, views: int | None, fps: float, **rest: Any
) -> None:
    rest["fps"] = rest.pop("target")
    protocol = replace(PLAIN, frames=length, stride=stride, views=views, **rest)
    found = view_frames(protocol, frames, fps)
    assert found.ndim == 2
    assert found.shape[1] == length
    assert found.shape[0] >= 1
    assert found.min() >= 0
    assert found.max() < frames
    assert found.shape[0] in {1, views} or views is None


def test_a_short_video_is_looped_or_held() -> None:
    two = replace(PLAIN, frames=5, views=3)
    assert view_frames(two, 2, 25).tolist() == [[0, 1, 0, 1, 0]]
    assert view_frames(replace(two, short="hold"), 2, 25).tolist() == [[0, 1, 1, 1, 1]]
    assert view_frames(replace(two, views=None), 1, 25).tolist() == [[0] * 5]


def test_the_last_of_consecutive_clips_is_filled_or_dropped() -> None:
    filled = replace(PLAIN, frames=4)
    assert view_frames(filled, 6, 25).tolist() == [[0, 1, 2, 3], [4, 5, 4, 5]]
    dropped = replace(filled, partial="drop")
    assert view_frames(dropped, 6, 25).tolist() == [[0, 1, 2, 3]]
    assert view_frames(dropped, 3, 25).tolist() == [[0, 1, 2, 0]]


def test_resampling_counts_frames_at_both_rates() -> None:
    assert resampled(301, 30.0, 15.0) == list(range(0, 301, 2))
    assert len(resampled(300, 29.97, 15.0)) == 150
    assert resampled(1, 30.0, 7.5) == [0]


def test_resizing_without_antialias_is_torchvision_s_preset() -> None:
    presets: Any = importlib.import_module("torchvision.transforms._presets")

    protocol = Protocol(
        *(4, 1, (112, 112), (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)),
        resize=(128, 171),
        antialias=False,
    )
    preset = presets.VideoClassification(crop_size=(112, 112), resize_size=(128, 171))
    frames = torch.randint(0, 256, (4, 3, 240, 320), dtype=torch.uint8)
    found = normalise(crop(resize(frames, protocol), protocol), protocol)
    assert_close(found[0], preset(frames), rtol=0, atol=0)


def test_sizes_are_cut_down_to_whole_pixels() -> None:
    protocol = replace(PLAIN, short_side=112)
    assert resized_size(protocol, 240, 427) == (112, 199)
    assert resized_size(protocol, 427, 240) == (199, 112)
    assert resized_size(protocol, 1, 3) == (112, 336)
    assert resized_size(replace(PLAIN, resize=(10, 20)), 5, 5) == (10, 20)


@pytest.mark.parametrize(("height", "width"), [(4, 9), (9, 4)])
def test_three_crops_lie_along_the_longer_side(height: int, width: int) -> None:
    frames = torch.arange(height * width, dtype=torch.uint8).view(1, 1, height, width)
    found = crop(frames, replace(PLAIN, crop=(4, 4), crops=3))
    assert found.shape == (3, 1, 1, 4, 4)
    step = 1 if width > height else width
    assert found[:, 0, 0, 0, 0].tolist() == [0, 2 * step, 5 * step]
    assert_close(crop(frames, replace(PLAIN, crop=(4, 4)))[0], found[1])


def test_frames_smaller_than_the_crop_are_refused() -> None:
    with pytest.raises(ValueError, match="smaller"):
        crop(torch.zeros(1, 3, 5, 5, dtype=torch.uint8), replace(PLAIN, crop=(6, 4)))

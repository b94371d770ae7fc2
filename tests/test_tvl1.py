from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from testbed import need

from mimecurate.baselines import tvl1
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.flow_clip import grey, shrink
from mimecurate.baselines.median import median5
from mimecurate.baselines.opencv_flow import opencv_flow
from mimecurate.baselines.tvl1 import TvL1, tvl1_flow
from mimecurate.errors import MimecurateError, MissingExtraError, SettingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small frames gain nothing by threads, and lose much where cores are busy."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def texture(height: int = 48, width: int = 64, seed: int = 0) -> Tensor:
    """Make smooth noise of 0 to 255: flow can be found everywhere in it."""
    noise = torch.randn(1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    blurred = torch.nn.functional.avg_pool2d(noise, 5, 1, 2, count_include_pad=False)
    blurred = torch.nn.functional.avg_pool2d(blurred, 3, 1, 1, count_include_pad=False)[0]
    low, high = blurred.min(), blurred.max()
    return (blurred - low) / (high - low) * 255


def moved(image: Tensor, flow: Tensor) -> Tensor:
    """Sample an image, ``(1, H, W)``, so that what was at p is at p + flow (for slow changes)."""
    _, height, width = image.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([(x - flow[0]) / (width - 1), (y - flow[1]) / (height - 1)], -1) * 2 - 1
    sampled: Tensor = torch.nn.functional.grid_sample(
        image[None], at[None].float(), "bicubic", "border", align_corners=True
    )
    shown: Tensor = sampled[0].clamp(0, 255)
    return shown


def inner_error(found: Tensor, flow: Tensor, margin: int = 8) -> Tensor:
    apart = torch.linalg.vector_norm(found[0] - flow, dim=0)
    mean: Tensor = apart[margin:-margin, margin:-margin].mean()
    return mean


@pytest.mark.parametrize(("x", "y"), [(1.0, 0.0), (0.0, -2.0), (2.5, 1.5), (-0.5, 0.25)])
def test_a_translation_is_found(x: float, y: float) -> None:
    flow = torch.stack([torch.full((48, 64), x), torch.full((48, 64), y)])
    image = texture()
    assert inner_error(tvl1_flow(image, moved(image, flow)), flow) < 0.12


@pytest.mark.parametrize("degrees", [2.0, -3.0])
def test_a_rotation_is_found(degrees: float) -> None:
    y, x = torch.meshgrid(torch.arange(48) - 23.5, torch.arange(64) - 31.5, indexing="ij")
    angle = torch.tensor(degrees).deg2rad()
    back_x, back_y = angle.cos() * x + angle.sin() * y, angle.cos() * y - angle.sin() * x
    backward = torch.stack([x - back_x, y - back_y])  # of the second frame's pixels
    forward = torch.stack(
        [angle.cos() * x - angle.sin() * y - x, angle.cos() * y + angle.sin() * x - y]
    )
    image = texture()
    assert inner_error(tvl1_flow(image, moved(image, backward)), forward) < 0.15


def test_what_is_still_is_exactly_still() -> None:
    image = texture(37, 53).byte()
    assert not tvl1_flow(image, image).any()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_constant_frames_have_no_flow(value: int) -> None:
    flat = torch.full((2, 20, 30), value, dtype=torch.uint8)
    assert not tvl1_flow(flat, flat).any()
    assert torch.isfinite(tvl1_flow(flat, flat.flip(0) // 2)).all()


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 1), (3, 40), (33, 129)])
def test_any_size_does(size: tuple[int, int]) -> None:
    first, second = (torch.randint(256, (2, *size), dtype=torch.uint8) for _ in range(2))
    flow = tvl1_flow(first, second, TvL1(warps=1, inner_iterations=3, outer_iterations=1))
    assert flow.shape == (2, 2, *size)
    assert torch.isfinite(flow).all()


def test_no_pair_gives_no_flow() -> None:
    nothing = torch.zeros((0, 20, 30), dtype=torch.uint8)
    assert tvl1_flow(nothing, nothing).shape == (0, 2, 20, 30)


def test_a_batch_equals_its_pairs_one_by_one() -> None:
    """On the CPU to the last bit; as one batch, as on a GPU, as far as sums in other orders do."""
    first = torch.cat([texture(seed=seed) for seed in range(3)])
    speeds = [torch.full((2, 48, 64), speed) for speed in (0.0, 0.3, 2.0)]
    second = torch.cat([moved(a[None], flow) for a, flow in zip(first, speeds, strict=True)])
    alone = torch.cat([tvl1_flow(first[i : i + 1], second[i : i + 1]) for i in range(3)])
    assert torch.equal(tvl1_flow(first, second), alone)
    batch = tvl1._pyramid_flow(first, second, TvL1(), tvl1._iterate)
    assert (batch - alone).abs().mean() < 0.02
    assert batch[0].abs().max() < 1e-3


def test_each_pair_stops_by_itself() -> None:
    """A still pair must not be moved by the iterations of another, nor end them."""
    first = torch.cat([texture(seed=seed) for seed in range(2)])
    second = torch.cat([first[:1], moved(first[1:], torch.full((2, 48, 64), 2.0))])
    steps: list[int] = []

    def counted(u: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
        steps.append(len(u))
        return tvl1._iterate(u, *others)

    flow = tvl1._pyramid_flow(first, second, TvL1(scales=1, warps=1), counted)
    assert steps[0] == 2
    assert set(steps[1:]) == {1}
    assert flow[1].abs().max() > 1


@pytest.mark.parametrize(
    ("shape", "other"), [((4, 4), (4, 4)), ((1, 4, 4), (2, 4, 4)), ((1, 0, 4), (1, 0, 4))]
)
def test_frames_of_other_shapes_are_refused(shape: tuple[int, ...], other: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="must be \\(pairs, height, width\\)"):
        tvl1_flow(torch.zeros(shape), torch.zeros(other))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tau", 0.0),
        ("lambda_", float("nan")),
        ("theta", -1.0),
        ("scales", 0),
        ("warps", 0),
        ("inner_iterations", 0),
        ("outer_iterations", 0),
        ("scale_step", 1.0),
        ("epsilon", -0.1),
        ("median", 3),
    ],
)
def test_settings_that_no_flow_can_be_computed_with_are_refused(name: str, value: Any) -> None:
    with pytest.raises(SettingError, match=name.rstrip("_")):
        TvL1(**{name: value})


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    levels=st.integers(1, 40),
    seed=st.integers(0),
)
def test_the_median_is_that_of_a_sort(height: int, width: int, levels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    planes = rng.integers(levels, size=(2, 1, height, width)).astype(np.float32)
    padded = np.pad(planes, ((0, 0), (0, 0), (2, 2), (2, 2)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), axis=(2, 3))  # type: ignore[call-overload]
    expected = np.median(windows, axis=(-2, -1))
    assert np.array_equal(median5(torch.from_numpy(planes)).numpy(), expected)


@pytest.mark.slow
def test_the_compiled_step_gives_the_same() -> None:
    image = texture()
    second = moved(image, torch.full((2, 48, 64), 1.0))
    short = TvL1(scales=1, warps=1, epsilon=0, inner_iterations=3, outer_iterations=1)
    plain = tvl1_flow(image, second, short)
    assert torch.allclose(tvl1_flow(image, second, short, compiled=True), plain, atol=1e-4)


@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives() -> None:
    need("gpu", torch.cuda.is_available(), "there is no CUDA device")
    first = torch.cat([texture(seed=seed) for seed in range(3)])
    second = torch.cat([moved(a[None], torch.full((2, 48, 64), 1.0)) for a in first])
    settings = TvL1(epsilon=0, outer_iterations=1)
    found = tvl1_flow(first.cuda(), second.cuda(), settings).cpu()
    assert (found - tvl1_flow(first, second, settings)).abs().mean() < 0.01


def has_optflow() -> bool:
    try:
        import cv2
    except ImportError:
        return False
    return hasattr(cv2, "optflow")


@pytest.mark.parametrize(
    "chosen",
    [
        pytest.param(TvL1(scales=1), id="one level"),
        pytest.param(TvL1(scales=2, warps=1), id="two levels"),
        pytest.param(TvL1(scales=1, warps=2, median=1), id="no median"),
        pytest.param(
            TvL1(scales=1, warps=1, tau=0.2, lambda_=0.05, theta=0.5, epsilon=0.03), id="weights"
        ),
        pytest.param(TvL1(scale_step=0.5, warps=1, inner_iterations=5), id="halving"),
    ],
)
def test_it_is_opencvs_to_the_last_digits(shared: Path, chosen: TvL1) -> None:
    """With few warps: after many, rounding itself leads to other flow where nothing is to see."""
    need("opencv", has_optflow(), "pip install 'mimecurate[baselines]'")
    with open_video(shared / "clips" / "tai_chi.mp4") as video:
        frames = grey(shrink(video.read([10, 11]), 96))
    theirs = opencv_flow(frames[:1].numpy(), frames[1:].numpy(), chosen)
    ours = tvl1_flow(frames[:1], frames[1:], chosen).numpy()
    apart = np.hypot(*(ours - theirs)[0])
    assert np.hypot(*theirs[0]).max() > 0.2
    assert apart.mean() < 1e-4
    assert apart.max() < 0.01


@pytest.mark.parametrize("clip", ["tai_chi", "arm_wrestling", "clean_and_jerk", "cleaning_pool"])
def test_with_opencvs_defaults_it_is_near_opencv_on_real_clips(shared: Path, clip: str) -> None:
    need("opencv", has_optflow(), "pip install 'mimecurate[baselines]'")
    with open_video(shared / "clips" / f"{clip}.mp4") as video:
        frames = grey(shrink(video.read([60, 61]), 96))
    theirs = opencv_flow(frames[:1].numpy(), frames[1:].numpy())
    ours = tvl1_flow(frames[:1], frames[1:]).numpy()
    apart = np.hypot(*(ours - theirs)[0])
    assert apart.mean() < 0.06
    assert np.quantile(apart, 0.9) < 0.1


def test_an_opencv_without_optflow_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = types.ModuleType("cv2")
    plain.__version__ = "4.12.0.88"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cv2", plain)
    frame = np.zeros((1, 16, 16), np.uint8)
    with pytest.raises(MimecurateError, match=r"pip install .*contrib-python-headless==4\.12\.0"):
        opencv_flow(frame, frame)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingExtraError, match="baselines"):
        opencv_flow(frame, frame)

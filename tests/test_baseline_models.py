from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.testing import assert_close
from torch.utils.flop_counter import FlopCounterMode

from mimecurate import baselines
from mimecurate.baselines.cards_rgb import RGB_CARDS
from mimecurate.baselines.i3d import I3D, MaxPool, pad
from mimecurate.baselines.registry import find_card, find_named, model_cards
from mimecurate.baselines.resnext3d import ResNeXt3D
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from torch import nn

    from mimecurate.baselines.registry import ModelCard

TORCHVISION = [card for card in RGB_CARDS if "torchvision" in card.builder]
COUNTED_BY_US = [card for card in RGB_CARDS if "torchvision" not in card.builder]


def small_resnext(num_classes: int = 7, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return baselines.build(
        "resnext101_rgb_16f", num_classes=num_classes, channels=channels, layers=(1, 1, 1, 1)
    )


@pytest.mark.parametrize("card", model_cards().values(), ids=lambda card: card.name)
def test_every_card_builds_and_has_the_parameters_it_says(card: ModelCard) -> None:
    with torch.device("meta"):
        model = baselines.build(card.name)
    assert sum(p.numel() for p in model.parameters()) == card.parameters


@pytest.mark.parametrize(
    "card", [*COUNTED_BY_US[::3], *TORCHVISION[3:8:4]], ids=lambda card: card.name
)
def test_operations_are_those_of_one_view(card: ModelCard) -> None:
    assert card.protocol is not None
    with torch.device("meta"):
        model = baselines.build(card.name).eval()
        x = torch.empty(1, len(card.protocol.mean), card.protocol.frames, *card.protocol.crop)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            assert model(x).shape == (1, card.classes)
    assert counter.get_total_flops() / 2e9 == pytest.approx(card.gflops, abs=6e-4)


@pytest.mark.parametrize("card", TORCHVISION, ids=lambda card: card.name)
def test_cards_say_what_torchvision_says(card: ModelCard) -> None:
    from torchvision.models import get_model_weights

    official = {weights.name: weights for weights in get_model_weights(card.name)}
    assert {weights.name: weights.url for weights in card.weights} == {
        name: weights.url for name, weights in official.items()
    }
    for weights in card.weights:
        assert weights.url is not None
        assert weights.sha256 == weights.url[-12:-4]
        meta, preset = official[weights.name].meta, official[weights.name].transforms()
        said = {k: float(v) for k, v in re.findall(r"`(\w+)=([\d.]+)`", meta["_docs"])}
        protocol = card.protocol
        assert protocol is not None
        assert card.parameters == meta["num_params"]
        assert card.gflops == pytest.approx(meta["_ops"] * protocol.frames / 16, rel=1e-3)
        assert (protocol.fps, protocol.views, protocol.frames) == (
            *(said["frame_rate"], said["clips_per_video"], said["clip_len"]),
        )
        assert list(protocol.crop) == preset.crop_size
        resize = protocol.resize or (protocol.short_side,)
        assert list(resize) == preset.resize_size
        assert (list(protocol.mean), list(protocol.std)) == (preset.mean, preset.std)
        assert find_named(card.class_names)(card.name) == meta["categories"]


def test_settings_replace_those_of_the_card() -> None:
    with torch.device("meta"):
        model = baselines.build("resnext101_rgb_64f", num_classes=51, channels=2)
        assert model(torch.empty(1, 2, 16, 112, 112)).shape == (1, 51)
        swin = baselines.build("swin3d_t", num_classes=9)
        assert swin(torch.empty(1, 3, 8, 64, 64)).shape == (1, 9)


def test_a_wrong_name_or_setting_is_said_in_one_line() -> None:
    with pytest.raises(MimecurateError, match="'r3d18'; did you mean r3d_18"):
        baselines.build("r3d18")
    with pytest.raises(MimecurateError, match="did you mean i3d_rgb, i3d_flow"):
        baselines.build("i3d")
    with pytest.raises(MimecurateError, match="i3d_rgb: no setting depth; it has num_classes"):
        baselines.build("i3d_rgb", depth=3)
    with pytest.raises(MimecurateError, match=r"s3d: .*depth"):
        baselines.build("s3d", depth=3)


def test_cards_need_no_torch() -> None:
    code = (
        "import sys; from mimecurate import baselines; from mimecurate.baselines import registry; "
        "registry.model_cards(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_resnext_takes_any_size() -> None:
    model = small_resnext().eval()
    for size in ((1, 32, 32), (17, 50, 71), (5, 112, 33)):
        with torch.no_grad():
            assert model(torch.randn(1, 3, *size)).shape == (1, 7)


@pytest.fixture(scope="module")
def i3d() -> I3D:
    with torch.device("meta"):
        return I3D(num_classes=4)


@settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(t=st.integers(9, 40), h=st.integers(193, 300), w=st.integers(193, 300))
def test_i3d_scores_as_many_places_as_its_strides_leave(i3d: I3D, t: int, h: int, w: int) -> None:
    with torch.no_grad():
        scores = i3d.scores(torch.empty(2, 3, t, h, w, device="meta"))
    assert scores.shape == (2, 4, -(-t // 8) - 1, -(-h // 32) - 6, -(-w // 32) - 6)


@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 3))
def test_same_padding_leaves_one_window_for_every_stride(n: int, kernel: int, stride: int) -> None:
    x = torch.ones(1, 1, n, 1, 1)
    padded = pad(x, (kernel, 1, 1), (stride, 1, 1), "same")
    length = padded.shape[2]
    assert (length - kernel) // stride + 1 >= -(-n // stride)
    if length > n:  # no more than needed, and the odd one at the end
        assert (length - kernel) / stride + 1 == -(-n // stride)
        before = int(padded.flatten().nonzero()[0])
        assert length - n - before - before in {0, 1}


def test_i3d_pads_its_pools_with_zeros() -> None:
    x = -torch.ones(1, 1, 4, 4, 4)
    assert MaxPool((3, 3, 3), (2, 2, 2), "same")(x)[0, 0, -1, -1, -1] == 0


def test_i3d_says_what_it_needs(i3d: I3D) -> None:
    with pytest.raises(ValueError, match="9 frames of 193x193 pixels at least, not 8 of 224x"):
        i3d(torch.empty(1, 3, 8, 224, 224, device="meta"))


def test_training_mode_differs_and_eval_mode_repeats() -> None:
    model, x = small_resnext(), torch.randn(2, 3, 4, 32, 32)
    before = model.get_buffer("bn1.running_mean").clone()
    model.eval()
    with torch.no_grad():
        first, second = model(x), model(x)
    assert torch.equal(first, second)
    assert torch.equal(model.get_buffer("bn1.running_mean"), before)
    model.train()
    trained = model(x)
    assert not torch.allclose(trained, first)
    assert not torch.equal(model.get_buffer("bn1.running_mean"), before)
    trained.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_i3d_drops_features_in_training_alone(i3d: I3D) -> None:
    features = torch.ones(1, 1024, 1, 1, 1)
    assert set(i3d.train().dropout(features).unique().tolist()) == {0.0, 2.0}
    assert torch.equal(i3d.eval().dropout(features), features)


@pytest.mark.parametrize("name", ["resnext", "mc3_18"])
def test_a_batch_of_eight_is_eight_batches_of_one(name: str) -> None:
    torch.manual_seed(1)
    model = small_resnext() if name == "resnext" else baselines.build(name, num_classes=7)
    x = torch.randn(8, 3, 4, 32, 48)
    with torch.no_grad():
        together = model.eval()(x)
        alone = torch.cat([model(clip[None]) for clip in x])
    assert_close(together, alone, rtol=1e-4, atol=1e-4 * float(together.abs().max()))


@pytest.mark.gpu
@pytest.mark.parametrize("card", RGB_CARDS, ids=lambda card: card.name)
def test_a_gpu_gives_what_the_cpu_gives(card: ModelCard) -> None:
    """Within 1e-3 of the largest logit, without TF32."""
    from testbed import need

    need("gpu", torch.cuda.is_available(), "no CUDA device")
    assert card.protocol is not None
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model = baselines.build(card.name).eval()
    x = torch.randn(2, len(card.protocol.mean), 16, *card.protocol.crop)
    with torch.no_grad():
        expected = model(x)
        found = model.cuda()(x.cuda()).cpu()
    assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_resnext_has_the_layers_of_the_paper() -> None:
    with torch.device("meta"):
        model = ResNeXt3D()
        seen: dict[str, tuple[int, ...]] = {}
        for name in ("conv1", "maxpool", "layer1", "layer2", "layer3", "layer4"):
            model.get_submodule(name).register_forward_hook(
                lambda _m, _i, out, name=name: seen.__setitem__(name, tuple(out.shape[1:]))
            )
        model(torch.empty(1, 3, 16, 112, 112))
    assert seen == {
        "conv1": (64, 16, 56, 56),
        "maxpool": (64, 8, 28, 28),
        "layer1": (256, 8, 28, 28),
        "layer2": (512, 4, 14, 14),
        "layer3": (1024, 2, 7, 7),
        "layer4": (2048, 1, 4, 4),
    }
    assert find_card("resnext101_rgb_16f").parameters == 48_340_816

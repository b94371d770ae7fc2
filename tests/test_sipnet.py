from __future__ import annotations

import need_torch  # noqa: F401
import pytest
import torch

from mimecurate import baselines
from mimecurate.baselines.sipnet import SipNet


def small(frames: int = 4) -> SipNet:
    torch.manual_seed(0)
    return SipNet(num_classes=5, features=6, frames=frames).eval()


def test_it_is_one_convolution() -> None:
    model = SipNet()
    assert sum(p.numel() for p in model.parameters()) == 2048 * 32 * 400 + 400
    assert list(model.state_dict()) == ["conv.weight", "conv.bias"]


@pytest.mark.parametrize("length", [4, 5, 11])
def test_the_whole_tube_at_once_is_the_mean_over_its_clips(length: int) -> None:
    model, x = small(), torch.randn(2, 6, length)
    with torch.no_grad():
        at_once = model(x).softmax(dim=1)
        clips = [model.clip_logits(x[:, :, i : i + 4])[:, :, 0] for i in range(length - 3)]
        one_by_one = torch.stack([clip.softmax(dim=1) for clip in clips]).mean(dim=0)
    assert torch.allclose(at_once, one_by_one, atol=1e-6)
    assert torch.allclose(at_once.sum(dim=1), torch.ones(2))


def test_a_clip_is_a_matrix_product_of_its_stacked_features() -> None:
    model, x = small(), torch.randn(1, 6, 4)
    weight, bias = model.state_dict().values()
    by_hand = weight.flatten(1) @ x[0].flatten() + bias
    assert torch.allclose(model.clip_logits(x)[0, :, 0], by_hand, atol=1e-6)


def test_cross_entropy_of_its_output_is_that_of_the_scores() -> None:
    model, x, labels = small(), torch.randn(3, 6, 4), torch.tensor([0, 4, 2])
    loss = torch.nn.functional.cross_entropy
    assert torch.allclose(loss(model(x), labels), loss(model.clip_logits(x)[:, :, 0], labels))


def test_tubes_of_different_lengths_in_one_batch() -> None:
    model = small()
    lengths = torch.tensor([4, 9, 6])
    x = torch.randn(3, 6, 9)
    for row, length in enumerate(lengths.tolist()):
        x[row, :, length:] = 1e6  # not to be looked at
    with torch.no_grad():
        together = model(x, lengths)
        alone = [model(x[row : row + 1, :, :n]) for row, n in enumerate(lengths.tolist())]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_scores_far_apart_do_not_overflow() -> None:
    model = small()
    with torch.no_grad():
        model.conv.weight.mul_(1e4)
        assert torch.isfinite(model(torch.randn(2, 6, 12)).softmax(dim=1)).all()


def test_width_and_kernel_are_settings() -> None:
    model = baselines.build("sipnet", num_classes=50, features=1024, frames=16)
    assert isinstance(model, SipNet)
    assert model.conv.weight.shape == (50, 1024, 16)
    assert (model.width, model.frames) == (1024, 16)


def test_it_learns_from_random_clips() -> None:
    """Two classes that differ in the direction of time alone: one frame doesn't tell them."""
    torch.manual_seed(0)
    model = SipNet(num_classes=2, features=3, frames=4)
    steps = torch.arange(4.0)[None, None]
    up = torch.tensor([1.0, 0.0, 0.0])[None, :, None] * steps
    x = torch.cat([up, up.flip(2)]).repeat(8, 1, 1) + 0.1 * torch.randn(16, 3, 4)
    labels = torch.tensor([0, 1]).repeat(8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(50):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert torch.equal(model(x).argmax(dim=1), labels)

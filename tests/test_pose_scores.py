from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from posing import people

from mimecurate import baselines
from mimecurate.baselines.pose_clips import filled
from mimecurate.baselines.pose_inputs import best_of_frames, sequences
from mimecurate.baselines.pose_scores import score_people
from mimecurate.baselines.registry import ModelCard, find_card
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mimecurate.baselines.people import People

CLASSES = 9
POSE_MODELS = ("stgcn_2d", "stgcn_2d_best2", "stgcn_coco17", "stgcn_3d", "sipnet")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads on two busy cores wait for each other more than they work."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def short_card(name: str, frames: int = 16) -> ModelCard:
    """The card with fewer frames and views, for speed."""
    card = find_card(name)
    assert card.pose is not None
    return replace(card, pose=replace(card.pose, frames=frames, views=min(card.pose.views, 3)))


def build(name: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    if name == "sipnet":
        settings = {"features": 6, "frames": 8, **settings}
    return baselines.build(name, num_classes=CLASSES, **settings).eval()


def of(name: str, *spans: tuple[int, int], **changes: Any) -> People:
    """People as the model reads them."""
    pose = find_card(name).pose
    assert pose is not None
    return people(
        *spans,
        layout=pose.layout or "coco17",
        dimensions=pose.dimensions,
        features=6 if not pose.layout else 0,
        **changes,
    )


@pytest.mark.parametrize("name", POSE_MODELS)
def test_every_model_scores_people_of_any_length(name: str) -> None:
    model, card = build(name), short_card(name)
    for spans in [((0, 1),), ((3, 4), (0, 40)), ((0, 7), (2, 9), (5, 30))]:
        scores = score_people(model, of(name, *spans), card)
        assert scores is not None
        assert scores.dtype == np.float32
        assert scores.shape == (CLASSES,)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores.sum() >= 1 - 1e-5, "a maximum of distributions is no less than one of them"


@pytest.mark.parametrize("name", POSE_MODELS)
def test_a_clip_without_people_has_no_scores(name: str) -> None:
    model, card = build(name), short_card(name)
    assert score_people(model, of(name), card) is None
    assert score_people(model, of(name, frames=100), card) is None


@pytest.mark.parametrize("name", ["stgcn_2d", "stgcn_coco17", "stgcn_3d", "sipnet"])
def test_of_each_class_the_best_tube_counts(name: str) -> None:
    model, card = build(name), short_card(name)
    spans = ((0, 5), (2, 20), (7, 40))
    together = of(name, *spans)
    alone = []
    for who in range(3):
        rows = np.flatnonzero(together.boxes[:, 0] == 50 * who)
        one = replace(
            together,
            **{
                field: getattr(together, field)[rows]
                for field in ("frame", "boxes", "scores", "joints", "joint_scores", "features")
                if getattr(together, field) is not None
            },
        )
        alone.append(score_people(model, one, card))
    assert all(scores is not None for scores in alone)
    tubes = np.array(alone, np.float32)
    assert score_people(model, together, card) == pytest.approx(tubes.max(axis=0), abs=1e-6)
    assert len(set(tubes.argmax(axis=0))) > 1, "the test needs classes won by different tubes"


@pytest.mark.parametrize("name", POSE_MODELS)
def test_the_size_of_batches_changes_nothing_and_neither_does_a_second_run(name: str) -> None:
    model, card = build(name), short_card(name)
    found = of(name, (0, 5), (2, 20), (7, 40), (0, 40))
    eight = score_people(model, found, card, batch_size=8)
    assert score_people(model, found, card, batch_size=1) == pytest.approx(eight, abs=1e-6)
    again = score_people(model, found, card, batch_size=8)
    assert again is not None
    assert eight is not None
    assert np.array_equal(again, eight)


def test_a_tube_is_scored_with_nobody_beside_it() -> None:
    """What `forward` gives for the padded tube with zeros as the second person."""
    model, card = build("stgcn_2d"), short_card("stgcn_2d")
    found = of("stgcn_2d", (0, 9))
    assert card.pose is not None
    (sequence,) = sequences(found, card.pose, 3)
    x = torch.from_numpy(filled(sequence, card.pose))[None]
    assert x.shape == (1, 3, 16, 18, 2)
    with torch.no_grad():
        expected = model(x).softmax(dim=1)[0].numpy()
    assert score_people(model, found, card) == pytest.approx(expected, abs=1e-6)


def test_the_best_two_are_scored_together_in_one_pass() -> None:
    model, card = build("stgcn_2d_best2"), short_card("stgcn_2d_best2")
    found = of("stgcn_2d_best2", (0, 9), (0, 9), (4, 12))
    assert card.pose is not None
    x = torch.from_numpy(filled(best_of_frames(found, card.pose, 3), card.pose))[None]
    with torch.no_grad():
        expected = model(x).softmax(dim=1)[0].numpy()
    assert score_people(model, found, card) == pytest.approx(expected, abs=1e-6)


def test_long_tubes_are_averaged_over_windows_and_coco_over_its_views() -> None:
    model, card = build("stgcn_2d"), short_card("stgcn_2d")
    found = of("stgcn_2d", (0, 40))
    assert card.pose is not None
    (sequence,) = sequences(found, card.pose, 3)
    with torch.no_grad():
        parts = [
            model(torch.from_numpy(sequence[None, :, start : start + 16])).softmax(dim=1)[0].numpy()
            for start in (0, 12, 24)
        ]
    assert score_people(model, found, card) == pytest.approx(np.mean(parts, axis=0), abs=1e-6)


def test_sipnet_loops_a_tube_shorter_than_its_kernel() -> None:
    model, card = build("sipnet"), short_card("sipnet")
    found = of("sipnet", (0, 3))
    assert found.features is not None
    looped = found.features[np.arange(8) % 3].T.copy()
    with torch.no_grad():
        expected = model(torch.from_numpy(looped)[None]).softmax(dim=1)[0].numpy()
    assert score_people(model, found, card) == pytest.approx(expected, abs=1e-6)


def test_the_model_decides_on_the_layout_it_was_built_with() -> None:
    model = build("stgcn_2d", layout="lcrnet13")
    found = people((0, 6), layout="lcrnet13")
    scores = score_people(model, found, short_card("stgcn_2d"))
    assert scores is not None
    assert scores.shape == (CLASSES,)
    flat = build("stgcn_2d", channels=2)
    assert score_people(flat, of("stgcn_2d", (0, 6)), short_card("stgcn_2d")) is not None


def test_joints_beyond_all_bounds_are_an_error_of_the_clip() -> None:
    found = of("stgcn_3d", (0, 4))
    found = replace(found, joints=np.full_like(found.joints, 3e38))
    with pytest.raises(ClipError, match="joint is over 1,000,000 pixels"):
        score_people(build("stgcn_3d"), found, short_card("stgcn_3d"))


def test_models_of_frames_do_not_take_people() -> None:
    with pytest.raises(ValueError, match="r3d_18 reads frames"):
        score_people(torch.nn.Identity(), people((0, 1)), find_card("r3d_18"))


@pytest.mark.parametrize("name", POSE_MODELS)
def test_cards_say_what_was_counted_and_measured(name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    card = find_card(name)
    assert card.pose is not None
    model: Any = baselines.build(name).eval()
    assert sum(p.numel() for p in model.parameters()) == card.parameters
    if card.pose.layout:
        joints = model.A.shape[1]
        x = torch.zeros(1, model.channels, card.pose.frames, joints, card.pose.persons)
    else:
        x = torch.zeros(1, model.width, card.pose.frames)
    with torch.device("meta"):
        model = baselines.build(name).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        scores = model(x.to("meta"))
    assert scores.shape == (1, card.classes)
    assert counter.get_total_flops() / 2e9 == pytest.approx(card.gflops, abs=5e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("name", POSE_MODELS)
def test_a_gpu_scores_as_the_cpu(name: str) -> None:
    from testbed import need

    need("gpu", torch.cuda.is_available(), "no CUDA device")
    model, card = build(name), short_card(name)
    found = of(name, (0, 5), (2, 40))
    cpu = score_people(model, found, card)
    gpu = score_people(model.cuda(), found, card, device="cuda")
    assert gpu == pytest.approx(cpu, abs=1e-3)

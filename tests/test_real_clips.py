"""Every model and every pose step on a real clip, with random weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from testbed import need

from mimecurate import baselines
from mimecurate.baselines.clip_views import flow_views, video_views
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.flow_clip import grey, shrink
from mimecurate.baselines.flow_store import FlowManifest, write_flow
from mimecurate.baselines.keypoint_rcnn import Detector, detect_people
from mimecurate.baselines.pose_scores import score_people
from mimecurate.baselines.registry import find_card, model_cards
from mimecurate.baselines.tubes import link_tubes
from mimecurate.baselines.tvl1 import tvl1_flow
from mimecurate.baselines.view_scores import forward

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from mimecurate.baselines.people import People

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
PAIRS = 8
BY_INPUT = {
    kind: [card.name for card in model_cards().values() if card.modality == kind]
    for kind in ("rgb", "flow", "pose", "features")
}


@pytest.fixture(scope="module")
def clip(shared: Path) -> Path:
    path = shared / "clips" / "tai_chi.mp4"
    need("shared", path.exists(), "no clips/tai_chi.mp4 in it")
    return path


@pytest.fixture(scope="module")
def people(clip: Path) -> People:
    """What a detector without training takes for people; features of 1024 numbers."""
    detector = Detector(None, device="cpu", short_side=96, min_score=0.0, max_people=2)
    with open_video(clip) as video:
        return detect_people(detector, video, "tai_chi", every=30, features=True)


@pytest.fixture(scope="module")
def flow(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    with open_video(clip) as video:
        fps, frames = video.fps, grey(shrink(video.read(range(PAIRS + 1)), 128))
    found = tvl1_flow(frames[:-1], frames[1:]).numpy()
    height, width = found.shape[2:]
    assert fps > 0
    manifest = FlowManifest("tai_chi", "0" * 64, "tvl1", {}, PAIRS, width, height, "0")
    with write_flow(folder, manifest) as writer:
        writer.append(found)
    return folder


def random_model(name: str, **settings: int) -> torch.nn.Module:
    torch.manual_seed(0)
    return baselines.build(name, **settings).eval()


def check_scores(scores: NDArray[np.float32], classes: int) -> None:
    assert scores.shape == (classes,)
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("name", BY_INPUT["rgb"])
def test_models_of_frames_score_a_real_clip(name: str, clip: Path) -> None:
    card = find_card(name)
    assert card.protocol is not None
    protocol = replace(card.protocol, views=1, crops=1)
    views = video_views(clip, protocol, device=CPU)
    batch = views.view(0)[None]
    assert batch.shape == (1, protocol.frames, 3, *protocol.crop)
    logits = forward(random_model(name), batch, protocol, CPU, None)
    check_scores(logits.softmax(1)[0].numpy(), card.classes)


@pytest.mark.parametrize("name", BY_INPUT["flow"])
def test_models_of_flow_score_a_real_clip(name: str, flow: Path) -> None:
    card = find_card(name)
    assert card.protocol is not None
    protocol = replace(card.protocol, views=1)
    views = flow_views(flow, "tai_chi", protocol, device=CPU, fps=29.97)
    batch = views.view(0)[None]
    assert batch.shape == (1, protocol.frames, 2, *protocol.crop)
    logits = forward(random_model(name), batch, protocol, CPU, None)
    check_scores(logits.softmax(1)[0].numpy(), card.classes)


def test_tubes_hold_every_detection_of_a_real_clip(people: People) -> None:
    tubes = link_tubes(people)
    rows = np.concatenate([tube.detection for tube in tubes])
    assert sorted(rows[rows >= 0]) == list(range(len(people.frame)))


@pytest.mark.parametrize("name", BY_INPUT["pose"] + BY_INPUT["features"])
def test_models_of_people_score_a_real_clip(name: str, people: People) -> None:
    card = find_card(name)
    model = random_model(name, **({"features": 1024} if card.modality == "features" else {}))
    if card.pose is not None and card.pose.layout and card.pose.dimensions == 3:
        flat = np.zeros_like(people.joints[:, :, :1])
        people = replace(people, joints=np.concatenate([people.joints, flat], axis=2))
    scores = score_people(model, people, card, device=CPU)
    assert scores is not None
    check_scores(scores, card.classes)
    again = score_people(model, people, card, device=CPU)
    np.testing.assert_array_equal(scores, again)

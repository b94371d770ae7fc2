from __future__ import annotations

from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from people_made import same
from testbed import need
from torchvision.models import detection

from mimecurate.baselines import keypoint_rcnn
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.keypoint_rcnn import Detector, detect_people
from mimecurate.baselines.people_checks import people_problems
from mimecurate.baselines.weights import file_sha256

if TYPE_CHECKING:
    from pathlib import Path


def small_detector(weights: Path | None, device: str = "cpu") -> Detector:
    made = Detector(weights, device=device, short_side=96, min_score=0.0, max_people=4)
    few_proposals(made.model)
    return made


def few_proposals(model: torch.nn.Module) -> None:
    """Random weights find people everywhere: a thousand proposals would only take time."""
    model.rpn._pre_nms_top_n = model.rpn._post_nms_top_n = {"training": 60, "testing": 60}  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def detector() -> Detector:
    return small_detector(None)


@pytest.fixture(scope="module")
def frames() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 3, 60, 80), dtype=torch.uint8, generator=generator)


def test_features_are_those_that_gave_the_score(detector: Detector, frames: torch.Tensor) -> None:
    for found in detector.detect(frames):
        assert found.features.shape == (4, 1024)
        logits, _ = detector.model.roi_heads.box_predictor(torch.from_numpy(found.features))
        scores = logits.softmax(-1)[:, 1].detach().numpy()
        np.testing.assert_allclose(scores, found.scores, rtol=1e-5)
        # Another person's features give another score.
        assert np.abs(np.roll(scores, 1) - found.scores).max() > 1e-4


def test_what_is_found_in_a_frame_does_not_depend_on_its_batch(
    detector: Detector, frames: torch.Tensor
) -> None:
    together = detector.detect(frames)
    for frame, found in zip(frames, together, strict=True):
        (alone,) = detector.detect(frame[None])
        for name in ("boxes", "scores", "joints", "features"):
            np.testing.assert_allclose(
                getattr(alone, name), getattr(found, name), rtol=1e-3, atol=1e-3, err_msg=name
            )


def test_published_weights_run_as_in_torchvisions_own_model(
    tmp_path: Path, frames: torch.Tensor, monkeypatch: pytest.MonkeyPatch, detector: Detector
) -> None:
    state = {k: v * 1.01 for k, v in detector.model.state_dict().items()}
    torch.save(state, tmp_path / "weights.pth")
    published = detection.KeypointRCNN_ResNet50_FPN_Weights.COCO_V1
    monkeypatch.setattr(type(published), "get_state_dict", lambda *_, **__: state)
    theirs = detection.keypointrcnn_resnet50_fpn(
        weights=published,
        min_size=96,
        max_size=160,
        box_score_thresh=0.0,
        box_detections_per_img=4,
    ).eval()
    few_proposals(theirs)
    digits = file_sha256(tmp_path / "weights.pth")[:8]
    monkeypatch.setattr(keypoint_rcnn, "_SHA256", digits)
    ours = small_detector(tmp_path / "weights.pth")
    with torch.inference_mode():
        wanted = theirs([frames[0].float() / 255])[0]
    (found,) = ours.detect(frames[:1])
    np.testing.assert_array_equal(found.boxes, wanted["boxes"].numpy())
    np.testing.assert_array_equal(found.joints, wanted["keypoints"][..., :2].numpy())


def test_a_seed_gives_the_same_weights(detector: Detector) -> None:
    again = small_detector(None).model.state_dict()
    for name, value in detector.model.state_dict().items():
        assert torch.equal(value, again[name]), name


def test_finds_people_of_a_real_clip_the_same_each_time(detector: Detector, shared: Path) -> None:
    clip = shared / "clips" / "arm_wrestling.mp4"
    need("shared", clip.exists(), "no clips/arm_wrestling.mp4 in it")
    with open_video(clip) as video:
        every = -(-video.frames // 2)
        people = detect_people(detector, video, "arm", every=every, batch_size=2, features=True)
        twice = detect_people(detector, video, "arm", every=every, batch_size=2, features=True)
        assert people.frames == video.frames
    assert people_problems(people) == []
    same(people, twice)
    assert sorted(set(people.frame.tolist())) == [0, every]
    assert people.features is not None
    assert people.features.shape == (len(people.frame), 1024)
    assert people.boxes.max() <= max(people.width, people.height)


@pytest.mark.gpu
def test_finds_the_same_on_a_gpu(detector: Detector, frames: torch.Tensor) -> None:
    need("gpu", torch.cuda.is_available(), "no CUDA device")
    (here,) = detector.detect(frames[:1])
    (there,) = small_detector(None, "cuda").detect(frames[:1])
    np.testing.assert_allclose(there.boxes, here.boxes, atol=0.5)
    np.testing.assert_allclose(there.scores, here.scores, atol=1e-3)

"""Find people, their joints and features of them with torchvision's Keypoint R-CNN.

He et al. 2017 ("Mask R-CNN", Section 5), as torchvision trained it on COCO: a box, a score and 17
joints for each person, and the 1024 numbers that its box head makes of a person's region and
classifies. These features stand in for those of LCR-Net++ that SIP-Net reads (Weinzaepfel and
Rogez 2021, Section 4.4), which are 2048 others: weights for one are of no use for the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection import KeypointRCNN, KeypointRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d, clip_boxes_to_image

from mimecurate.baselines.checkpoints import load_checkpoint
from mimecurate.baselines.clip_trouble import batch_of, check_resized, clip_error
from mimecurate.baselines.decode import MAX_CALL_BYTES
from mimecurate.baselines.people import People
from mimecurate.baselines.registry import Weights
from mimecurate.baselines.weights import fetch_weights, file_sha256, weights_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from mimecurate.baselines.decode import Video

    Floats = NDArray[np.float32]

LAYOUT = "coco17"
JOINTS = 17
FEATURES = 1024
_PERSON = 1
_PUBLISHED = KeypointRCNN_ResNet50_FPN_Weights.COCO_V1
_SHA256 = "fc266e95"
"""First digits of the published file's, as its name says."""


@dataclass(frozen=True, slots=True)
class Found:
    """The people of one frame, best first.

    Attributes:
        boxes: float32[N, 4], x1, y1, x2, y2 in pixels of the frame.
        scores: float32[N], 0 to 1.
        joints: float32[N, 17, 2], x, y in pixels.
        joint_scores: float32[N, 17]: the logistic function of the highest value of each joint's
            heat map, which the network was not trained to make a probability.
        features: float32[N, 1024]: of the box head, for the proposal that became the box.
    """

    boxes: Floats
    scores: Floats
    joints: Floats
    joint_scores: Floats
    features: Floats


class Detector:
    """Keypoint R-CNN, ready to be shown frames."""

    def __init__(
        self,
        weights: Path | None,
        *,
        device: str | torch.device = "cpu",
        min_score: float = 0.5,
        max_people: int = 20,
        short_side: int = 800,
        seed: int = 0,
    ) -> None:
        """Build the model.

        Args:
            weights: a file in torchvision's layout; ``None``: at random, for trying alone.
            device: where it runs.
            min_score: people with a lower score are left out.
            max_people: best people of a frame.
            short_side: frames are resized to it, in pixels, the longer side to at most 5/3 of it.
            seed: of random weights.

        Raises:
            MimecurateError: the weights can't be read, or don't fit.
        """
        self.device = torch.device(device)
        self.model = _build(weights, seed, min_score, max_people, short_side)
        self.model.to(self.device).eval()
        self._heads: Any = self.model.roi_heads
        self._kept: list[Tensor] = []
        self._last: Tensor | None = None
        self._heads.box_head.register_forward_hook(self._keep_features)
        self._original = self._heads.postprocess_detections
        self._heads.postprocess_detections = self._postprocess

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Tell the size (height, width) at which a frame is looked at."""
        short, long = float(self.model.transform.min_size[0]), float(self.model.transform.max_size)
        scale = min(short / min(height, width), long / max(height, width))
        return math.floor(height * scale), math.floor(width * scale)

    @torch.inference_mode()
    def detect(self, frames: Tensor) -> list[Found]:
        """Find the people of frames.

        Args:
            frames: uint8[T, 3, H, W], RGB.

        Returns:
            T times what was found.
        """
        images = list(frames.to(self.device).float().div_(255))
        outputs = self.model(images)
        kept, self._kept, self._last = self._kept, [], None
        return [_found(output, rows) for output, rows in zip(outputs, kept, strict=True)]

    def _keep_features(self, head: nn.Module, inputs: Any, output: Tensor) -> None:
        self._last = output

    def _postprocess(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Do as torchvision does, and take note of which proposal each box was made of."""
        boxes, scores, labels = self._original(
            class_logits, box_regression, proposals, image_shapes
        )
        assert self._last is not None  # the box head ran just before
        sizes = [len(each) for each in proposals]
        decoded = self._heads.box_coder.decode(box_regression, proposals)[:, _PERSON]
        all_boxes = torch.split(decoded, sizes)
        all_scores = torch.split(class_logits.softmax(-1)[:, _PERSON], sizes)
        features = torch.split(self._last, sizes)
        self._kept = []
        for i, shape in enumerate(image_shapes):
            whole = clip_boxes_to_image(all_boxes[i], shape)
            rows = _rows_of(boxes[i], scores[i], whole, all_scores[i])
            self._kept.append(features[i][rows])
        return boxes, scores, labels


def _rows_of(boxes: Tensor, scores: Tensor, all_boxes: Tensor, all_scores: Tensor) -> Tensor:
    """Find the proposal that became each box: the same numbers were computed of it.

    Raises:
        RuntimeError: there is none; this torchvision makes boxes in another way.
    """
    if len(boxes) == 0:
        return torch.empty(0, dtype=torch.long, device=boxes.device)
    same = (boxes[:, None] == all_boxes[None]).all(dim=2) & (scores[:, None] == all_scores[None])
    if not bool(same.any(dim=1).all()):
        raise RuntimeError("a box of Keypoint R-CNN can't be traced to its features")
    return same.int().argmax(dim=1)


def _found(output: dict[str, Tensor], features: Tensor) -> Found:
    def array(tensor: Tensor) -> Floats:
        return tensor.float().cpu().numpy()

    return Found(
        boxes=array(output["boxes"]),
        scores=array(output["scores"]).clip(0, 1),
        joints=array(output["keypoints"][..., :2]),
        joint_scores=array(output["keypoints_scores"].sigmoid()),
        features=array(features),
    )


def _build(
    weights: Path | None, seed: int, min_score: float, max_people: int, short_side: int
) -> KeypointRCNN:
    """Build it as torchvision's own function does when it is to have the published weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = KeypointRCNN(
            resnet_fpn_backbone(
                backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d
            ),
            num_classes=2,
            num_keypoints=JOINTS,
            min_size=short_side,
            max_size=short_side * 5 // 3,
            box_score_thresh=min_score,
            box_detections_per_img=max_people,
        )
    if weights is not None:
        load_checkpoint(model, weights)
        if file_sha256(weights).startswith(_SHA256):
            # The published weights were trained when torchvision left eps out.
            for module in model.modules():
                if isinstance(module, FrozenBatchNorm2d):
                    module.eps = 0.0
    return model


def published_weights(
    folder: Path | None = None, *, on_bytes: Callable[[int, int | None], None] | None = None
) -> Path:
    """Give torchvision's own weights (COCO_V1) in the cache; download them if need be.

    Raises:
        MimecurateError: they can't be had; says what to get from where.
    """
    weights = Weights(_PUBLISHED.url, _SHA256, "BSD-3-Clause", name="COCO_V1")
    return fetch_weights(weights, folder or weights_folder(), on_bytes=on_bytes)


def detect_people(
    detector: Detector,
    video: Video,
    clip_id: str,
    *,
    every: int = 1,
    batch_size: int = 4,
    features: bool = False,
) -> People:
    """Find the people of a clip.

    Args:
        detector: made once for all clips.
        video: the clip.
        clip_id: its name.
        every: only each so many frames are looked at; linking fills in up to 9 between.
        batch_size: frames at once.
        features: keep those of each person.

    Raises:
        ClipError: the clip can't be decoded to its end, or its frames are too narrow.
        MimecurateError: a batch does not fit into the memory.
    """
    check_resized(clip_id, (video.height, video.width), detector.resized(video.height, video.width))
    numbers = range(0, video.frames, every)
    batch_size = max(1, min(batch_size, MAX_CALL_BYTES // (3 * video.width * video.height)))
    found: list[Found] = []
    for first in range(0, len(numbers), batch_size):
        try:
            frames = video.read(numbers[first : first + batch_size])
            with batch_of(len(frames), detector.device):
                found += detector.detect(frames)
        except (RuntimeError, MemoryError) as error:
            raise clip_error(error, f"{clip_id}: nobody can be looked for in it") from error
    counts = [len(each.scores) for each in found]
    return People(
        clip_id=clip_id,
        frames=video.frames,
        width=video.width,
        height=video.height,
        fps=video.fps,
        layout=LAYOUT,
        frame=np.repeat(np.array(numbers, np.int32), counts),
        boxes=np.concatenate([each.boxes for each in found]),
        scores=np.concatenate([each.scores for each in found]),
        joints=np.concatenate([each.joints for each in found]),
        joint_scores=np.concatenate([each.joint_scores for each in found]),
        features=np.concatenate([each.features for each in found]) if features else None,
    )

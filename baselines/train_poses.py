"""Clips as training material for models that read people: a random stretch of one of the tubes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mimecurate.baselines.pose_clips import filled, random_view
from mimecurate.baselines.pose_inputs import protocol_of, sequences
from mimecurate.baselines.pose_scores import score_people
from mimecurate.baselines.train_validate import Scored
from mimecurate.errors import ClipError, InvalidInputError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from mimecurate.baselines.people import People
    from mimecurate.baselines.protocol import PoseProtocol
    from mimecurate.baselines.registry import ModelCard

    Floats = NDArray[np.float32]

ANGLES_DEG = (-10.0, -5.0, 0.0, 5.0, 10.0)
SCALES = (0.9, 1.0, 1.1)
SHIFTS = (-0.2, -0.1, 0.0, 0.1, 0.2)


class PeopleClips:
    """The people of clips, with the clips' classes: what ST-GCN and SIP-Net learn from.

    Every tube has the class of its video (Weinzaepfel and Rogez 2021, Section 4.1). Of each clip
    one tube is drawn an epoch, the longer the likelier, so that a crowd counts no more than one.

    Attributes:
        clip_ids: of the clips.
        labels: the number of each one's class.
    """

    def __init__(
        self,
        clip_ids: Sequence[str],
        people: Mapping[str, People],
        labels: Sequence[int],
        card: ModelCard,
        model: nn.Module,
        *,
        augment: bool = True,
    ) -> None:
        """Describe the clips; nobody is looked up yet.

        Args:
            clip_ids: of the clips.
            people: by clip id.
            labels: the number of each one's class.
            card: of the model.
            model: as it was built, for what it reads.
            augment: move joints in two dimensions at random.
        """
        assert card.pose is not None
        reader: Any = model
        self.clip_ids, self.labels = clip_ids, labels
        self._people, self._card, self._augment = people, card, augment
        self._process = os.getpid()
        self._protocol = protocol_of(reader, card.pose)
        self._channels: int = reader.channels if self._protocol.layout else reader.width

    def __len__(self) -> int:
        """Count them."""
        return len(self.clip_ids)

    def draw(self, index: int, rng: np.random.Generator) -> Tensor:
        """Draw a stretch of one tube; joints in two dimensions are moved at random.

        Args:
            index: of the clip.
            rng: decides which tube, which stretch and which move.

        Returns:
            float32[C, T, V, M] of joints, float32[F, T] of features.

        Raises:
            ClipError: there is nobody, or the people hold something that can't be.
        """
        protocol = self._protocol
        found = sequences(self._of(index), protocol, self._channels)
        if not found:
            raise nobody()
        lengths = np.array([sequence.shape[1] for sequence in found])
        sequence = found[rng.choice(len(found), p=lengths / lengths.sum())]
        stretch = random_stretch(sequence, protocol, rng)
        if self._augment and protocol.layout and protocol.dimensions == 2:
            stretch = random_move(stretch, rng)
        return torch.from_numpy(np.ascontiguousarray(stretch))

    def to_inputs(self, samples: Tensor) -> Tensor:
        """Give the samples as they are."""
        return samples

    def scores(
        self, model: nn.Module, indices: Sequence[int], device: torch.device, workers: int
    ) -> Iterator[Scored]:
        """Score clips as `baseline run` does: the maximum over tubes, each seen whole."""
        for index in indices:
            try:
                scores = score_people(model, self._of(index), self._card, device=device)
                yield Scored(index, scores, "" if scores is not None else f"{nobody()}")
            except ClipError as error:
                yield Scored(index, None, f"{error.reason}: {error}")

    def _of(self, index: int) -> People:
        if self._process != os.getpid():  # a process that reads beside others needs its own file
            self._process, self._people = os.getpid(), _opened_anew(self._people)
        try:
            return self._people[self.clip_ids[index]]
        except KeyError:
            raise ClipError(Reason.UNAVAILABLE, "not in the file of people") from None
        except InvalidInputError as error:
            raise ClipError(Reason.CORRUPT, f"{error}") from error


def _opened_anew(people: Mapping[str, People]) -> Mapping[str, People]:
    from mimecurate.baselines.people_file import PeopleFile

    return PeopleFile(people.path) if isinstance(people, PeopleFile) else people


def nobody() -> ClipError:
    """Say that a clip has no person."""
    return ClipError(Reason.OTHER, "no person was found in it")


def random_stretch(sequence: Floats, protocol: PoseProtocol, rng: np.random.Generator) -> Floats:
    """Cut out what is trained on.

    SIP-Net is trained on the T frames of its kernel (Weinzaepfel and Rogez 2021, Section 4.4),
    ST-GCN on half of what it is tested on: 150 of 300 (its authors' configuration). Short clips
    are filled with zeros to 300 first, as theirs are, so that the share of zeros is on average
    that of testing; but here a stretch never begins after the person's last frame.

    Args:
        sequence: float32[C, L, V, M] or float32[F, L].
        protocol: of the model.
        rng: decides where it begins.
    """
    if not protocol.layout or protocol.clips != "windows":
        return random_view(sequence, protocol, rng)
    frames, length = protocol.frames // 2, sequence.shape[1]
    if length >= protocol.frames:
        return random_view(sequence, protocol, rng, frames)
    start = int(rng.integers(min(length, protocol.frames - frames + 1)))
    return filled(sequence, protocol)[:, start : start + frames]


def random_move(joints: Floats, rng: np.random.Generator) -> Floats:
    """Turn, scale and shift the joints, changing evenly from the first frame to the last.

    As ST-GCN's authors do on Kinetics (``random_move``): two poses of the camera are drawn, and
    what lies between is linear. Joints that were not seen, at 0, move with the others.

    Args:
        joints: float32[C, T, V, M], x and y first.
        rng: decides.

    Returns:
        A moved copy.
    """
    frames = joints.shape[1]
    along = np.arange(frames) / frames

    def drawn(candidates: tuple[float, ...]) -> NDArray[np.float64]:
        first, last = rng.choice(candidates, 2)
        values: NDArray[np.float64] = first + (last - first) * along
        return values[:, None, None]

    angle, scale = np.deg2rad(drawn(ANGLES_DEG)), drawn(SCALES)
    right, down = drawn(SHIFTS), drawn(SHIFTS)
    x, y = joints[0], joints[1]
    moved = joints.copy()
    moved[0] = scale * (np.cos(angle) * x - np.sin(angle) * y) + right
    moved[1] = scale * (np.sin(angle) * x + np.cos(angle) * y) + down
    return moved

"""What pose models read: the people of a clip as arrays of joints or features.

A *sequence* is float32[C, L, V, M]: C numbers of each joint, L frames, V joints, M persons; or
float32[F, L], features of one person. `pose_clips` cuts it into what a model sees at once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mimecurate.baselines.joint_layouts import convert_layout, names_of
from mimecurate.baselines.people_checks import people_problems
from mimecurate.baselines.pose_clips import at_rate
from mimecurate.errors import ClipError, MimecurateError, Reason, SettingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mimecurate.baselines.people import People, Tube
    from mimecurate.baselines.protocol import PoseProtocol

    Floats = NDArray[np.float32]

PEOPLE_READ = 5
"""People of one frame among whom the best are looked for (feeder_kinetics.py)."""


def check_people(people: People) -> None:
    """Make sure that the arrays fit together and hold numbers.

    Joints with a score of 0 may hold anything: they are not looked at.

    Raises:
        ClipError: they don't; says what is wrong first.
    """
    problems = people_problems(people)
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise _corrupt(people, f"{problems[0]}{more}")


def protocol_of(model: Any, protocol: PoseProtocol) -> PoseProtocol:
    """Take a card's protocol, with the layout or clip length that the model was built with."""
    if not protocol.layout:
        return replace(protocol, frames=model.frames)
    return replace(protocol, layout=model.layout)


def sequences(people: People, protocol: PoseProtocol, channels: int) -> list[Floats]:
    """Make one sequence for each tube, or one for the best people of each frame.

    Args:
        people: of one clip.
        protocol: what the model wants.
        channels: C, numbers of each joint, or F, width of the features.

    Returns:
        Sequences in the order of tubes; empty if there is nobody.

    Raises:
        ClipError: the people hold something that can't be.
        MimecurateError: they lack what the model reads.
    """
    check_people(people)
    if len(people.frame) == 0:
        return []
    if protocol.layout:
        people = _with_layout(people, protocol)
    else:
        _check_features(people, channels)
    if protocol.people == "best":
        found = [best_of_frames(people, protocol, channels)]
    else:
        from mimecurate.baselines.tubes import link_tubes

        found = [tube_sequence(tube, people, protocol, channels) for tube in link_tubes(people)]
    return [at_rate(sequence, people.fps, protocol.fps) for sequence in found]


def tube_sequence(tube: Tube, people: People, protocol: PoseProtocol, channels: int) -> Floats:
    """Make the sequence of one tube; its first frame comes first.

    Args:
        tube: of ``people``.
        people: the clip, for the size of its frames.
        protocol: what the model wants.
        channels: C, numbers of each joint.

    Returns:
        float32[C, L, V, M], the tube as the first person and zeros as the others; or
        float32[F, L].
    """
    if not protocol.layout:
        assert tube.features is not None  # checked for all people of the clip
        return np.ascontiguousarray(tube.features.T)
    joints = normalised(tube.joints, tube.joint_scores, people, protocol, channels)
    sequence = np.zeros((channels, *joints.shape[:2], protocol.persons), np.float32)
    sequence[:, :, :, 0] = joints.transpose(2, 0, 1)
    return sequence


def best_of_frames(
    people: People, protocol: PoseProtocol, channels: int, *, among: int = PEOPLE_READ
) -> Floats:
    """Make the sequence of the best people of each frame, as ST-GCN's feeder does.

    Of the first people of a frame, as they stand in the file, those with the highest sum of
    joint scores are kept, best first. Nobody is followed from frame to frame (Yan et al. 2018,
    Section 4.1; feeder_kinetics.py).

    Args:
        people: of one clip, with the model's layout.
        protocol: what the model wants.
        channels: C, numbers of each joint.
        among: how many people of a frame are looked at.

    Returns:
        float32[C, L, V, M], L up to the last frame with a person.
    """
    joints = normalised(people.joints, people.joint_scores, people, protocol, channels)
    starts = np.searchsorted(people.frame, people.frame)
    rank = np.arange(len(people.frame)) - starts  # within the frame, in the file's order
    read = np.flatnonzero(rank < among)
    totals = people.joint_scores.sum(axis=1, dtype=np.float64)
    order = read[np.lexsort((read, -totals[read], people.frame[read]))]
    frame = people.frame[order]
    slot = np.arange(len(order)) - np.searchsorted(frame, frame)
    kept = slot < protocol.persons
    length = int(people.frame.max(initial=-1)) + 1
    sequence = np.zeros((channels, length, joints.shape[1], protocol.persons), np.float32)
    sequence[:, frame[kept], :, slot[kept]] = joints[order[kept]].transpose(0, 2, 1)
    return sequence


def normalised(
    joints: Floats,
    joint_scores: Floats,
    people: People,
    protocol: PoseProtocol,
    channels: int,
) -> Floats:
    """Scale coordinates as the model's paper does, and put the score beside them.

    In two dimensions the frame reaches from -span/2 to span/2 in both directions; joints outside
    the frame lie beyond. In three the estimator's own units stay: the first layer is a batch
    normalisation of each coordinate of each joint. Joints that were not seen lie at 0; their
    score stays.

    Args:
        joints: float32[L, V, D].
        joint_scores: float32[L, V].
        people: for the size of the frames.
        protocol: what the model wants.
        channels: D for the coordinates alone, D + 1 for the score too.

    Returns:
        float32[L, V, channels].
    """
    if protocol.dimensions == 2:
        size = np.array([people.width, people.height], np.float32)
        joints = ((joints / size - np.float32(0.5)) * np.float32(protocol.span)).astype(np.float32)
    joints = np.where((joint_scores > protocol.min_score)[:, :, None], joints, np.float32(0))
    return np.concatenate([joints, joint_scores[:, :, None]], axis=2, dtype=np.float32)[
        :, :, :channels
    ]


def _with_layout(people: People, protocol: PoseProtocol) -> People:
    """Reorder the joints for the model, if its layout can be had from the people's.

    Raises:
        MimecurateError: it can't; or joints in three dimensions for a model of two, or the
            other way round; or frames without a size.
    """
    dimensions = people.joints.shape[2]
    if dimensions != protocol.dimensions:
        raise MimecurateError(
            f"{people.clip_id}: joints in {dimensions} dimensions; the model reads "
            f"{protocol.dimensions}"
        )
    if dimensions == 2 and not (people.width > 0 and people.height > 0):
        raise _corrupt(people, "the size of its frames is unknown")
    names = names_of(people.layout)
    if people.joints.shape[1] != len(names):
        raise _corrupt(
            people, f"{people.joints.shape[1]} joints; the layout {people.layout} has {len(names)}"
        )
    seen = people.joint_scores > 0
    people = replace(people, joints=np.where(seen[:, :, None], people.joints, np.float32(0)))
    try:
        return convert_layout(people, protocol.layout)
    except SettingError as error:
        raise SettingError(f"{people.clip_id}: {error}") from error


def _check_features(people: People, width: int) -> None:
    if people.features is None:
        raise MimecurateError(
            f"{people.clip_id}: people without features, which the model reads; find people "
            "with a detector that gives them"
        )
    if people.features.shape[1] != width:
        raise MimecurateError(
            f"{people.clip_id}: {people.features.shape[1]} features for each person; the model "
            f"was built for {width}"
        )


def _corrupt(people: People, what: str) -> ClipError:
    return ClipError(Reason.CORRUPT, f"people of {people.clip_id}: {what}")

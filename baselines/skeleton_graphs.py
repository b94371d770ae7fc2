"""Joints of each skeleton layout, and the graphs that ST-GCN convolves over.

Follows Yan et al. 2018 ("Spatial Temporal Graph Convolutional Networks for Skeleton-Based Action
Recognition", Section 3) as the authors' code does it, not as the paper words it: published
weights fit only that. The difference: distances to the centre joint are cut off at ``max_hop``,
so that every joint farther away counts as equally far (see `adjacency`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from mimecurate.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Strategy = Literal["uniform", "distance", "spatial", "directed", "neighbours"]
"""How the neighbours of a joint are split into subsets, one weight matrix each."""


@dataclass(frozen=True, slots=True)
class Layout:
    """An order of joints and the bones between them.

    Attributes:
        joints: their names, in order.
        bones: (joint, the joint next to it towards the centre).
        centre: the joint that the spatial partition counts distances from.
    """

    joints: tuple[str, ...]
    bones: tuple[tuple[int, int], ...]
    centre: int


_COCO = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
)
_OPENPOSE = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear"
)
_LCRNET = (
    "right_ankle left_ankle right_knee left_knee right_hip left_hip right_wrist left_wrist "
    "right_elbow left_elbow right_shoulder left_shoulder head"
)
_NTU = (
    "spine_base spine_middle neck head left_shoulder left_elbow left_wrist left_hand "
    "right_shoulder right_elbow right_wrist right_hand left_hip left_knee left_ankle left_foot "
    "right_hip right_knee right_ankle right_foot spine_shoulder left_hand_tip left_thumb "
    "right_hand_tip right_thumb"
)


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    """Read ``"4-3 3-2"``."""
    return tuple((int(a), int(b)) for a, b in (pair.split("-") for pair in text.split()))


_NTU_BODY = (
    "0-1 1-20 2-20 3-2 4-20 5-4 6-5 7-6 8-20 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 "
    "18-17 19-18"
)

LAYOUTS: dict[str, Layout] = {
    "openpose18": Layout(
        tuple(_OPENPOSE.split()),
        _pairs("4-3 3-2 7-6 6-5 13-12 12-11 10-9 9-8 11-5 8-2 5-1 2-1 0-1 15-0 14-0 17-15 16-14"),
        centre=1,
    ),
    "coco17": Layout(
        tuple(_COCO.split()),
        _pairs("15-13 13-11 16-14 14-12 11-5 12-6 9-7 7-5 10-8 8-6 5-0 6-0 1-0 3-1 2-0 4-2"),
        centre=0,
    ),
    # The Mimetics paper doesn't print its bones: these are those of coco17, the head for the nose.
    "lcrnet13": Layout(
        tuple(_LCRNET.split()),
        _pairs("0-2 2-4 1-3 3-5 4-10 5-11 6-8 8-10 7-9 9-11 10-12 11-12"),
        centre=12,
    ),
    "ntu25": Layout(tuple(_NTU.split()), _pairs(_NTU_BODY + " 21-22 22-7 23-24 24-11"), centre=20),
    # NTU RGB+D without the joint between the shoulders: the authors' "ntu_edge".
    "ntu24": Layout(
        tuple(name for name in _NTU.split() if name != "spine_shoulder"),
        _pairs(
            "0-1 2-1 3-2 4-1 5-4 6-5 7-6 8-1 9-8 10-9 11-10 12-0 13-12 14-13 15-14 16-0 17-16 "
            "18-17 19-18 20-21 21-7 22-23 23-11"
        ),
        centre=2,
    ),
    # NTU RGB+D as pyskl and mmaction2 connect it: finger tip and thumb both to the hand.
    "ntu25_mm": Layout(
        tuple(_NTU.split()), _pairs(_NTU_BODY + " 21-7 22-7 23-11 24-11"), centre=20
    ),
}
"""By the name that people files use."""


def find_layout(name: str) -> Layout:
    """Find a layout.

    Raises:
        SettingError: there is none of that name.
    """
    if name not in LAYOUTS:
        raise SettingError(f"no such layout of joints: {name!r}; there are {', '.join(LAYOUTS)}")
    return LAYOUTS[name]


def hop_distances(layout: Layout, max_hop: int) -> NDArray[np.float64]:
    """Count bones between every two joints.

    Returns:
        float64[V, V]; infinite where there are more than ``max_hop``.
    """
    joints = len(layout.joints)
    linked = np.eye(joints, dtype=np.int64)
    for a, b in layout.bones:
        linked[a, b] = linked[b, a] = 1
    distances = np.full((joints, joints), np.inf)
    reached = np.eye(joints, dtype=np.int64)
    for hops in range(max_hop + 1):
        distances[(reached > 0) & np.isinf(distances)] = hops
        reached = reached @ linked
    return distances


def adjacency(
    layout: str | Layout, strategy: Strategy = "spatial", *, max_hop: int = 1, dilation: int = 1
) -> NDArray[np.float64]:
    """Make the stack of adjacency matrices of a skeleton, as the authors' code does.

    All joints at most ``max_hop`` bones apart are neighbours; each column is divided by its sum,
    so that it sums to 1 (A D⁻¹), and then the entries are dealt out to K subsets:

    - ``uniform``: one subset, K = 1.
    - ``distance``: by the number of bones between the two joints, K = 2 for ``max_hop`` 1.
    - ``spatial``: the joint itself; neighbours as far from the centre as the joint, or farther;
      neighbours nearer. K = 3 for ``max_hop`` 1. The distance to the centre is infinite beyond
      ``max_hop``: with ``max_hop`` 1, elbow and wrist are "equally far", and both directions of
      that bone are in the second subset.

    and, as pyskl and mmaction2 name them otherwise, not divided together but by themselves:

    - ``directed`` (their ``spatial``): the joint itself; bones inward; bones outward. K = 3.
    - ``neighbours`` (their ``binary_adj``): 1 for each bone, no division, no self. K = 1.

    Args:
        layout: its name, or itself.
        strategy: one of the above.
        max_hop: bones between neighbours, at most. ``directed`` and ``neighbours``: always 1.
        dilation: only every so many hops count.

    Returns:
        float64[K, V, V]; entry [k, v, w] weighs joint v in the sum for joint w.

    Raises:
        SettingError: no such layout or strategy.

    >>> adjacency("openpose18").shape
    (3, 18, 18)
    >>> bool(np.allclose(adjacency("coco17").sum(axis=(0, 1)), 1))
    True
    """
    layout = find_layout(layout) if isinstance(layout, str) else layout
    if strategy == "directed":
        return _directed(layout)
    if strategy == "neighbours":
        return _bone_matrix(layout, [*layout.bones, *((b, a) for a, b in layout.bones)])[None]
    distances = hop_distances(layout, max_hop)
    hops = range(0, max_hop + 1, dilation)
    weights = _column_normalised(np.isin(distances, list(hops)).astype(np.float64))
    if strategy == "uniform":
        return weights[None]
    if strategy == "distance":
        return np.stack([np.where(distances == hop, weights, 0.0) for hop in hops])
    if strategy != "spatial":
        raise SettingError(
            f"no such strategy: {strategy!r}; there are uniform, distance, spatial, directed, "
            "neighbours"
        )
    to_centre = distances[:, layout.centre]
    nearer = to_centre[:, None] < to_centre[None, :]
    subsets = [np.where(distances == 0, weights, 0.0)]
    for hop in hops[1:]:
        subsets.append(np.where((distances == hop) & ~nearer, weights, 0.0))
        subsets.append(np.where((distances == hop) & nearer, weights, 0.0))
    return np.stack(subsets)


def _directed(layout: Layout) -> NDArray[np.float64]:
    """Self, inward and outward bones, each column divided by its own sum."""
    inward = _bone_matrix(layout, layout.bones)
    return np.stack(
        [np.eye(len(layout.joints)), _column_normalised(inward), _column_normalised(inward.T)]
    )


def _bone_matrix(layout: Layout, bones: Iterable[tuple[int, int]]) -> NDArray[np.float64]:
    """1 at [b, a] for each bone (a, b)."""
    matrix = np.zeros((len(layout.joints), len(layout.joints)))
    for a, b in bones:
        matrix[b, a] = 1.0
    return matrix


def _column_normalised(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide each column by its sum; a column of zeros stays."""
    sums = matrix.sum(axis=0)
    normalised: NDArray[np.float64] = matrix / np.where(sums > 0, sums, 1.0)
    return normalised

"""Video models of torchvision, through its own API.

R3D-18, MC3-18 and R(2+1)D-18 (Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action
Recognition", CVPR 2018), S3D (Xie et al., ECCV 2018), MViT (Fan et al., ICCV 2021; Li et al.,
CVPR 2022) and Video Swin (Liu et al., CVPR 2022).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from torchvision.models import get_model, get_model_weights

from mimecurate.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def build(*, name: str, num_classes: int = 400, **settings: Any) -> nn.Module:
    """Make a model without weights.

    Args:
        name: as torchvision has it: ``r2plus1d_18``.
        num_classes: outputs.
        settings: passed on: ``dropout=0.2`` of S3D, ``spatial_size``, ``temporal_size`` of MViT.

    Raises:
        SettingError: the model has no such setting.
    """
    try:
        made = get_model(name, weights=None, num_classes=num_classes, **settings)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise SettingError(f"{name}: {error}") from error
    return cast("nn.Module", made)


def kinetics400_names(name: str = "") -> Sequence[str]:
    """Name the classes of Kinetics-400 in alphabetical order, as most weights have them.

    I3D's do (data/label_map.txt of DeepMind's code), and those of 3D-ResNeXt-101 of 2018
    (class_names_list of the author's video-classification-3d-cnn-pytorch).

    Args:
        name: of the model; it doesn't matter.
    """
    return class_names("r3d_18")


def class_names(name: str) -> Sequence[str]:
    """Name the 400 outputs of a model with its official weights, in order.

    >>> class_names("r3d_18")[:3]
    ['abseiling', 'air drumming', 'answering questions']
    """
    names: list[str] = next(iter(get_model_weights(name))).meta["categories"]
    return names

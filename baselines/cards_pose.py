"""Cards of the models that read joints or features of people.

Parameters were counted, and multiply-adds measured with `torch.utils.flop_counter` (half of its
operations), by ``tests/test_pose_cards.py``.
"""

from __future__ import annotations

from dataclasses import replace

from mimecurate.baselines.protocol import PoseProtocol
from mimecurate.baselines.registry import ModelCard, Weights

_YAN = "Yan et al., Spatial Temporal Graph Convolutional Networks, AAAI 2018"
_MIMETICS = "Weinzaepfel and Rogez, Mimetics, IJCV 2021"
_PYSKL = "Duan et al., PYSKL: Towards Good Practices for Skeleton Action Recognition, MM 2022"

_ST_GCN = "mimecurate.baselines.stgcn:StGcn"

_KINETICS = PoseProtocol(frames=300, layout="openpose18", persons=2, fps=30)
_KINETICS_WEIGHTS = Weights(
    name="st_gcn.kinetics.pt",
    url="https://open-mmlab.s3.ap-northeast-2.amazonaws.com/mmskeleton/models/st-gcn/"
    "st_gcn.kinetics.pt",
    sha256=None,
    licence="BSD-2-Clause (its repository); see the terms of Kinetics-400",
    where="or https://drive.google.com/drive/folders/1IYKoSrjeI3yYJ9bO0_z_eDo92i7ob_aF",
)

_ST_GCN_2D = ModelCard(
    name="stgcn_2d",
    title="ST-GCN, 18 joints in 2D, by tube",
    paper=f"{_YAN}; by tube: {_MIMETICS}, Section 4.3",
    modality="pose",
    builder=_ST_GCN,
    settings={"layout": "openpose18"},
    classes=400,
    parameters=3_177_140,
    gflops=12.133,
    pose=_KINETICS,
    weights=(_KINETICS_WEIGHTS,),
    class_names="mimecurate.baselines.stgcn:class_names",
)

POSE_CARDS: tuple[ModelCard, ...] = (
    _ST_GCN_2D,
    replace(
        _ST_GCN_2D,
        name="stgcn_2d_best2",
        title="ST-GCN, 18 joints in 2D, two people",
        paper=_YAN,
        pose=replace(_KINETICS, people="best"),
    ),
    ModelCard(
        name="stgcn_coco17",
        title="ST-GCN, 17 joints in 2D, by tube",
        paper=f"{_YAN}; {_PYSKL}",
        modality="pose",
        builder=_ST_GCN,
        settings={"layout": "coco17"},
        classes=60,
        parameters=3_088_704,
        gflops=3.812,
        pose=PoseProtocol(
            frames=100,
            layout="coco17",
            span=2.0,
            min_score=0.01,
            persons=2,
            clips="segments",
            views=10,
            short="loop",
        ),
        weights=tuple(
            Weights(
                name=name,
                url=f"http://download.openmmlab.com/mmaction/pyskl/ckpt/stgcn/{name}/j.pth",
                sha256=None,
                licence="Apache-2.0 (its repository); see the terms of NTU RGB+D",
            )
            for name in ("stgcn_pyskl_ntu60_xsub_hrnet", "stgcn_pyskl_ntu60_xview_hrnet")
        ),
    ),
    ModelCard(
        name="stgcn_3d",
        title="ST-GCN, 13 joints in 3D, by tube",
        paper=f"{_MIMETICS}, Section 4.2; {_YAN}",
        modality="pose",
        builder=_ST_GCN,
        settings={"layout": "lcrnet13"},
        classes=400,
        parameters=3_172_460,
        gflops=4.336,
        pose=PoseProtocol(frames=300, layout="lcrnet13", dimensions=3),
    ),
    ModelCard(
        name="sipnet",
        title="SIP-Net, 2048 features by tube",
        paper=f"{_MIMETICS}, Section 4.4",
        modality="features",
        builder="mimecurate.baselines.sipnet:SipNet",
        settings={"features": 2048, "frames": 32},
        classes=400,
        parameters=26_214_800,
        gflops=0.026,
        pose=PoseProtocol(frames=32, clips="whole", short="loop"),
    ),
)

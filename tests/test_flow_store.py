from __future__ import annotations

import contextlib
import json
import shutil
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.baselines.flow_picture import colour_flow, flow_strip
from mimecurate.baselines.flow_store import (
    FlowManifest,
    _seal,
    flow_path,
    quantise,
    read_flow,
    read_flow_manifest,
    restore,
    write_flow,
)
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CLIP = "aaaaaaaaaaa_000000_000001"
MANIFEST = FlowManifest(CLIP, "ab" * 32, "tvl1", {"short_side": 17}, 5, 23, 17, "0.1.0")


def made(seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 8, (5, 2, 17, 23)).astype(np.float32)


def store(folder: Path, flow: NDArray[np.float32], manifest: FlowManifest = MANIFEST) -> Path:
    with write_flow(folder, manifest) as out:
        out.append(flow[:2])
        out.append(flow[2:])
    return flow_path(folder, manifest.clip_id)


@given(st.lists(st.floats(-25, 25, width=32), min_size=1))
def test_stored_values_are_within_half_a_step(values: list[float]) -> None:
    flow = np.array(values, np.float32)
    back = restore(quantise(flow))
    assert np.abs(back - np.clip(flow, -20, 20)).max() <= 20 / 255 + 1e-5
    assert np.array_equal(quantise(back), quantise(flow))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    flow = made()
    path = store(tmp_path, flow)
    assert path == tmp_path / "aa" / f"{CLIP}.mkv"
    assert np.array_equal(read_flow(tmp_path, CLIP), quantise(flow))
    assert read_flow_manifest(tmp_path, CLIP) == MANIFEST
    assert list((tmp_path / ".unfinished").iterdir()) == []


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    store(tmp_path, made())
    with pytest.raises(ValueError, match="1 pairs came"), write_flow(tmp_path, MANIFEST) as out:
        out.append(made(1)[:1])
    with pytest.raises(ValueError, match="has shape"), write_flow(tmp_path, MANIFEST) as out:
        out.append(made(1)[:, :, :5])
    assert np.array_equal(read_flow(tmp_path, CLIP), quantise(made()))
    assert list((tmp_path / ".unfinished").iterdir()) == []


def test_flow_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no flow of this clip") as refused:
        read_flow(tmp_path, CLIP)
    assert refused.value.reason is Reason.UNAVAILABLE


@pytest.mark.parametrize("clip_id", ["", "../../etc", "a/b", "a\\b", ".hidden", "a\nb", "C:x"])
def test_an_id_that_would_leave_the_folder_is_refused(tmp_path: Path, clip_id: str) -> None:
    with pytest.raises(ValueError, match="name of a file"):
        read_flow(tmp_path, clip_id)


@pytest.mark.parametrize("keep", [0, 10, 500, 0.5, 0.95])
def test_a_file_that_is_cut_off_is_corrupt(tmp_path: Path, keep: float) -> None:
    path = store(tmp_path, made())
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep > 1 else keep * len(data))])
    with pytest.raises(ClipError) as refused:
        read_flow(tmp_path, CLIP)
    assert refused.value.reason is Reason.CORRUPT


def test_a_changed_bit_is_never_read_as_flow(tmp_path: Path) -> None:
    """The decoder itself shows another picture in place of a damaged one, and says nothing."""
    path = store(tmp_path, made())
    data = path.read_bytes()
    for place in range(0, len(data), 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        with pytest.raises(ClipError, match="not as they were written"):
            read_flow(tmp_path, CLIP)


def write_video(path: Path, manifest: Any, codec: str = "ffv1", pix_fmt: str = "gray") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file, av.open(file, "w", format="matroska") as container:
        container.metadata["MIMECURATE_FLOW"] = manifest
        stream: Any = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 24, 32, pix_fmt
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame(24, 32, pix_fmt)))
        container.mux(stream.encode(None))
    _seal(path)


GOOD = asdict(replace(MANIFEST, pairs=2, width=24, height=16))


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("", "manifest"),
        ("[]", "manifest"),
        ("[" * 60_000, "manifest"),
        (json.dumps(GOOD | {"extra": 1}), "manifest"),
        (json.dumps(GOOD | {"pairs": -1}), "manifest"),
        (json.dumps(GOOD | {"pairs": True}), "manifest"),
        (json.dumps(GOOD | {"width": 1e3}), "manifest"),
        (json.dumps(GOOD | {"settings": "x"}), "manifest"),
        (json.dumps(GOOD | {"clip_id": "other"}), "'other'"),
        (json.dumps(GOOD | {"pairs": 1 << 20, "width": 1 << 20, "height": 1 << 20}), "GiB"),
        (json.dumps(GOOD | {"pairs": 1}), "other pictures"),
        (json.dumps(GOOD | {"pairs": 3}), "ends after 2 of 3"),
        (json.dumps(GOOD | {"height": 17}), "pixels"),
    ],
)
def test_a_manifest_that_lies_is_refused(tmp_path: Path, manifest: str, words: str) -> None:
    write_video(flow_path(tmp_path, CLIP), manifest)
    with pytest.raises(ClipError, match=words) as refused:
        read_flow(tmp_path, CLIP)
    assert refused.value.reason is Reason.CORRUPT


@pytest.mark.parametrize(("codec", "pix_fmt"), [("libx264", "yuv420p"), ("ffv1", "yuv420p")])
def test_other_video_is_refused(tmp_path: Path, codec: str, pix_fmt: str) -> None:
    write_video(flow_path(tmp_path, CLIP), json.dumps(GOOD), codec, pix_fmt)
    with pytest.raises(ClipError, match="FFV1"):
        read_flow(tmp_path, CLIP)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("store")
    path = flow_path(folder, CLIP)
    path.parent.mkdir()
    path.write_bytes(data)
    with pytest.raises(ClipError):
        read_flow(folder, CLIP)
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def test_directions_have_their_colours() -> None:
    flow = np.zeros((2, 1, 4), np.float32)
    flow[0] = [[5, -5, 0, 0]]
    flow[1] = [[0, 0, 5, 0]]
    right, left, down, still = colour_flow(flow, 5)[0].astype(int).tolist()
    assert right == [255, 0, 0]
    assert left[0] < 10
    assert min(left[1:]) > 240
    assert down[1] > 240
    assert still == [255, 255, 255]


def test_a_strip_shows_pictures_and_the_wheel() -> None:
    picture = flow_strip(quantise(made()), pictures=3)
    assert picture.size == (3 * 23 + 17, 17)
    assert flow_strip(quantise(made()[:1])).size == (23 + 17, 17)

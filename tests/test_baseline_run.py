"""What a run writes: scores, and how they were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from baseline_workspace import media_workspace
from tiny_baseline import NAMES, add_tiny
from tiny_runs import made_media, manifest_of, run

from mimecurate.baselines import cards_rgb
from mimecurate.baselines.decode import ffmpeg_version, settled_decoder
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.predictions import load_predictions

if TYPE_CHECKING:
    from testbed import SampleMaker


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards_rgb, "RGB_CARDS", cards_rgb.RGB_CARDS)
    add_tiny()


@pytest.fixture
def media(sample: SampleMaker) -> list[Path]:
    return made_media(sample)


@pytest.fixture
def workspace(media: list[Path], tmp_path: Path) -> Path:
    media_workspace(tmp_path / "ws", media)
    return tmp_path / "ws"


def test_a_run_ends_in_a_file_that_says_how_it_was_made(workspace: Path) -> None:
    counts: list[int] = []
    result = run(workspace, on_clips=counts.append)
    assert (result.clips, result.skipped, result.failed) == (5, 0, {})
    assert sum(counts) == 5
    found = load_predictions(result.out)
    assert found.class_names == NAMES
    np.testing.assert_allclose(found.scores.sum(1), 1, atol=1e-5)
    assert found.scores.dtype == np.float32
    manifest = manifest_of(result.out)
    assert manifest["model"] == "tiny"
    assert manifest["weights"] == {"source": "random", "file": None, "sha256": None}
    assert manifest["note"] == "random weights, no accuracy"
    assert manifest["release"]["name"] == "small"
    assert manifest["clips"] == 5
    assert {"mimecurate", "torch", "torchvision", "numpy"} <= set(manifest["versions"])
    assert manifest["settings"]["protocol"]["frames"] == 8
    decoder = manifest["settings"]["decoder"]
    assert decoder == settled_decoder("auto")
    assert manifest["decoded_by"] == {decoder: 5}
    assert manifest["versions"]["ffmpeg"] == ffmpeg_version(decoder)
    assert sorted(p.name for p in workspace.glob("*p.parquet*")) == ["p.parquet"]


def test_the_same_seed_gives_the_same_file(workspace: Path) -> None:
    first, again = run(workspace), run(workspace, "again.parquet")
    ours, theirs = manifest_of(first.out), manifest_of(again.out)
    for one in (ours, theirs):
        del one["date"], one["seconds"]
    assert ours == theirs
    scores = load_predictions(first.out).scores
    assert scores.tobytes() == load_predictions(again.out).scores.tobytes()
    other = load_predictions(run(workspace, "other.parquet", seed=1).out).scores
    assert np.abs(scores - other).max() > 1e-3


@pytest.mark.parametrize("batch_size", [1, 5, 64, "auto"])
def test_the_batch_size_does_not_matter(batch_size: int | str, workspace: Path) -> None:
    reference = load_predictions(run(workspace).out).scores
    found = run(workspace, "other.parquet", batch_size=batch_size, workers=1)
    np.testing.assert_allclose(load_predictions(found.out).scores, reference, atol=1e-5, rtol=0)


def test_scores_are_those_of_a_plain_loop(workspace: Path, media: list[Path]) -> None:
    from tiny_baseline import PROTOCOL, Tiny

    from mimecurate.baselines.decode import open_video
    from mimecurate.baselines.sampling import view_frames
    from mimecurate.baselines.transforms import crop, normalise, resize

    found = load_predictions(run(workspace).out)
    torch.manual_seed(0)
    model = Tiny(5).eval()
    for row, path in enumerate(media):
        with open_video(path) as video, torch.no_grad():
            frames = video.read(range(video.frames))
            probabilities = [
                model(normalise(part[None], PROTOCOL))[0].softmax(0)
                for places in view_frames(PROTOCOL, video.frames, video.fps)
                for part in crop(resize(frames[torch.from_numpy(places)], PROTOCOL), PROTOCOL)
            ]
        expected = torch.stack(probabilities).mean(0).numpy()
        np.testing.assert_allclose(found.scores[row], expected, atol=1e-6)


@pytest.mark.parametrize("ending", [".npz", ".csv"])
def test_other_formats_have_the_manifest_beside(ending: str, workspace: Path) -> None:
    reference = load_predictions(run(workspace).out)
    result = run(workspace, "p" + ending)
    found = load_predictions(result.out)
    assert found.clip_ids == reference.clip_ids
    assert (found.scores.astype(np.float32) == reference.scores).all()
    beside = json.loads(Path(f"{result.out}.manifest.json").read_text("utf-8"))
    assert beside["model"] == "tiny"
    assert run(workspace, "p" + ending).skipped == 5


def test_what_can_t_be_scored_has_no_row_and_a_reason(media: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(media[0].read_bytes()[:-2000])
    ids = media_workspace(tmp_path / "ws", [media[0], broken, tmp_path / "absent", media[1]])
    result = run(tmp_path / "ws")
    assert load_predictions(result.out).clip_ids == (ids[0], ids[3])
    assert set(result.failed) == {ids[1], ids[2]}
    assert result.failed[ids[1]].startswith("corrupt: ")
    assert result.failed[ids[2]].startswith("unavailable: ")
    assert manifest_of(result.out)["failed"] == result.failed


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    media_workspace(tmp_path / "ws", [tmp_path / "absent"])
    with pytest.raises(MimecurateError, match=r"holds no media of small@1\.0\.0"):
        run(tmp_path / "ws")


def test_clips_of_broken_media_alone_leave_no_file(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 100)
    media_workspace(tmp_path / "ws", [tmp_path / "broken.mp4"])
    with pytest.raises(MimecurateError, match="none of 1 clip could be scored"):
        run(tmp_path / "ws")
    assert not (tmp_path / "ws" / "p.parquet").exists()


def test_memory_does_not_grow_with_clips() -> None:
    from threading import Lock

    from mimecurate.baselines.clip_views import in_order

    lock, waiting, most = Lock(), 0, 0

    def work(item: int) -> int:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        return item * item

    for item, result in in_order(work, range(2000), workers=3):
        with lock:
            waiting -= 1
        assert result == item * item
    assert most <= 2 * 3 + 1


def test_labels_name_the_classes(workspace: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("tai_chi\nbowling\n")
    result = run(workspace, labels=labels)
    assert load_predictions(result.out).class_names == ("tai chi", "bowling")
    for text, words in (("", "is empty"), ("a\na\n", "must differ"), ("a\x1b\n", "holds")):
        labels.write_text(text)
        with pytest.raises(MimecurateError, match=words):
            run(workspace, "other.parquet", labels=labels)


def test_given_weights_are_loaded_and_named(workspace: Path, tmp_path: Path) -> None:
    import hashlib

    from tiny_baseline import Tiny

    torch.manual_seed(0)
    path = tmp_path / "tiny.pth"
    torch.save({"state_dict": Tiny(5).state_dict()}, path)
    reference = load_predictions(run(workspace).out).scores
    result = run(workspace, "loaded.parquet", weights=str(path))
    np.testing.assert_allclose(load_predictions(result.out).scores, reference, atol=1e-7)
    entry = manifest_of(result.out)["weights"]
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry["file"] == "tiny.pth"
    assert "note" not in manifest_of(result.out)


@pytest.mark.gpu
def test_cuda_gives_the_same_scores(workspace: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("gpu: torch finds no CUDA device")
    here = load_predictions(run(workspace, device="cpu").out).scores
    there = load_predictions(run(workspace, "cuda.parquet", device="cuda").out).scores
    np.testing.assert_allclose(there, here, atol=1e-3)

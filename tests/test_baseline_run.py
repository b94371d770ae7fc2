from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from baseline_workspace import media_workspace
from click.testing import CliRunner
from killing import run_and_strike, run_until_done
from testbed import REPOSITORY
from tiny_baseline import NAMES, add_tiny

from mimecurate import baselines
from mimecurate.baselines import cards_rgb, run_model
from mimecurate.baselines.run_journal import JournalFile, JournalRows
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.predictions import load_predictions

if TYPE_CHECKING:
    from testbed import SampleMaker

RELEASE = "small@1.0.0"
TINY = REPOSITORY / "tests" / "tiny_baseline.py"


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards_rgb, "RGB_CARDS", cards_rgb.RGB_CARDS)
    add_tiny()


@pytest.fixture
def media(sample: SampleMaker) -> list[Path]:
    """Clips of other lengths and sizes, one of them shorter than a view."""
    specs = [
        VideoSpec(seconds=2, fps=25),
        VideoSpec(seconds=0.2, fps=25, width=120, height=160),
        VideoSpec(seconds=1, fps=30, variable_rate=True),
        VideoSpec(seconds=1, fps=25, rotation=90),
        VideoSpec(seconds=3, fps=24, width=64, height=48),
    ]
    return [sample(spec).path for spec in specs]


@pytest.fixture
def workspace(media: list[Path], tmp_path: Path) -> Path:
    media_workspace(tmp_path / "ws", media)
    return tmp_path / "ws"


def run(workspace: Path, out: str = "p.parquet", **options: Any) -> run_model.RunResult:
    chosen: dict[str, Any] = {"weights": "random", "batch_size": 4, "workers": 2} | options
    return baselines.run(
        "tiny", release=RELEASE, workspace=workspace, out=workspace / out, **chosen
    )


def command(workspace: Path, *more: str, out: str = "p.parquet") -> list[str | Path]:
    return [
        *(sys.executable, TINY, "baseline", "run", "tiny", "--release", RELEASE),
        *("-w", workspace, "--out", workspace / out, "--weights", "random", "--batch-size", "3"),
        *more,
    ]


def manifest_of(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    found: dict[str, Any] = json.loads(pq.read_schema(path).metadata[b"mimecurate_manifest"])
    return found


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


def test_what_failed_is_tried_again_and_what_was_done_is_not(
    media: list[Path], tmp_path: Path
) -> None:
    later = tmp_path / "later.mp4"
    ids = media_workspace(tmp_path / "ws", [media[0], later])
    assert set(run(tmp_path / "ws").failed) == {ids[1]}
    later.write_bytes(media[2].read_bytes())
    result = run(tmp_path / "ws")
    assert (result.clips, result.skipped, result.failed) == (2, 1, {})
    before = result.out.read_bytes()
    assert run(tmp_path / "ws").skipped == 2
    assert result.out.read_bytes() == before


def test_other_settings_are_refused_and_named(workspace: Path) -> None:
    run(workspace, limit=2)
    with pytest.raises(MimecurateError, match=r"weights was random, seed 0, now random, seed 3"):
        run(workspace, seed=3)
    assert not (workspace / "p.parquet.journal").exists()
    assert run(workspace).skipped == 2  # a limit is no such setting


def test_a_file_of_somebody_else_is_not_replaced(workspace: Path) -> None:
    (workspace / "p.csv").write_text("clip_id,archery\na,1\n")
    with pytest.raises(MimecurateError, match="not from `baseline run`"):
        run(workspace, "p.csv")
    assert (workspace / "p.csv").read_text() == "clip_id,archery\na,1\n"


def test_nothing_to_score_is_an_error(tmp_path: Path) -> None:
    media_workspace(tmp_path / "ws", [tmp_path / "absent"])
    with pytest.raises(MimecurateError, match=r"holds no media of small@1\.0\.0"):
        run(tmp_path / "ws")


def test_clips_of_broken_media_alone_leave_no_file(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"\0" * 100)
    media_workspace(tmp_path / "ws", [tmp_path / "broken.mp4"])
    with pytest.raises(MimecurateError, match="none of 1 clips could be scored"):
        run(tmp_path / "ws")
    assert not (tmp_path / "ws" / "p.parquet").exists()


def test_killed_runs_go_on_and_lose_a_batch_at_most(workspace: Path) -> None:
    rows = workspace / "p.parquet.journal" / "rows-0.bin"
    sizes = [1]

    def grown() -> bool:
        """Strike once another clip is in the journal."""
        size = rows.stat().st_size if rows.exists() else 0
        if size < sizes[-1]:
            return False
        sizes.append(size + 1)
        return True

    os.environ["TINY_WAIT_S"] = "0.3"
    try:
        runs = run_until_done(command(workspace), itertools.repeat(grown, 2), timeout_s=120)
    finally:
        del os.environ["TINY_WAIT_S"]
    assert [r.returncode for r in runs[:-1]] == [-signal.SIGKILL] * (len(runs) - 1)
    assert len(runs) > 1
    assert runs[-1].returncode == 0, runs[-1].stderr
    assert "finished before" in runs[-1].stderr
    reference = load_predictions(run(workspace, "whole.parquet").out)
    found = load_predictions(workspace / "p.parquet")
    assert found.clip_ids == reference.clip_ids
    np.testing.assert_allclose(found.scores, reference.scores, atol=1e-5)
    assert not rows.parent.exists()


def test_ctrl_c_keeps_what_is_finished(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = workspace / "p.parquet.journal"
    rows = journal / "rows-0.bin"
    monkeypatch.setenv("TINY_WAIT_S", "0.3")
    stopped = run_and_strike(
        command(workspace),
        lambda: rows.exists() and rows.stat().st_size > 0,
        signal.SIGINT,
        timeout_s=120,
    )
    assert stopped.returncode == 130
    assert "Traceback" not in stopped.stderr
    assert "what was finished is kept" in stopped.stderr
    finished = JournalRows(journal, len(NAMES)).clip_ids
    assert finished
    assert run(workspace).skipped == len(finished)


def test_a_torn_record_is_cut_off(tmp_path: Path) -> None:
    scores = np.arange(3, dtype=np.float32)
    with JournalFile(tmp_path, 0) as journal:
        journal.add("a", scores)
        journal.add("b", scores + 1)
    path = tmp_path / "rows-0.bin"
    path.write_bytes(path.read_bytes()[:-1])
    assert JournalRows(tmp_path, 3).clip_ids == ["a"]
    with JournalFile(tmp_path, 0) as journal:
        journal.add("b", scores + 2)
        journal.add("c", None, "corrupt: it is")
    rows = JournalRows(tmp_path, 3)
    assert rows.clip_ids == ["a", "b"]
    assert rows.failed == {"c": "corrupt: it is"}
    assert rows.read(0, 2).tolist() == [[0, 1, 2], [2, 3, 4]]


def test_two_processes_of_torchrun_share_the_clips(workspace: Path) -> None:
    torchrun = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
    ]
    once = run_and_strike(
        [*torchrun, *command(workspace, "--device", "cpu", "--json")[1:]],
        timeout_s=200,
    )
    assert once.returncode == 0, once.stderr
    document = json.loads(once.stdout)
    assert document["clips"] == 5
    found = load_predictions(workspace / "p.parquet")
    reference = load_predictions(run(workspace, "whole.parquet").out)
    assert found.clip_ids == reference.clip_ids
    np.testing.assert_allclose(found.scores, reference.scores, atol=1e-5)


def test_a_second_run_on_the_same_output_is_refused(workspace: Path) -> None:
    from filelock import FileLock

    (workspace / "p.parquet.journal").mkdir()
    with (
        FileLock(workspace / "p.parquet.journal" / "lock"),
        pytest.raises(MimecurateError, match="another run writes it"),
    ):
        run(workspace)


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


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(cli, ["baseline", "run", *map(str, arguments)])


def test_the_command_says_in_a_line_what_is_wrong(workspace: Path, tmp_path: Path) -> None:
    given = ["--release", RELEASE, "-w", workspace, "--weights", "random"]
    (tmp_path / "empty").mkdir()
    cases = [
        (["tinny", *given, "--out", "p.parquet"], "did you mean tiny?"),
        (["tiny", *given, "--out", tmp_path / "p.txt"], "ends in .parquet, .npz, .csv"),
        (["tiny", *given, "--out", tmp_path / "no" / "p.csv"], "there is no folder"),
        (["tiny", *given, "--out", tmp_path / "p.csv", "--device", "tpu"], "cpu, cuda or cuda:N"),
        (["tiny", *given, "--out", tmp_path / "p.csv", "--clips", tmp_path / "empty"], "no media"),
        (["tiny", *given[:-1], "no.pth", "--out", tmp_path / "p.csv"], "no.pth: no such file"),
        (["tiny", "--release", "x@1.0.0", *given[2:], "--out", tmp_path / "p.csv"], "no release"),
        (["sipnet", *given, "--out", tmp_path / "p.csv"], "--people"),
        (["i3d_flow", *given, "--out", tmp_path / "p.csv"], "--flow"),
    ]
    for arguments, words in cases:
        done = invoke(*arguments)
        assert done.exit_code == 1, (arguments, done.output)
        assert words in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


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


def test_a_dry_run_counts_and_writes_nothing(workspace: Path) -> None:
    before = sorted(workspace.rglob("*.parquet*"))
    done = invoke(
        *("tiny", "--release", RELEASE, "-w", workspace, "--out", workspace / "p.parquet"),
        *("--dry-run", "--json"),
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["clips"] == 5
    assert sorted(workspace.rglob("*.parquet*")) == before


def test_a_failed_clip_ends_in_status_3(media: list[Path], tmp_path: Path) -> None:
    media_workspace(tmp_path / "ws", [media[0], tmp_path / "absent"])
    done = invoke(
        *("tiny", "--release", RELEASE, "-w", tmp_path / "ws", "--out", tmp_path / "p.parquet"),
        *("--weights", "random", "--batch-size", 2),
    )
    assert done.exit_code == 3, done.output
    assert "unavailable" in done.stderr
    assert "random weights, no accuracy" in done.stderr


@pytest.mark.gpu
def test_cuda_gives_the_same_scores(workspace: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("gpu: torch finds no CUDA device")
    here = load_predictions(run(workspace, device="cpu").out).scores
    there = load_predictions(run(workspace, "cuda.parquet", device="cuda").out).scores
    np.testing.assert_allclose(there, here, atol=1e-3)

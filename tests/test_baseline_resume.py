"""Runs that are stopped, shared, or begun again."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import pytest
from baseline_workspace import media_workspace
from killing import run_and_strike, run_until_done
from tiny_baseline import NAMES, add_tiny
from tiny_runs import command, made_media, manifest_of, run

from mimecurate.baselines import cards_rgb
from mimecurate.baselines.run_journal import JournalFile, JournalRows
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.predictions import load_predictions

if TYPE_CHECKING:
    from pathlib import Path

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
    assert sum(manifest_of(workspace / "p.parquet")["decoded_by"].values()) == 5
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

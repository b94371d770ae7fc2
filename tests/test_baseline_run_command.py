"""What `mimecurate baseline run` says, and its exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import pytest
from baseline_workspace import media_workspace
from click.testing import CliRunner
from tiny_baseline import add_tiny
from tiny_runs import RELEASE, made_media

from mimecurate.baselines import cards_rgb
from mimecurate.commands.root import cli

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

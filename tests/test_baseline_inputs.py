"""Flow, people and real clips as a run's input."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from baseline_workspace import media_workspace
from click.testing import CliRunner
from people_made import made_people
from tiny_baseline import PROTOCOL, add_tiny

import mimecurate
from mimecurate import baselines
from mimecurate.baselines import cards_rgb
from mimecurate.baselines.clip_views import flow_views
from mimecurate.baselines.flow_store import FlowManifest, write_flow
from mimecurate.baselines.people_writer import write_people
from mimecurate.baselines.sampling import view_frames
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError, MimecurateError
from mimecurate.evaluation.predictions import load_predictions

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

RELEASE = "small@1.0.0"
FLOW = replace(PROTOCOL, mean=(127.5, 127.5), std=(1, 1), scale=1, crops=1, views=None, stride=1)
CPU = torch.device("cpu")


def store_flow(folder: Path, clip_id: str, pairs: int = 20) -> np.ndarray[Any, Any]:
    flow = np.random.default_rng(0).uniform(-9, 9, (pairs, 2, 40, 60)).astype(np.float32)
    manifest = FlowManifest(clip_id, "0" * 64, "tvl1", {}, pairs, 60, 40, "0")
    with write_flow(folder, manifest) as writer:
        writer.append(flow)
    return flow


def test_views_of_flow_are_cut_as_those_of_frames(tmp_path: Path) -> None:
    store_flow(tmp_path, "vid_000000_000010")
    found = flow_views(tmp_path, "vid_000000_000010", FLOW, device=CPU, fps=None)
    assert len(found) == len(view_frames(FLOW, 20, 1.0)) == 3
    assert found.view(0).shape == (8, 2, 24, 24)
    with pytest.raises(ClipError, match="there is no flow of this clip"):
        flow_views(tmp_path, "absent", FLOW, device=CPU, fps=None)
    with pytest.raises(ClipError, match="frame rate"):
        flow_views(tmp_path, "vid_000000_000010", replace(FLOW, fps=25), device=CPU, fps=None)


def test_a_flow_model_reads_the_store(
    sample: SampleMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cards_rgb, "RGB_CARDS", cards_rgb.RGB_CARDS)
    card = replace(add_tiny(), name="tiny_flow", modality="flow", protocol=FLOW)
    card = replace(card, settings={"channels": 2})
    cards_rgb.RGB_CARDS = (*cards_rgb.RGB_CARDS, card)
    media = sample(VideoSpec(seconds=1, fps=25)).path
    ids = media_workspace(tmp_path / "ws", [media, media])
    store_flow(tmp_path / "flow", ids[0])
    result = baselines.run(
        "tiny_flow",
        release=RELEASE,
        workspace=tmp_path / "ws",
        out=tmp_path / "p.parquet",
        flow=tmp_path / "flow",
        weights="random",
    )
    assert load_predictions(result.out).clip_ids == (ids[0],)
    assert result.failed[ids[1]].startswith("unavailable: ")


def test_a_model_of_people_reads_a_people_file(tmp_path: Path) -> None:
    ids = media_workspace(tmp_path / "ws", [tmp_path / "absent"] * 3)
    clips = [
        made_people(ids[0], [1, 2] * 20, features=16),
        made_people(ids[1], [0] * 9, features=16),
    ]
    write_people(tmp_path / "people.parquet", clips)
    result = baselines.run(
        "sipnet",
        release=RELEASE,
        workspace=tmp_path / "ws",
        out=tmp_path / "p.parquet",
        people=tmp_path / "people.parquet",
        weights="random",
    )
    found = load_predictions(result.out)
    assert found.clip_ids == (ids[0],)
    assert ((found.scores > 0) & (found.scores <= 1)).all()
    assert result.failed[ids[1]] == "no_person: nobody was found in it"
    assert result.failed[ids[2]].startswith("unavailable: ")


def test_features_that_are_wanted_must_be_there(tmp_path: Path) -> None:
    ids = media_workspace(tmp_path / "ws", [tmp_path / "absent"])
    write_people(tmp_path / "people.parquet", [made_people(ids[0], [1, 1])])
    with pytest.raises(MimecurateError, match="holds no features of people"):
        baselines.run(
            "sipnet",
            release=RELEASE,
            workspace=tmp_path / "ws",
            out=tmp_path / "p.parquet",
            people=tmp_path / "people.parquet",
            weights="random",
        )


@pytest.mark.slow
def test_real_clips_end_in_a_file_that_evaluate_reads(shared: Path, tmp_path: Path) -> None:
    ids = media_workspace(tmp_path / "ws", sorted((shared / "clips").glob("*.mp4")))
    assert len(ids) == 4
    given = ["--release", RELEASE, "-w", str(tmp_path / "ws")]
    out = tmp_path / "rgb.parquet"
    done = CliRunner().invoke(
        cli,
        ["baseline", "run", "r2plus1d_18", *given, "--out", str(out), "--weights", "random"],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert "random weights, no accuracy" in done.stderr
    scores = load_predictions(out).scores
    assert scores.shape == (4, 400)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-4)
    evaluated = CliRunner().invoke(
        cli, ["evaluate", str(out), *given, "--json"], catch_exceptions=False
    )
    assert evaluated.exit_code == 0, evaluated.output
    system = json.loads(evaluated.stdout)["systems"][0]
    assert system["coverage"]["scored"] == 4
    assert system["manifest"]["model"] == "r2plus1d_18"
    assert system["manifest"]["note"] == "random weights, no accuracy"


def test_baselines_are_there_for_notebooks() -> None:
    assert mimecurate.baselines is baselines
    assert baselines.run.__doc__

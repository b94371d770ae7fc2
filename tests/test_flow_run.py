from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import av
import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from filelock import FileLock
from killing import run_until_done
from release_lists import CLIPS, release

from mimecurate.baselines.decode import open_video
from mimecurate.baselines.flow_clip import flow_of, grey, shrink, shrunk_size
from mimecurate.baselines.flow_run import FlowSettings, run_flow
from mimecurate.baselines.flow_store import quantise, read_flow, read_flow_manifest
from mimecurate.baselines.raft import build_raft, raft_flow
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError, WorkspaceBusyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed import SampleMaker

SPEC = VideoSpec(seconds=0.4, fps=10, width=64, height=48)
SETTINGS = FlowSettings(short_side=16, threads=1)


@pytest.fixture
def clips(sample: SampleMaker, tmp_path: Path) -> dict[str, Path | None]:
    """Three files: two videos and one that is cut off; and a clip without a file."""
    data = sample(SPEC).path.read_bytes()
    folder = tmp_path / "clips"
    folder.mkdir()
    paths = [folder / f"{clip.clip_id}.mp4" for clip in CLIPS[:3]]
    for path in paths[:2]:
        path.write_bytes(data)
    paths[2].write_bytes(data[: len(data) // 2])
    return {clip.clip_id: path for clip, path in zip(CLIPS, [*paths, None], strict=True)}


def test_flow_is_computed_once_and_again_for_a_changed_clip(
    clips: dict[str, Path | None], sample: SampleMaker, tmp_path: Path
) -> None:
    first, second, broken, absent = clips
    store = tmp_path / "flow"
    report = run_flow(clips, store, SETTINGS)
    assert (report.computed, report.present) == (2, 0)
    assert set(report.failed) == {broken, absent}
    assert report.by_reason == {"corrupt": 1, "unavailable": 1}
    assert json.loads((store / "failed.json").read_text("utf-8")) == report.failed
    path = clips[first]
    assert path is not None
    with open_video(path) as video:
        expected = torch.cat(list(flow_of(video, SETTINGS))).numpy()
    assert expected.shape == (3, 2, 16, 21)
    assert np.array_equal(read_flow(store, first), quantise(expected))

    path.write_bytes(sample(VideoSpec(seconds=0.3, fps=10, width=64, height=48)).path.read_bytes())
    done: dict[str, str] = {}
    report = run_flow(clips, store, SETTINGS, on_result=done.__setitem__)
    assert (report.computed, report.present, len(report.failed)) == (1, 1, 2)
    assert done == {first: "computed", second: "present", broken: "failed", absent: "failed"}
    assert read_flow_manifest(store, first).pairs == 2


def test_a_store_of_other_settings_or_in_use_is_refused(
    clips: dict[str, Path | None], tmp_path: Path
) -> None:
    store = tmp_path / "flow"
    run_flow({}, store, SETTINGS)
    with pytest.raises(MimecurateError, match='"short_side": 16'):
        run_flow(clips, store, FlowSettings(short_side=32))
    with FileLock(store / ".lock"), pytest.raises(WorkspaceBusyError, match="another run"):
        run_flow(clips, store, SETTINGS)


def test_failures_of_other_clips_are_kept(tmp_path: Path) -> None:
    run_flow({"a": None}, tmp_path, SETTINGS)
    run_flow({"b": None}, tmp_path, SETTINGS)
    assert set(json.loads((tmp_path / "failed.json").read_text("utf-8"))) == {"a", "b"}


def test_a_clip_of_one_frame_has_no_flow(tmp_path: Path) -> None:
    path = tmp_path / "one.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))
    report = run_flow({"one": path}, tmp_path / "flow", SETTINGS)
    assert report.failed["one"]["reason"] == "unsupported"
    assert "one frame" in report.failed["one"]["message"]


@pytest.mark.parametrize("size", [(48, 64), (64, 48), (1, 999), (17, 17)])
def test_the_shorter_side_is_as_told(size: tuple[int, int]) -> None:
    assert min(shrunk_size(*size, 16)) == 16


def test_frames_become_grey_as_in_opencv() -> None:
    import cv2

    frames = torch.randint(256, (2, 3, 40, 50), dtype=torch.uint8)
    found = grey(frames).numpy()
    for ours, frame in zip(found, frames, strict=True):
        theirs = cv2.cvtColor(frame.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
        assert np.abs(ours.astype(int) - theirs).max() <= 1
    assert shrink(frames, 40) is frames
    assert shrink(frames, 20).shape == (2, 3, 20, 25)


def test_raft_takes_any_size_and_pairs_do_not_meet() -> None:
    torch.set_num_threads(1)
    model = build_raft("raft_small", "random")
    frames = torch.randint(256, (3, 3, 50, 131), dtype=torch.uint8)
    flow = raft_flow(model, frames[:-1], frames[1:])
    assert flow.shape == (2, 2, 50, 131)
    assert torch.isfinite(flow).all()
    assert torch.allclose(raft_flow(model, frames[1:2], frames[2:])[0], flow[1], atol=1e-3)
    assert raft_flow(model, frames[:0], frames[:0]).shape == (0, 2, 50, 131)
    with pytest.raises(ValueError, match="both must be"):
        raft_flow(model, frames[0], frames[1])


def test_raft_loads_a_file_and_refuses_another(tmp_path: Path) -> None:
    model = build_raft("raft_small", "random")
    state = {name: value + 1 for name, value in model.state_dict().items()}
    torch.save(state, tmp_path / "raft.pth")
    loaded = build_raft("raft_small", str(tmp_path / "raft.pth")).state_dict()
    assert all(torch.equal(loaded[name], state[name]) for name in state)
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(MimecurateError, match=r"other\.pth"):
        build_raft("raft_small", str(tmp_path / "other.pth"))


@pytest.fixture
def flow_command(clips: dict[str, Path | None], tmp_path: Path) -> Callable[..., list[str]]:
    """The command line over the release of these clips."""
    with open_workspace(tmp_path / "ws") as space:
        release(space.db, "small@1.0.0")

    def line(*options: str) -> list[str]:
        where = ["-w", str(tmp_path / "ws"), "--clips", str(tmp_path / "clips")]
        store = ["--out", str(tmp_path / "flow"), "--short-side", "16", "--workers", "1"]
        return ["baseline", "flow", "--release", "small@1.0.0", *where, *store, *options]

    return line


def test_the_command_reports_and_shows(
    flow_command: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    dry = CliRunner().invoke(cli, flow_command("--dry-run", "--json"))
    assert json.loads(dry.stdout) == {"clips": 4, "present": 0, "without_media": 1}
    assert not (tmp_path / "flow").exists()
    done = CliRunner().invoke(cli, flow_command("--json"))
    assert done.exit_code == 3, done.output
    document = json.loads(done.stdout)
    assert (document["computed"], document["failed"]) == (2, 2)
    shown = CliRunner().invoke(
        cli, ["baseline", "flow", "--out", "flow", f"--show={CLIPS[0].clip_id}"]
    )
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / f"{CLIPS[0].clip_id}.png").stat().st_size > 100


def test_without_a_release_all_clips_of_a_folder(
    clips: dict[str, Path | None], tmp_path: Path
) -> None:
    command = ["baseline", "flow", "--out", str(tmp_path / "flow"), "--dry-run", "--json"]
    dry = CliRunner().invoke(cli, [*command, "--clips", str(tmp_path / "clips")])
    held = sum(path is not None for path in clips.values())
    assert json.loads(dry.stdout) == {"clips": held, "present": 0, "without_media": 0}
    for more, words in (([], "--clips DIR"), (["--clips", str(tmp_path), "--split", "a"], "--spl")):
        wrong = CliRunner().invoke(cli, [*command, *more])
        assert (wrong.exit_code, words in wrong.output) == (2, True)


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        (["--weights", "random"], 2, "--weights is for RAFT"),
        (["--method", "opencv", "--device", "cuda"], 2, "runs on the CPU alone"),
        (["--method", "opencv", "--compile"], 2, "--compile is for"),
        (["--method", "raft_small", "--weights", "no.pth"], 1, "no.pth: no such file"),
        (["--device", "fpga9"], 1, "--device 'fpga9': cpu, cuda or cuda:N"),
        (["--split", "train"], 1, "has no clips"),
        (["--show", "nothing"], 1, "no flow of this clip"),
        (["--show", "../x"], 1, "name of a file"),
    ],
)
def test_wrong_use_is_one_line(
    flow_command: Callable[..., list[str]], options: list[str], status: int, words: str
) -> None:
    done: Any = CliRunner().invoke(cli, flow_command(*options))
    assert (done.exit_code, words in done.output) == (status, True), done.output
    assert "Traceback" not in done.output


def test_killed_at_any_moment_it_goes_on_and_ends_as_a_whole_run(
    flow_command: Callable[..., list[str]], clips: dict[str, Path | None], tmp_path: Path
) -> None:
    whole = tmp_path / "whole"
    run_flow(clips, whole, SETTINGS)
    store = tmp_path / "flow"
    ids = list(clips)[:2]

    def is_writing() -> bool:
        return any((store / ".unfinished").glob("*.mkv"))

    def has_one() -> bool:
        return any(store.glob("*/*.mkv"))

    command = [sys.executable, "-m", "mimecurate", *flow_command()]
    runs = run_until_done(command, [is_writing, has_one], timeout_s=120)
    assert runs[-1].returncode == 3
    for clip_id in ids:
        assert np.array_equal(read_flow(store, clip_id), read_flow(whole, clip_id))
    assert not is_writing()

"""Media, weights, journals and options that mean harm: a line each, and the run goes on."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from baseline_workspace import media_workspace
from click.testing import CliRunner
from killing import small_disk
from people_made import made_people
from tiny_baseline import PROTOCOL, add_tiny
from tiny_runs import RELEASE, manifest_of, run

from mimecurate.baselines import cards_rgb, clip_views, pose_scores
from mimecurate.baselines.checkpoints import load_checkpoint, read_checkpoint
from mimecurate.baselines.clip_trouble import check_resized
from mimecurate.baselines.clip_views import in_order
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.devices import find_device
from mimecurate.baselines.flow_clip import compute_clip
from mimecurate.baselines.flow_run import FlowJob, FlowSettings
from mimecurate.baselines.flow_store import FlowManifest, write_flow
from mimecurate.baselines.keypoint_rcnn import Detector, detect_people
from mimecurate.baselines.people_checks import people_problems
from mimecurate.baselines.registry import find_card
from mimecurate.baselines.run_journal import JournalFile, JournalRows
from mimecurate.baselines.view_scores import score_views
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards_rgb, "RGB_CARDS", cards_rgb.RGB_CARDS)
    add_tiny()


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    """A sound video of 3000 x 2 pixels."""
    path = tmp_path / "narrow.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 3000, 2, "gray"
        for level in range(20):
            picture = np.full((2, 3000), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def workspace(sample: SampleMaker, narrow: Path, tmp_path: Path) -> Path:
    media_workspace(tmp_path / "ws", [sample(VideoSpec(seconds=1, fps=25)).path, narrow])
    return tmp_path / "ws"


def test_a_narrow_clip_ends_no_run(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.baselines.clip_trouble.MAX_PIXELS", 28 * 9000)
    result = run(workspace)
    assert result.clips == 1
    (words,) = result.failed.values()
    assert "unsupported" in words
    assert "frames of 3000x2 pixels would become 42000x28" in words


def test_frames_that_were_large_before_may_stay_so() -> None:
    check_resized("a", (9000, 9000), (9000, 9000))
    for size in ((112, 168_000), (0, 800)):
        with pytest.raises(ClipError, match="would become") as caught:
            check_resized("a", (2, 3000), size)
        assert caught.value.reason is Reason.UNSUPPORTED


def test_narrow_clips_have_no_people_and_no_flow(narrow: Path, tmp_path: Path) -> None:
    detector = Detector(None, short_side=32)
    with open_video(narrow) as video, pytest.raises(ClipError, match="would become 53x0"):
        detect_people(detector, video, "narrow")
    job = FlowJob("narrow", narrow)
    with pytest.raises(ClipError, match="would become 384000x256"):
        compute_clip(job, folder=tmp_path / "flow", settings=FlowSettings())


def test_a_clip_s_own_trouble_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def work(item: int) -> int:
        if item == 1:
            raise RuntimeError("size 0 is too small\nfar below")
        if item == 2:
            raise MemoryError
        return item

    found = [result for _, result in in_order(work, range(4), workers=1)]
    assert (found[0], found[3]) == (0, 3)
    assert [str(error) for error in found[1:3]] == [
        "it can't be prepared: size 0 is too small",
        "it can't be prepared: there is too little memory",
    ]
    people = made_people("a", [5])
    card = find_card("stgcn_2d")

    def too_large(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(pose_scores, "sequences", too_large)
    model = type("Model", (), {"channels": 3, "width": 8})()
    monkeypatch.setattr(pose_scores, "protocol_of", lambda *_: card.pose)
    with pytest.raises(ClipError, match="people of a: there is too little memory"):
        pose_scores.score_people(model, people, card)


def test_a_batch_that_does_not_fit_is_the_run_s_trouble() -> None:
    views = clip_views.ClipViews(
        torch.zeros(1, 8, 3, 24, 24, dtype=torch.uint8), torch.zeros(4, 8).long()
    )

    class Large(torch.nn.Module):
        def forward(self, views: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    scored = score_views([("a", views)], Large(), PROTOCOL, device=CPU, batch_size=4)
    with pytest.raises(MimecurateError, match="4 at once: give --batch-size 2") as caught:
        list(scored)
    assert not isinstance(caught.value, ClipError)


@pytest.mark.parametrize("out", ["/proc/x.parquet", "/sys/x.parquet", "p.parquet"])
def test_a_journal_that_can_t_be_kept_is_said(out: str, workspace: Path) -> None:
    (workspace / "p.parquet.journal").write_text("a file")
    with pytest.raises(MimecurateError, match="what is finished can't be kept there"):
        run(workspace, out)


@pytest.mark.parametrize("command", ["run", "train", "people detect"])
def test_seeds_have_a_bound(command: str) -> None:
    result = CliRunner().invoke(cli, ["baseline", *command.split(), "--seed", "9" * 23])
    assert result.exit_code == 2
    assert "is not in the range" in result.stderr


@pytest.mark.parametrize("name", ["", "cpu:99", "cpu:1", "meta", "cuda:-1"])
def test_devices_that_are_none(name: str) -> None:
    with pytest.raises(MimecurateError, match=r"--device '.*': cpu, cuda or cuda:N"):
        find_device(name)


def test_records_that_are_not_ours_are_cut_off(tmp_path: Path) -> None:
    with JournalFile(tmp_path, 0) as journal:
        journal.add("good", np.ones(2, np.float32))
    path = tmp_path / "rows-0.bin"
    sound = path.read_bytes()
    for body, name_bytes in ((b"\xff\xfebad", 2), (b"ab", 200)):
        head = struct.pack("<4sIIHH", b"mcj1", len(body), zlib.crc32(body), name_bytes, 3)
        path.write_bytes(sound + head + body)
        assert JournalRows(tmp_path, 2).clip_ids == ["good"]
        with JournalFile(tmp_path, 0):
            pass
        assert path.read_bytes() == sound


def test_a_full_disk_is_one_line() -> None:
    def fill(folder: Path) -> None:
        with JournalFile(folder, 0) as journal:
            for number in range(99):
                journal.add(str(number), np.zeros(4000, np.float32))

    with (
        small_disk(1 << 16) as folder,
        pytest.raises(MimecurateError, match=r"rows-0\.bin: No space left"),
    ):
        fill(folder)


def test_weights_without_values_and_with_lines_in_names(tmp_path: Path) -> None:
    model = torch.nn.Linear(2, 2)
    meta = {**model.state_dict(), "bias": torch.empty(2, device="meta")}
    torch.save(meta, tmp_path / "meta.pth")
    with pytest.raises(MimecurateError, match="bias") as caught:
        load_checkpoint(model, tmp_path / "meta.pth")
    assert "no real numbers" in str(caught.value)
    torch.save({**model.state_dict(), "x\n<b>": torch.zeros(1)}, tmp_path / "lines.pth")
    with pytest.raises(MimecurateError, match=r"x\\n<b>") as caught:
        load_checkpoint(model, tmp_path / "lines.pth")
    assert "\n" not in str(caught.value)


def test_an_archive_far_larger_inside_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(64 << 20))
        archive.writestr("archive/version", "3")
    with pytest.raises(MimecurateError, match="bytes that would become 67,108,865"):
        read_checkpoint(path)


def test_weights_are_read_once(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_baseline import Tiny

    path = workspace / "tiny.pth"
    torch.save(Tiny().state_dict(), path)
    load, times = torch.load, []

    def counting(*given: Any, **options: Any) -> Any:
        times.append(given)
        return load(*given, **options)

    monkeypatch.setattr(torch, "load", counting)
    assert run(workspace, weights=str(path)).clips == 1 or times
    assert len(times) == 1


def test_a_checkpoint_that_says_it_is_a_training_and_is_none(workspace: Path) -> None:
    path = workspace / "half.pt"
    torch.save({"format": "mimecurate training 1", "model": "tiny"}, path)
    with pytest.raises(MimecurateError, match="a broken checkpoint of a training"):
        run(workspace, weights=str(path))


def test_joints_far_from_any_picture_are_wrong() -> None:
    people = made_people("a", [5])
    people.joints[2, 3, 0] = 1e38
    (problem,) = people_problems(people)
    assert str(problem) == "row 3: joint is over 1,000,000 pixels or metres away"


def test_what_a_killed_run_left_is_written_over(workspace: Path) -> None:
    left = workspace / ".p.parquet.part"
    left.write_bytes(b"half")
    run(workspace)
    assert sorted(p.name for p in workspace.glob("*p.parquet*")) == ["p.parquet"]
    assert not left.exists()
    assert manifest_of(workspace / "p.parquet")["clips"] >= 1


def store(folder: Path, clip_id: str, method: str) -> None:
    manifest = FlowManifest(clip_id, "0" * 64, method, {"short_side": 40}, 20, 60, 40, "0")
    with write_flow(folder, manifest) as writer:
        writer.append(np.zeros((20, 2, 40, 60), np.float32))


def test_flow_computed_otherwise_is_refused(workspace: Path) -> None:
    from dataclasses import replace

    from mimecurate import baselines
    from mimecurate.curation.release_read import load_release

    flow = replace(PROTOCOL, mean=(127.5, 127.5), std=(1, 1), scale=1, crops=1, views=1, stride=1)
    card = replace(add_tiny(), name="tiny_flow", modality="flow", protocol=flow)
    cards_rgb.RGB_CARDS = (*cards_rgb.RGB_CARDS, replace(card, settings={"channels": 2}))
    first, second = sorted(clip.clip_id for clip in load_release(RELEASE, workspace).clips)
    given: dict[str, Any] = {"release": RELEASE, "workspace": workspace, "weights": "random"}
    given |= {"flow": workspace / "flow", "out": workspace / "f.parquet", "batch_size": 1}
    with pytest.raises(MimecurateError, match="holds no flow of any of the clips"):
        baselines.run("tiny_flow", **given)
    store(workspace / "flow", first, "tvl1")
    store(workspace / "flow", second, "raft_small")
    result = baselines.run("tiny_flow", **given)
    assert result.manifest["settings"]["flow"] == "tvl1, short_side 40"
    assert "is of raft_small, short_side 40, not of tvl1" in result.failed[second]
    store(workspace / "flow", first, "raft_small")
    with pytest.raises(MimecurateError, match="flow was tvl1, short_side 40, now raft_small"):
        baselines.run("tiny_flow", **given)


def test_rates_of_times_in_milliseconds_are_the_container_s(tmp_path: Path) -> None:
    for rate in (Fraction(30), Fraction(30_000, 1001), Fraction(24)):
        path = tmp_path / f"{float(rate):.0f}-{rate.denominator}.mkv"
        with av.open(path, "w") as container:
            stream = container.add_stream("ffv1", rate=rate)
            stream.width, stream.height, stream.pix_fmt = 16, 16, "gray"
            for _ in range(31):
                picture = np.zeros((16, 16), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "gray")))
            container.mux(stream.encode(None))
        with open_video(path, decoder="pyav") as video:
            assert video.fps == float(rate)


def test_a_name_is_one_line_wherever_it_is_told(tmp_path: Path) -> None:
    name = "a\n<b>\x1b[31m"
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(6):
        (folder / f"{name}{number}.json").write_text("{")
    out = os.fspath(tmp_path / "p.parquet")
    given = ["import", os.fspath(folder), "--format", "kinetics-skeleton", "--out", out]
    result = CliRunner().invoke(cli, ["baseline", "people", *given])
    assert result.exit_code == 1
    assert "\x1b" not in result.stderr
    lines = result.stderr.splitlines()
    assert sum(r"a\n<b>\x1b[31m" in line for line in lines) == 6, result.stderr
    sized = CliRunner().invoke(cli, ["baseline", "people", *given, "--size", "0x0"])
    assert sized.exit_code == 2
    assert "WIDTHxHEIGHT" in sized.stderr

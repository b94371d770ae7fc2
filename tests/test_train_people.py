from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from testbed import need

try:
    import torch
except ImportError:
    need("torch", False, "pip install 'mimecurate[baselines]'")

from baseline_workspace import media_workspace
from click.testing import CliRunner
from synthetic_skeletons import MOTIONS, skeletons
from training import Heard

from mimecurate import baselines
from mimecurate.baselines.people_writer import write_people
from mimecurate.baselines.pose_inputs import sequences
from mimecurate.baselines.registry import find_card
from mimecurate.baselines.train import fit
from mimecurate.baselines.train_poses import PeopleClips, random_move, random_stretch
from mimecurate.baselines.train_state import TrainedModel, TrainSettings
from mimecurate.commands.root import cli
from mimecurate.errors import ClipError

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.baselines.people import People
    from mimecurate.baselines.train import Trained

pytestmark = pytest.mark.usefixtures("one_thread")

RELEASE = "small@1.0.0"
Task = tuple[dict[str, "People"], dict[str, str]]


def learn(
    name: str, train: Task, val: Task, out: Path, settings: TrainSettings, **built: Any
) -> Trained:
    """Train on one group of subjects, and measure on others.

    Joints are tested on 64 frames and trained on half, as they are on 300 and 150, at the rate
    that they have: at the card's 30 frames per second, each would be read three times.
    """
    card = find_card(name)
    assert card.pose is not None
    if card.pose.layout:
        card = replace(card, pose=replace(card.pose, frames=64, persons=1, fps=None))
    torch.manual_seed(0)
    model = baselines.build(name, num_classes=len(MOTIONS), **built)
    clips = [
        PeopleClips(
            list(people),
            people,
            [MOTIONS.index(motions[c]) for c in people],
            card,
            model,
            augment=settings.augment,
        )
        for people, motions in (train, val)
    ]
    trained = TrainedModel(name, built, MOTIONS)
    return fit(model, clips[0], clips[1], settings, trained, out, watcher=Heard())


def test_sipnet_learns_motions_from_features(tmp_path: Path) -> None:
    train = skeletons(range(12), clips=3, features=96)
    val = skeletons(range(100, 104), clips=3, features=96)
    settings = TrainSettings(epochs=6, batch_size=8, lr=0.005, drops=(0.6, 0.9))

    ended = learn("sipnet", train, val, tmp_path, settings, features=96, frames=20)

    assert ended.state.history[-1]["val_top1"] > 95
    assert ended.state.left_out == {}


def test_motions_can_be_told_by_movement_alone() -> None:
    people, motions = skeletons(range(2), clips=1)

    assert sorted(set(motions.values())) == list(MOTIONS)
    for clip in people.values():
        assert clip.joints.shape == (len(clip.frame), 17, 2)
        assert 0 < (clip.joint_scores == 0).mean() < 0.1
        assert len(set(clip.frame.tolist())) <= clip.frames
    again, _ = skeletons(range(2), clips=1)
    assert all(np.array_equal(people[c].joints, again[c].joints) for c in people)


@pytest.fixture(scope="module")
def few() -> Task:
    return skeletons(range(2), clips=1)


def stgcn() -> torch.nn.Module:
    return baselines.build("stgcn_2d", num_classes=len(MOTIONS))


def clips_of(task: Task, *, augment: bool = True) -> PeopleClips:
    people, motions = task
    labels = [MOTIONS.index(motions[clip_id]) for clip_id in people]
    card = find_card("stgcn_2d")
    return PeopleClips(list(people), people, labels, card, stgcn(), augment=augment)


def test_draw_is_half_of_what_is_tested(few: Task) -> None:
    clips = clips_of(few)

    sample = clips.draw(0, np.random.default_rng(1))

    assert sample.shape == (3, 150, 18, 2)
    assert sample.dtype == torch.float32
    assert torch.equal(sample, clips.draw(0, np.random.default_rng(1)))
    assert not torch.equal(sample, clips.draw(0, np.random.default_rng(2)))


def test_without_augmentation_joints_stay_where_they_are(few: Task) -> None:
    moved, still = clips_of(few), clips_of(few, augment=False)
    people = next(iter(few[0].values()))
    card = find_card("stgcn_2d")
    assert card.pose is not None
    (whole,) = sequences(people, card.pose, 3)

    sample = still.draw(0, np.random.default_rng(1)).numpy()
    begins = [start for start in range(120) if np.array_equal(whole[:, start], sample[:, 0])]

    assert begins
    assert not torch.equal(moved.draw(0, np.random.default_rng(1)), torch.from_numpy(sample))


@pytest.mark.parametrize("length", [1, 30, 120, 200, 299, 300, 400])
def test_as_much_is_zeros_as_in_testing(length: int) -> None:
    card = find_card("stgcn_2d")
    assert card.pose is not None
    sequence = np.ones((3, length, 1, 1), np.float32)
    rng = np.random.default_rng(0)

    shares = [random_stretch(sequence, card.pose, rng)[0].mean() for _ in range(400)]

    assert min(shares) > 0
    assert np.mean(shares) >= min(1, length / 300) - 0.03
    if length <= 150:
        assert np.mean(shares) == pytest.approx((length + 1) / 300, abs=0.03)
    assert {random_stretch(sequence, card.pose, rng).shape for _ in range(9)} == {(3, 150, 1, 1)}


def test_nobody_is_a_clip_error(few: Task) -> None:
    people, motions = few
    first = next(iter(people))
    none = {name: getattr(people[first], name)[:0] for name in ("frame", "boxes", "scores")}
    none |= {name: getattr(people[first], name)[:0] for name in ("joints", "joint_scores")}
    clips = clips_of(({first: replace(people[first], **none)}, motions))

    with pytest.raises(ClipError, match="no person was found"):
        clips.draw(0, np.random.default_rng(0))
    (scored,) = clips.scores(stgcn(), [0], torch.device("cpu"), 0)
    assert scored.scores is None
    assert scored.why == "no person was found in it"


def test_move_is_a_slow_turn_scale_and_shift() -> None:
    joints = np.zeros((3, 50, 2, 1), np.float32)
    joints[0, :, 1] = 1.0
    joints[2] = 0.7

    for seed in range(20):
        moved = random_move(joints, np.random.default_rng(seed))
        bone = moved[:2, :, 1, 0] - moved[:2, :, 0, 0]
        length, angle = np.hypot(*bone), np.rad2deg(np.arctan2(bone[1], bone[0]))
        assert np.array_equal(moved[2], joints[2])
        assert 0.9 - 1e-5 <= length.min() <= length.max() <= 1.1 + 1e-5
        assert np.abs(angle).max() <= 10.001
        assert np.abs(moved[:2, :, 0]).max() <= 0.2 + 1e-6
        for line in (length, moved[0, :, 0, 0]):
            assert np.abs(np.diff(line, 2)).max() < 1e-5


@pytest.fixture(scope="module")
def people_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A file of people with features, and a list of its clips in two splits."""
    folder = tmp_path_factory.mktemp("people")
    people, motions = skeletons(range(2), clips=2, features=16)
    write_people(folder / "people.parquet", people.values())
    split = {clip_id: "train" if "subject00" in clip_id else "val" for clip_id in people}
    rows = [f"{c},{motions[c].replace(' ', '_')},{split[c]}" for c in people]
    (folder / "list.csv").write_text("\n".join(["clip_id,label,split", *rows]) + "\n")
    return folder / "people.parquet", folder / "list.csv"


def run_train(people_file: tuple[Path, Path], out: Path, *more: str) -> tuple[int, str, str]:
    people, clips = people_file
    arguments = [
        "baseline",
        "train",
        "sipnet",
        "--train",
        f"{clips}:train",
        "--val",
        f"{clips}:val",
    ]
    arguments += ["--people", str(people), "--out", str(out), "--workers", "0", *more]
    result = CliRunner().invoke(cli, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return 1, result.stdout, str(result.exception)
    return result.exit_code, result.stdout, result.stderr


def test_command_trains_and_says_so(people_file: tuple[Path, Path], tmp_path: Path) -> None:
    status, stdout, stderr = run_train(people_file, tmp_path, "--epochs", "2", "--json")

    assert status == 0, stderr
    told = json.loads(stdout)
    assert told["classes"] == list(MOTIONS)
    assert (told["train"]["clips"], told["val"]["clips"], told["steps"]) == (10, 10, 2)
    assert [line["epoch"] for line in told["history"]] == [1, 2]
    assert (tmp_path / "left-out.csv").read_text() == "clip_id,why\n"
    document = torch.load(tmp_path / "best.pt", weights_only=True)
    assert document["class_names"] == list(MOTIONS)
    assert document["model_settings"] == {"features": 16}
    model = baselines.build("sipnet", num_classes=5, **document["model_settings"])
    baselines.load_checkpoint(model, tmp_path / "best.pt")


def test_command_goes_on_or_has_nothing_to_do(
    people_file: tuple[Path, Path], tmp_path: Path
) -> None:
    run_train(people_file, tmp_path, "--epochs", "2")

    _, _, again = run_train(people_file, tmp_path, "--epochs", "2")
    status, _, other = run_train(people_file, tmp_path, "--epochs", "3")

    assert "nothing was left to do" in again
    assert status == 1
    assert "epochs 2, now 3" in other


def test_dry_run_shows_the_plan(people_file: tuple[Path, Path], tmp_path: Path) -> None:
    status, stdout, stderr = run_train(people_file, tmp_path / "out", "--dry-run")

    assert status == 0
    assert "jumping jacks" in stdout
    assert "30 epochs of 1 step, batches of 64; lr 0.005 from epoch 1, 0.0005 from" in stderr
    assert "5 classes; clips per class: 2 to 2, median 2" in stderr
    assert not (tmp_path / "out").exists()


def test_clips_without_people_are_told(people_file: tuple[Path, Path], tmp_path: Path) -> None:
    people, clips = people_file
    more = tmp_path / "more.csv"
    more.write_text(clips.read_text() + "stranger,waving,train\nstranger2,waving,val\n")

    status, stdout, stderr = run_train((people, more), tmp_path, "--epochs", "1", "--json")

    assert status == 3
    why = "unavailable: not in the file of people"
    assert json.loads(stdout)["left_out"] == {"stranger": why, "stranger2": why}
    assert "2 clips not there, e.g. stranger: unavailable" in stderr
    assert json.loads(stdout)["val"]["clips"] == 11
    assert f"stranger,{why}" in (tmp_path / "left-out.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sipnet"], "sipnet reads people; make a file of them"),
        (["sipnett"], "did you mean sipnet?"),
        (["i3d_flow"], "can't be trained on yet"),
        (["r3d_18", "--weights", "random"], "there is no such folder; give --clips DIR"),
    ],
)
def test_what_is_missing_is_said(
    people_file: tuple[Path, Path], tmp_path: Path, arguments: list[str], message: str
) -> None:
    clips = str(people_file[1])
    lists = ["--train", f"{clips}:train", "--val", f"{clips}:val", "-w", str(tmp_path)]

    result = CliRunner().invoke(cli, ["baseline", "train", *arguments, *lists])

    assert result.exit_code == 1
    assert message in (result.stderr or str(result.exception))


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.stderr}{result.exception}"
    return result.stdout


def test_what_was_trained_runs_and_is_evaluated(tmp_path: Path) -> None:
    learned, motions = skeletons(range(8), clips=2, features=32)
    seen, _ = skeletons(range(100, 102), clips=1, features=32)
    workspace, out, people = tmp_path / "ws", tmp_path / "trained", tmp_path / "people.parquet"
    ids = media_workspace(workspace, [tmp_path / "absent"] * len(seen), labels=MOTIONS)
    named = [replace(clip, clip_id=ids[at]) for at, clip in enumerate(seen.values())]
    write_people(people, [*learned.values(), *named])
    rows = [f"{clip_id},{motion}" for clip_id, motion in motions.items()]
    (tmp_path / "train.csv").write_text("\n".join(["clip_id,label", *rows]) + "\n")
    common = ["--people", people, "-w", workspace]

    told = invoke(
        *["baseline", "train", "sipnet", "--train", tmp_path / "train.csv", "--val", RELEASE],
        *["--out", out, "--epochs", 3, "--batch-size", 8, "--workers", 0, "--json", *common],
    )
    invoke(
        *["baseline", "run", "sipnet", "--weights", out / "best.pt", "--release", RELEASE],
        *["--out", tmp_path / "predictions.parquet", *common],
    )
    found = invoke(
        *["evaluate", tmp_path / "predictions.parquet", "--release", RELEASE],
        *["--resamples", 0, "--json", "-w", workspace],
    )

    best = json.loads(told)["best"]["val_top1"]
    assert best > 50
    (system,) = json.loads(found)["systems"]
    assert system["coverage"]["scored"] == len(ids)
    assert system["overall"]["top1"] == pytest.approx(best)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "lr", "batch_size"), [("stgcn_2d", 0.01, 8), ("stgcn_3d", 0.03, 16)]
)
def test_stgcn_learns_motions(tmp_path: Path, name: str, lr: float, batch_size: int) -> None:
    dimensions = 2 if name == "stgcn_2d" else 3
    train = skeletons(range(16), clips=2, frames=64, dimensions=dimensions)
    val = skeletons(range(100, 105), clips=2, frames=64, dimensions=dimensions)
    settings = TrainSettings(
        epochs=7, batch_size=batch_size, lr=lr, nesterov=True, drops=(0.7,), augment=False
    )

    ended = learn(name, train, val, tmp_path, settings)

    assert ended.state.history[-1]["val_top1"] > 95

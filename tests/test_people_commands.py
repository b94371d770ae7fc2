from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

from click.testing import CliRunner
from people_made import made_people
from PIL import Image
from testbed import need

from mimecurate.baselines.people_file import PeopleFile
from mimecurate.baselines.people_writer import write_people
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result
    from testbed import SampleMaker


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["baseline", "people", *map(str, arguments)])


def test_imports_what_can_be_read_and_records_the_rest(tmp_path: Path) -> None:
    pose = [v for j in range(18) for v in (100 + j, 50 + j, 0.5)]
    for clip, people in (("good", [{"pose_keypoints_2d": pose}]), ("bad", [{}])):
        (tmp_path / "in" / clip).mkdir(parents=True)
        (tmp_path / "in" / clip / "x_000000000000_keypoints.json").write_text(
            json.dumps({"people": people})
        )
    out = tmp_path / "p.parquet"
    given = ("import", tmp_path / "in", "--format", "openpose", "--out", out)
    assert run(*given).exit_code == 2  # the frames' size isn't in the files
    result = run(*given, "--size", "340x256", "--json")
    assert result.exit_code == 3
    document = json.loads(result.stdout)
    assert document["clips"] == 1
    assert list(document["failed"]) == ["bad"]
    with PeopleFile(out) as people_file:
        assert list(people_file) == ["good"]
        assert [failure[:2] for failure in people_file.failures] == [("bad", "corrupt")]


def test_a_failed_clip_is_named_once(tmp_path: Path) -> None:
    for clip in ("good", "bad"):
        (tmp_path / "in" / clip).mkdir(parents=True)
        people: list[dict[str, int]] = [{}] if clip == "bad" else []
        (tmp_path / "in" / clip / "x_0_keypoints.json").write_text(json.dumps({"people": people}))
    out = tmp_path / "p.parquet"
    given = ("import", tmp_path / "in", "--format", "openpose", "--size", "340x256", "--out", out)
    words = "bad: x_0_keypoints.json: pose_keypoints_2d holds 0 numbers"
    for shown in (run(*given), run("show", out)):
        assert words in shown.stderr
        assert shown.stderr.count("bad") == 1
    assert "imported openpose" in run("show", out).stdout


def test_a_clip_that_is_not_there_is_said_with_what_is_known_of_it(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    failure = ("worse", "corrupt", "it is cut off")
    write_people(path, [made_people("-x_000001_000002", [1])], failures=[failure])
    assert "worse, which failed: corrupt: it is cut off" in run("show", path, "worse").stderr
    assert "it has 1 other" in run("show", path, "no").stderr
    wrong = run("show", path, "-x_000001_000002")
    assert wrong.exit_code == 2
    assert "show FILE -- -x_000001_000002" in wrong.stderr
    assert run("show", path, "--", "-x_000001_000002").exit_code == 0
    assert "clip id" not in run("show", path, "--chekc").stderr


def test_draws_on_the_clip_s_frames_where_they_are(tmp_path: Path, sample: SampleMaker) -> None:
    need("torch", find_spec("torch"), "pip install 'mimecurate[baselines]'")
    path, png = tmp_path / "p.parquet", tmp_path / "t.png"
    write_people(path, [made_people("a", [10, 10])])
    given = ("show", path, "a", "--png", png, "--clips", tmp_path)
    on_grey = run(*given)
    assert "the 8 of 19 tubes with the best detections, on grey" in on_grey.stderr
    grey = png.read_bytes()
    (tmp_path / "a.mp4").symlink_to(sample(VideoSpec(seconds=0.5)).path)
    assert "on the frames of" in run(*given).stderr
    assert png.read_bytes() != grey
    (tmp_path / "a.mp4").unlink()
    (tmp_path / "a.mp4").write_text("no video")
    assert "on grey: a.mp4: " in run(*given).stderr
    assert png.read_bytes() == grey


def test_shows_tubes_as_a_table_and_a_picture(tmp_path: Path) -> None:
    path, png = tmp_path / "p.parquet", tmp_path / "t.png"
    write_people(path, [made_people("a", [2, 1, 0, 1])])
    assert json.loads(run("show", path, "--json").stdout)["detections"] == 4
    result = run("show", path, "a", "--png", png, "--json")
    assert result.exit_code == 0
    tubes = json.loads(result.stdout)["tubes"]
    assert sum(tube["frames"] - tube["filled_in"] for tube in tubes) == 4
    with Image.open(png) as picture:
        assert len(picture.convert("RGB").getcolors(1 << 20) or ()) > 3
    assert run("show", path, "--png", png).exit_code == 2
    assert run("show", path, "--check").exit_code == 0


def test_detects_in_clips_and_goes_on(tmp_path: Path, sample: SampleMaker) -> None:
    need("torch", find_spec("torch"), "pip install 'mimecurate[baselines]'")
    (tmp_path / "media").mkdir()
    clip = sample(VideoSpec(seconds=0.5)).path
    (tmp_path / "media" / "arm.mp4").symlink_to(clip)
    (tmp_path / "media" / "bad.mp4").write_text("no video")
    out = tmp_path / "p.parquet"
    given = ("detect", "--clips", tmp_path / "media", "--out", out, "--every", 10, "--json")
    small = ("--weights", "random", "--short-side", 32, "--min-score", 0.99, "--device", "cpu")
    assert json.loads(run(*given, "--dry-run").stdout) == {"clips": 2, "without_media": 0}
    for skipped in (0, 1):
        result = run(*given, *small)
        assert result.exit_code == 3, result.output
        document = json.loads(result.stdout)
        assert (document["clips"], document["skipped"]) == (1, skipped)
        assert list(document["failed"]) == ["bad"]
        assert document["made_by"]["weights"] == "random"
    with PeopleFile(out) as people:
        assert people["arm"].frames > 0
        assert people.failures[0][0] == "bad"


def test_usage_is_said(tmp_path: Path) -> None:
    assert run("detect", "--out", tmp_path / "p.parquet").exit_code == 2

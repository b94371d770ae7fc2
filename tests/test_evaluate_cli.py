from __future__ import annotations

import csv
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from release_lists import CLASSES, clip, release
from scoring import write_csv, write_npz, write_parquet
from testbed import REPOSITORY

from mimecurate.commands.root import cli
from mimecurate.curation.release_edition import load_edition
from mimecurate.curation.release_export import export_release
from mimecurate.curation.release_read import load_release
from mimecurate.curation.workspace import open_workspace
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.frames import evaluate
from mimecurate.evaluation.predictions import Predictions
from mimecurate.evaluation.report_json import report_json
from mimecurate.evaluation.table_formats import as_text
from mimecurate.schemas.release import Flag, Release

if TYPE_CHECKING:
    from pathlib import Path

YES, NO = Flag.YES, Flag.NO
NAMES = tuple(c.name for c in CLASSES)
CLIPS = [
    clip(
        f"vid-{i:07d}", i, i + 2, NAMES[i % 3], flags=((YES, NO)[i % 2], (NO, YES)[i % 4 == 0], NO)
    )
    for i in range(36)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a release, and score files of two systems."""
    root = tmp_path_factory.mktemp("evaluate")
    with open_workspace(root) as workspace:
        release(workspace.db, "small@1.0.0", CLIPS, CLASSES)
    found = load_release("small@1.0.0", root)
    write_npz(root / "one.npz", predictions(found, 0))
    write_csv(root / "two.csv", predictions(found, 1))
    return root


def predictions(found: Release, seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    scores = rng.standard_normal((len(found.clips), 5)).astype(np.float32)
    for row, one in enumerate(found.clips):
        scores[row, NAMES.index(one.label)] += 1 + seed
    ids = tuple(one.clip_id for one in found.clips)
    return Predictions("m", ids, (*NAMES, "other 1", "other 2"), scores)


def run(folder: Path, *arguments: object, status: int = 0) -> Result:
    words = ["evaluate", *map(str, arguments), "-w", str(folder)]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


def document(folder: Path, *arguments: object) -> Any:
    more = ("--release", "small@1.0.0", "--json", "--resamples", "50")
    return json.loads(run(folder, *arguments, *more).stdout)


def test_the_tables_are_printed(folder: Path) -> None:
    result = run(folder, folder / "one.npz", "--release", "small@1.0.0", "--resamples", "50")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("small@1.0.0: 36 clips from 36 videos, 3 classes; digest ")
    assert lines[1] == "one: 5-way, 36 of 36 clips scored"
    assert "Mean over classes (%), as Table 6 of the paper" in lines
    assert result.stderr.startswith("warning: one: 5-way: clips are ranked among 5 classes")


def test_json_follows_its_schema_and_the_tables(folder: Path) -> None:
    found = document(folder, folder / "one.npz", folder / "two.csv")
    schema = json.loads((REPOSITORY / "schemas" / "evaluation.schema.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    assert [system["name"] for system in found["systems"]] == ["one", "two"]
    assert [system["file"] for system in found["systems"]] == ["one.npz", "two.csv"]
    assert found["release"]["digest"] == load_release("small@1.0.0", folder).digest
    subsets = found["systems"][0]["subsets"]
    counts = {name: subset["clips"] for name, subset in subsets.items()}
    assert counts["all"] == 36
    assert counts["mime_artist"] == 18
    assert counts["object_relevant"] == 9
    assert len(counts) == 11
    assert len(found["comparisons"]) == sum(1 for count in counts.values() if count)


def test_the_schema_refuses_what_does_not_belong(folder: Path) -> None:
    schema = json.loads((REPOSITORY / "schemas" / "evaluation.schema.json").read_text("utf-8"))
    found = document(folder, folder / "one.npz")
    found["systems"][0]["overall"]["top1"] = "12"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(found, schema)


def test_an_exported_release_needs_no_workspace(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported = tmp_path / "small.zip"
    export_release(load_edition("small@1.0.0", folder), "bundle", exported)
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", str(folder / "one.npz"), "--release", str(exported), "--json"]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["systems"][0]["coverage"]["scored"] == 36
    assert [path.name for path in tmp_path.iterdir()] == ["small.zip"]


def test_names_replace_those_of_the_files(folder: Path) -> None:
    both = (folder / "one.npz", folder / "one.npz")
    found = document(folder, *both, "--name", "SlowFast", "--name", "TSM")
    assert [system["name"] for system in found["systems"]] == ["SlowFast", "TSM"]
    assert found["comparisons"][0]["p_value"] == 1
    result = run(folder, *both, "--release", "small@1.0.0", status=1)
    assert "two systems are called 'one'; tell them apart by --name" in result.stderr
    result = run(folder, *both, "--name", "a", "--release", "small@1.0.0", status=2)
    assert "1 --name for 2 prediction files" in result.stderr


def test_every_table_format_is_written(folder: Path, tmp_path: Path) -> None:
    paths = {key: tmp_path / f"t.{key}" for key in ("csv", "latex", "markdown")}
    options = [word for key, path in paths.items() for word in (f"--{key}", path)]
    run(folder, folder / "one.npz", "--name", "=1+1", "--release", "small@1.0.0", *options)
    rows = list(csv.DictReader(paths["csv"].read_text("utf-8").splitlines()))
    assert rows[0]["system"] == "'=1+1"
    assert [row["clips"] for row in rows if row["name"] == "all"] == ["36"]
    assert r"\begin{tabular}" in paths["latex"].read_text("utf-8")
    assert paths["markdown"].read_text("utf-8").startswith("**Mean over classes")
    absent = tmp_path / "absent" / "t.csv"
    options = ["--csv", absent, "--release", "small@1.0.0", "--resamples", "0"]
    result = run(folder, folder / "one.npz", *options, status=1)
    assert f"{absent} can't be written: No such file" in result.stderr


def test_policies_are_taken_from_the_options(folder: Path, tmp_path: Path) -> None:
    found = load_release("small@1.0.0", folder)
    full = predictions(found, 0)
    ids = (*full.clip_ids[:30], full.clip_ids[0])
    scores = np.vstack([full.scores[:30], full.scores[:1]])
    scores[5, 0] = np.nan
    partial = Predictions("m", ids, full.class_names, scores)
    path = write_parquet(tmp_path / "part.parquet", partial)
    base = (path, "--release", "small@1.0.0", "--resamples", "0")
    assert "several rows for 1 clips" in run(folder, *base, status=1).stderr
    average = (*base, "--duplicates", "average")
    assert "NaN or infinite scores for 1 clips" in run(folder, *average, status=1).stderr
    wrong = (*average, "--nan", "wrong")
    assert "6 missing; 1 NaN" in run(folder, *wrong).stdout
    assert "no row for 6 of 36" in run(folder, *wrong, "--missing", "error", status=1).stderr
    (tmp_path / "had.txt").write_text("\n".join(full.clip_ids[:33]))
    result = run(folder, *wrong, "--available", tmp_path / "had.txt", "--json")
    system = json.loads(result.stdout)["systems"][0]
    assert (system["coverage"]["missing"], system["coverage"]["unavailable"]) == (3, 3)
    assert system["overall"]["clips"] == 33
    assert system["full_release"]["lowest"]["clips"] == 36


def test_the_workspace_itself_knows_what_is_gone(folder: Path, tmp_path: Path) -> None:
    with open_workspace(tmp_path) as workspace:
        release(workspace.db, "small@1.0.0", CLIPS, CLASSES)
        workspace.db.table("runs").insert(
            {"run_id": 1, "command": "fetch", "version": "1", "settings": "", "started_at": "x"}
        )
        workspace.db.table("attempts").insert(
            {"run_id": 1, "video_id": CLIPS[0].video_id, "clip_id": CLIPS[0].clip_id, "at": "x",
             "status": "failed", "reason": "removed"}
        )  # fmt: skip
    full = predictions(load_release("small@1.0.0", folder), 0)
    kept = [i for i, clip_id in enumerate(full.clip_ids) if clip_id != CLIPS[0].clip_id]
    ids = tuple(full.clip_ids[i] for i in kept)
    path = write_npz(tmp_path / "a.npz", Predictions("a", ids, full.class_names, full.scores[kept]))
    found = document(tmp_path, path)
    assert found["policy"]["available"] == "by the workspace's record"
    assert found["systems"][0]["coverage"]["unavailable"] == 1
    again = evaluate(path, "small@1.0.0", workspace=tmp_path, resamples=50).report
    assert report_json(again) == found
    loaded = load_release("small@1.0.0", tmp_path)
    assert evaluate(path, loaded, resamples=0).report.availability is None
    assert evaluate(path, loaded, workspace=tmp_path, resamples=0).report.availability
    assert document(folder, path)["systems"][0]["coverage"]["missing"] == 1


def test_more_subsets_superclasses_and_class_names_from_files(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text("[late]\nstart_s = { min = 18 }\n")
    (tmp_path / "c.json").write_text('{"hands": ["archery", "drinking"]}')
    options = ("--subsets", tmp_path / "s.toml", "--superclasses", tmp_path / "c.json")
    system = document(folder, folder / "one.npz", *options)["systems"][0]
    assert system["subsets"]["late"]["clips"] == 18
    assert system["superclasses"]["superclasses"] == 2
    assert system["superclasses"]["classes"] == 3
    assert system["superclasses"]["mean_superclass_top1"] >= 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give at least one prediction file"),
        (("FILE",), "Missing option '--release'"),
        (("FILE", "--release", "small@1.0.0", "--clips", "DIR"), "give --html FILE too"),
        (("FILE", "--release", "small@1.0.0", "--missing", "ignore"), "is not one of"),
        (("absent.npz", "--release", "small@1.0.0"), "does not exist"),
        (("FILE", "--self-check"), "--self-check scores no files"),
    ],
)
def test_wrong_usage_ends_with_two(folder: Path, arguments: tuple[str, ...], words: str) -> None:
    known = {"FILE": folder / "one.npz", "DIR": folder}
    result = run(folder, *(known.get(word, word) for word in arguments), status=2)
    assert words in result.stderr


def test_nothing_is_written_over_an_input_or_another_output(folder: Path, tmp_path: Path) -> None:
    path = folder / "one.npz"
    before = path.read_bytes()
    again = folder / "." / ".." / folder.name / "one.npz"
    result = run(folder, path, "--release", "small@1.0.0", "--csv", again, status=2)
    assert f"--csv {again} would write over input {path}" in result.stderr.replace("\n", " ")
    assert path.read_bytes() == before
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "t")
    options = ("--release", "small@1.0.0", "--csv", tmp_path / "t", "--latex", link)
    result = run(folder, path, *options, status=2)
    assert f"--latex {link} would write over --csv {tmp_path / 't'}" in result.stderr
    assert not link.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--release", "other@1.0.0"), "no release other@1.0.0 in this workspace"),
        (("--release", "small@1.0.0", "--split", "val"), "no split 'val'"),
        (("--release", "small@1.0.0", "--classes", "FILE"), "names its classes itself"),
        (("--release", "small@1.0.0", "--subsets", "FILE"), "FILE"),
        (("--release", "small@1.0.0", "--available", "FILE"), "FILE"),
    ],
)
def test_what_can_not_be_done_ends_with_one(
    folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    path = folder / "one.npz"
    result = run(folder, path, *(path if w == "FILE" else w for w in arguments), status=1)
    assert words.replace("FILE", str(path)) in result.stderr
    assert result.stdout == ""


def test_a_hostile_file_name_stays_harmless(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[31m\nb.npz"
    path.write_bytes((folder / "one.npz").read_bytes())
    result = run(folder, path, "--release", "small@1.0.0", "--resamples", "0")
    assert "\x1b" not in result.output
    assert "a?[31m?b: 5-way" in result.stdout
    path.write_bytes(b"nothing")
    result = run(folder, path, "--release", "small@1.0.0", status=1)
    assert "\x1b" not in result.output
    assert result.stderr.startswith("Error: a?[31m?b.npz")


def test_the_paper_is_rebuilt() -> None:
    result = CliRunner().invoke(cli, ["evaluate", "--self-check"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "26 of 27 figures agree." in result.stdout
    assert "Table 6, mAP, STGCN                        20.7     20.6" in result.stdout
    assert "671" in result.stdout
    assert "610" in result.stdout


def test_a_difference_from_the_paper_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.evaluation.paper_check.KNOWN_DIFFERENCES", frozenset())
    result = CliRunner().invoke(cli, ["evaluate", "--self-check"])
    assert result.exit_code == 1
    assert "DIFFERS" in result.stdout


def test_json_and_tables_are_of_the_same_report(folder: Path) -> None:
    found = load_release("small@1.0.0", folder)
    one = predictions(found, 0)
    report = build_report([one], found, resamples=50)
    system = document(folder, folder / "one.npz")["systems"][0]
    assert system["overall"]["mean_ap"] == report.systems[0].overall.mean_ap
    assert f"{system['overall']['mean_ap']:.1f} [" in as_text(report)


def test_long_work_says_how_far_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mimecurate.commands.evaluate._LARGE_BYTES", 0)
    monkeypatch.setattr("mimecurate.commands.evaluate._LONG_RESAMPLING", 0)
    files = (folder / "one.npz", folder / "two.csv")
    result = run(folder, *files, "--release", "small@1.0.0", "--resamples", "300")
    assert "reading: 2/2 files" in result.stderr
    assert "resampling: 300/300 resamples" in result.stderr
    assert "resampling" not in result.stdout


def test_nothing_heavy_is_imported(folder: Path) -> None:
    """Pandas, statsmodels, scipy.stats and torch would each cost more than the evaluation."""
    code = (
        "import sys\n"
        "for name in ('pandas', 'statsmodels', 'scipy.stats', 'torch', 'rich'):\n"
        "    sys.modules[name] = None\n"
        "from mimecurate.commands.root import cli\n"
        f"cli(['evaluate', {str(folder / 'two.csv')!r}, '--release', 'small@1.0.0',"
        f" '-w', {str(folder)!r}, '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["systems"][0]["name"] == "two"

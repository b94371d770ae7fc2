from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from scoring import make_predictions, make_release

from mimecurate.errors import MimecurateError
from mimecurate.evaluation.evaluate import build_report
from mimecurate.evaluation.frames import Evaluation, evaluate
from mimecurate.evaluation.matching import Policy
from mimecurate.evaluation.report_json import report_json
from mimecurate.evaluation.subset_file import read_subsets
from mimecurate.evaluation.table_formats import as_latex, as_markdown, as_text, csv_rows
from mimecurate.evaluation.tables import class_table, report_tables
from mimecurate.evaluation.text_tables import text_table
from mimecurate.evaluation.warning_lines import too_few, warning_lines

if TYPE_CHECKING:
    from mimecurate.evaluation.report import Report

RELEASE = make_release(60)

GOLDEN = Path(__file__).parent / "golden" / "evaluate.txt"


def make_report() -> Report:
    """Make a report in which every table has something to say."""
    good = make_predictions(RELEASE, "good", skill=2.5)
    poor = make_predictions(RELEASE, "poor", ways=50, skill=0.5, seed=3)
    return build_report(
        [good, poor],
        RELEASE,
        superclasses={"archery": "aiming", "bowling": "aiming"},
        predicates={"late": lambda clip, size: clip.start_ms > 30_000},
        available=frozenset(clip.clip_id for clip in RELEASE.clips),
        availability="available.txt",
        resamples=500,
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return make_report()


def test_the_terminal_reads_as_it_did(report: Report) -> None:
    expected = GOLDEN.read_text("utf-8")
    assert as_text(report) + "\n" == expected, "a wanted change? refresh it: python " + __file__


NUMBER = re.compile(r"-?\d+\.\d+|\[-?\d+\.\d+, -?\d+\.\d+\]|<0\.001")


@pytest.fixture(scope="module")
def three() -> Report:
    systems = [make_predictions(RELEASE, n, skill=s) for n, s in (("a", 3), ("b", 0), ("c-c", 1))]
    return build_report(systems, RELEASE, resamples=100)


@pytest.mark.parametrize("width", [80, 100, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_breaks(three: Report, width: int) -> None:
    text = as_text(three, width)
    assert max(map(len, text.splitlines())) <= width
    assert as_text(three, 1000) == as_text(three)
    assert set(NUMBER.findall(text)) == set(NUMBER.findall(as_text(three)))
    assert " ".join(text.split()).count("ties count against the model") == 1


def test_a_split_table_repeats_subsets_and_counts(three: Report) -> None:
    table = next(t for t in report_tables(three) if "Table 7" in t.title)
    blocks = text_table(table, 80).split("\n\n")
    assert len(blocks) == 2
    for block in blocks:
        assert re.search(r"^all clips +60 +28 ", block, re.MULTILINE)
    whole = next(row for row in table.rows if row[0] == "all clips")
    assert all(cell in blocks[0] for cell in whole[3:5])
    assert whole[5] in blocks[1]


def test_a_long_system_name_does_not_widen_the_table() -> None:
    long = make_predictions(RELEASE, "slowfast_r101_8x8_kinetics400_rgb_flow_pose_ensemble_v2")
    report = build_report([long, make_predictions(RELEASE, "b")], RELEASE, resamples=20)
    assert max(map(len, as_text(report, 80).splitlines())) <= 80


def test_equal_warnings_are_one_line(three: Report) -> None:
    systems = [
        replace(
            s,
            subsets={"x": s.subsets["all"], "y": s.subsets["all"]},
            warnings=(*(too_few(n, s.subsets["all"]) for n in "xy"), *("tied",) * (s.name == "b")),
        )
        for s in three.systems
    ]
    few = "too few to say anything: x, y (60 clips from 28 videos each)"
    assert warning_lines(replace(three, systems=tuple(systems))) == [
        "b: tied",
        f"every system: {few}",
    ]
    assert warning_lines(replace(three, systems=tuple(systems[:1]))) == [f"a: {few}"]
    assert len(systems[0].warnings) == 2


def test_tables_with_nothing_to_say_are_left_out() -> None:
    bare = replace(
        RELEASE,
        clips=tuple(
            replace(c, mime_artist=None, object_relevant=None, scene_relevant=None)
            for c in RELEASE.clips
        ),
        classes=(),
    )
    report = build_report([make_predictions(RELEASE)], bare, resamples=0)
    titles = [table.title for table in report_tables(report)]
    assert len(titles) == 2
    assert "Table 8" not in " ".join(titles)
    assert "[" not in as_text(report).partition("Policy")[0]


def test_numbers_have_one_decimal(report: Report) -> None:
    for table in report_tables(report):
        for row in table.rows:
            for text in row[table.text_columns :]:
                for number in re.findall(r"\d+\.\d+", text.replace("<0.001", "")):
                    assert len(number.partition(".")[2]) == (3 if "p" in table.header else 1) or (
                        "p" in table.header and len(number.partition(".")[2]) == 1
                    )


def test_markdown_is_escaped_and_has_every_table(report: Report) -> None:
    text = as_markdown(report)
    tables = report_tables(report)
    assert text.count("| :-- |") == len(tables) + 1
    archery, bowling = (report.systems[0].per_class[name] for name in ("archery", "bowling"))
    assert f"| archery | 12 | {archery.top1:.1f} ({archery.ap:.1f}) | " in text
    assert f"| bowling | 12 | {bowling.top1:.1f} ({bowling.ap:.1f}) | " in text
    hostile = make_predictions(RELEASE, "a|b*<script>`")
    text = as_markdown(build_report([hostile], RELEASE, resamples=0))
    assert r"a\|b\*\<script\>\`" in text
    assert "<script>" not in text


def test_counts_are_of_the_clips_that_the_means_are_over() -> None:
    full = make_predictions(RELEASE, "full")
    half = replace(full, name="half", clip_ids=full.clip_ids[:30], scores=full.scores[:30])
    two = build_report([full, half], RELEASE, policy=Policy(missing="exclude"), resamples=0)
    tables = {table.title.split(",")[-1]: table for table in report_tables(two)}
    assert tables[" as Table 7 of the paper"].rows[0][1] == "30-60"
    assert tables[" as Table 8 of the paper"].rows[0][2] == "30-60"
    alone = build_report([half], RELEASE, policy=Policy(missing="exclude"), resamples=0)
    assert sum(int(row[1]) for row in class_table(alone).rows) == 30
    name = class_table(two).rows[0][0]
    counts = [system.per_class[name].clips for system in two.systems]
    assert class_table(two).rows[0][1] == f"{counts[1]}-{counts[0]}"


def test_latex_is_escaped_and_balanced(report: Report) -> None:
    text = as_latex(report)
    count = len(report_tables(report)) + 1
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == count
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#_]", body)
    hostile = make_predictions(RELEASE, r"50%_a&b\input{x}")
    text = as_latex(build_report([hostile], RELEASE, resamples=0))
    assert r"50\%\_a\&b\textbackslash{}input\{x\}" in text


def test_no_note_leaves_its_latex_comment(report: Report) -> None:
    hostile = replace(report, availability="a\n\\input{x}\r\u2028\x85b")
    comments = as_latex(hostile).split("\n\n")[0].splitlines()
    assert all(line.startswith("% ") for line in comments)


def test_csv_has_every_number_unrounded(report: Report) -> None:
    header, rows = csv_rows(report)
    assert {len(row) for row in rows} == {len(header)}
    named = [dict(zip(header, row, strict=True)) for row in rows]
    system = report.systems[0]
    found = {(row["kind"], row["name"]): row for row in named if row["system"] == "good"}
    assert found["subset", "all"]["mean_ap"] == system.overall.mean_ap
    assert found["subset", "late"]["clips"] == system.subsets["late"].clips
    assert found["class", "archery"]["mean_ap"] == system.per_class["archery"].ap
    assert found["lowest", "all"]["top1"] == found["highest", "all"]["top1"]
    assert found["superclass", "by superclass"]["classes"] == 4


def test_frames_hold_what_the_report_holds(report: Report) -> None:
    found = Evaluation(report)
    document = report_json(report)
    assert list(found.overall.index) == ["good", "poor"]
    assert found.overall.loc["good", "mean_ap"] == document["systems"][0]["overall"]["mean_ap"]
    assert len(found.subsets) == 2 * 12
    assert len(found.per_class) == 2 * 5
    assert len(found.superclasses) == 4
    assert found.splits.empty
    assert len(found.clips) == 120
    assert found.clips["rank"].tolist()[:60] == report.systems[0].matched.rank.tolist()
    right = found.clips[found.clips["rank"] == 1]
    assert (right["class"] == right["predicted"]).all()
    assert len(found.gaps) == 6
    assert len(found.comparisons) == len(report.comparisons)
    assert found.comparisons["p_adjusted"].between(0, 1).all()
    assert "difference_low" in found.comparisons.columns
    assert repr(found) == as_text(report)


def test_three_lines_in_a_notebook(tmp_path: Path) -> None:
    import mimecurate

    frame = Evaluation(build_report([make_predictions(RELEASE)], RELEASE, resamples=0))
    assert frame.report.systems[0].name == "model"
    predictions = make_predictions(RELEASE, "one")
    (tmp_path / "subsets.toml").write_text('[mimes]\nmime_artist = "yes"\n')
    (tmp_path / "super.csv").write_text("archery,aiming\n")
    (tmp_path / "available.txt").write_text("\n".join(predictions.clip_ids))
    result = mimecurate.evaluate(
        {"mine": predictions, "again": predictions},
        RELEASE,
        subsets=tmp_path / "subsets.toml",
        superclasses=tmp_path / "super.csv",
        available=tmp_path / "available.txt",
        resamples=20,
    )
    assert list(result.overall.index) == ["mine", "again"]
    assert "mimes" in set(result.subsets["subset"])
    assert read_subsets(tmp_path / "subsets.toml")


def test_a_policy_that_there_is_not_is_misuse() -> None:
    with pytest.raises(ValueError, match="missing = 'ignore' must be wrong or exclude or error"):
        evaluate(make_predictions(RELEASE), RELEASE, missing="ignore")


def test_what_a_notebook_hands_in_is_checked() -> None:
    import pandas as pd

    one = make_predictions(RELEASE, "one", ways=6)
    with pytest.raises(ValueError, match="resamples = -1 must be 0 or more"):
        evaluate(one, RELEASE, resamples=-1)
    with pytest.raises(TypeError, match=r"predictions '5' \(int\) must be a path"):
        evaluate(5, RELEASE)
    with pytest.raises(MimecurateError, match="available names no clip of small"):
        evaluate(one, RELEASE, available=["other"])
    mapping = {"playing_bass_guitar": "mu_sic", "archery": "mu_sic"}
    found = evaluate(one, RELEASE, superclasses=mapping, resamples=0)
    assert found.superclasses["classes"].tolist() == [5, 4]
    frame = pd.DataFrame(one.scores, index=one.clip_ids, columns=one.class_names)
    again = evaluate(frame.astype("Float64"), RELEASE, resamples=0)
    assert again.overall["mean_ap"].tolist() == found.overall["mean_ap"].tolist()
    assert "ci" not in evaluate([one, replace(one, name="b")], RELEASE, resamples=0).comparisons


if __name__ == "__main__":
    GOLDEN.write_text(as_text(make_report()) + "\n", "utf-8")

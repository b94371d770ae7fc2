"""`mimecurate evaluate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from mimecurate.commands.options import json_option, workspace_option
from mimecurate.commands.report_view import show_report, show_warnings
from mimecurate.console import csv_cell, print_json, printable, progress, say
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mimecurate.evaluation.predictions import Predictions
    from mimecurate.evaluation.report import Report
    from mimecurate.schemas.release import Release

_LARGE_BYTES = 1 << 27
_LONG_RESAMPLING = 1 << 26
_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("evaluate")
@click.argument("predictions", nargs=-1, type=_IN_FILE)
@click.option("--release", "reference", metavar="R", help="NAME@VERSION, or an exported release.")
@json_option
@click.option("--html", type=_OUT_FILE, help="Write one self-contained page.")
@click.option("--csv", type=_OUT_FILE, help="Write every number, unrounded.")
@click.option("--latex", type=_OUT_FILE, help="Write the tables in LaTeX (booktabs).")
@click.option("--markdown", type=_OUT_FILE, help="Write the tables in Markdown.")
@click.option(
    "--clips",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the clips' media, to play in the page.",
)
@click.option(
    "--missing",
    type=click.Choice(["wrong", "exclude", "error"]),
    default="wrong",
    show_default=True,
    help="A clip without scores.",
)
@click.option(
    "--duplicates",
    type=click.Choice(["error", "average"]),
    default="error",
    show_default=True,
    help="Several rows for a clip.",
)
@click.option(
    "--nan",
    type=click.Choice(["error", "wrong"]),
    default="error",
    show_default=True,
    help="NaN among a clip's scores.",
)
@click.option("--available", type=_IN_FILE, help="The clips that could still be had, one per line.")
@click.option("--name", "names", multiple=True, help="A system's name; once per file, in order.")
@click.option("--classes", type=_IN_FILE, help="Class names for a file that has none (mmaction2).")
@click.option("--superclasses", type=_IN_FILE, help="JSON or CSV: the superclass of each class.")
@click.option("--subsets", type=_IN_FILE, help="TOML or JSON: more subsets, by comparisons.")
@click.option("--split", help="Score the clips of one split.")
@click.option(
    "--resamples",
    type=click.IntRange(0, 1_000_000),
    default=10_000,
    show_default=True,
    help="Of the cluster bootstrap; 0: no intervals.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--self-check", is_flag=True, help="Rebuild the paper's own numbers, and stop.")
@workspace_option
def command(predictions: tuple[Path, ...], **options: Any) -> None:
    """Score predictions against a release.

    Prints the tables of the Mimetics paper for one or more prediction files, with intervals that
    know that clips of one video are not independent, and tests for every pair of systems. A file
    is .npz, .parquet, .csv, .json, .jsonl or an mmaction2 dump, told by its content; rows are
    matched by clip id, columns by class name. A clip without scores counts as wrong.

    \b
    Example:
      mimecurate evaluate slowfast.parquet --release mimetics@1.0.0
      mimecurate evaluate a.npz b.csv --release exported.zip --html report.html --clips clips/
    """
    if options["self_check"]:
        _self_check(predictions)
        return
    _check_usage(predictions, options)
    release, available, availability = _release(options)
    report = _report(predictions, release, available, availability, options)
    show_warnings(report)
    _write_files(report, options)
    if options["as_json"]:
        from mimecurate.evaluation.report_json import report_json

        print_json(report_json(report))
    else:
        show_report(report)


def _check_usage(predictions: Sequence[Path], options: dict[str, Any]) -> None:
    if not predictions:
        raise click.UsageError("Give at least one prediction file (or --self-check).")
    if options["reference"] is None:
        raise click.UsageError("Missing option '--release': NAME@VERSION or an exported release.")
    if options["names"] and len(options["names"]) != len(predictions):
        raise click.UsageError(
            f"{len(options['names'])} --name for {len(predictions)} prediction files; "
            "give one for each, in order."
        )
    if options["clips"] is not None and options["html"] is None:
        raise click.UsageError("--clips is for the page: give --html FILE too.")
    _check_outputs(predictions, options)


def _check_outputs(predictions: Sequence[Path], options: dict[str, Any]) -> None:
    """Refuse to write over an input or another output."""
    taken = {path.resolve(): f"input {path}" for path in predictions}
    for key in ("available", "classes", "superclasses", "subsets"):
        if options[key] is not None:
            taken[options[key].resolve()] = f"--{key} {options[key]}"
    reference = Path(options["reference"])
    if reference.is_file():
        taken[reference.resolve()] = f"--release {reference}"
    for key in ("html", "csv", "latex", "markdown"):
        if options[key] is not None:
            given = f"--{key} {options[key]}"
            other = taken.setdefault(options[key].resolve(), given)
            if other is not given:
                raise click.UsageError(
                    f"{printable(given)} would write over {printable(other)}; give another path."
                )


def _release(options: dict[str, Any]) -> tuple[Release, frozenset[str] | None, str | None]:
    """Load the release and what is known of which clips could be had."""
    from mimecurate.curation.release_read import load_release
    from mimecurate.evaluation.available import BY_RECORD, load_with_record, read_available

    source = click.get_current_context().get_parameter_source("workspace")
    workspace = None if source is ParameterSource.DEFAULT else options["workspace"]
    if options["available"] is not None:
        release = load_release(options["reference"], workspace)
        shown = printable(options["available"].name).replace("\n", " ")
        return release, read_available(options["available"], release), shown
    release, available = load_with_record(options["reference"], workspace)
    return release, available, BY_RECORD


def _report(
    predictions: Sequence[Path],
    release: Release,
    available: frozenset[str] | None,
    availability: str | None,
    options: dict[str, Any],
) -> Report:
    from mimecurate.evaluation.evaluate import build_report
    from mimecurate.evaluation.matching import Policy
    from mimecurate.evaluation.subset_file import read_subsets
    from mimecurate.evaluation.superclasses import read_superclasses

    subsets, superclasses = options["subsets"], options["superclasses"]
    found = _read(predictions, options["names"], options["classes"])
    build = partial(
        build_report,
        found,
        release,
        policy=Policy(options["missing"], options["duplicates"], options["nan"]),
        available=available,
        availability=availability,
        superclasses=read_superclasses(superclasses) if superclasses else None,
        predicates=read_subsets(subsets) if subsets else None,
        split=options["split"],
        resamples=options["resamples"],
        seed=options["seed"],
    )
    if len(found) * len(release.clips) * options["resamples"] < _LONG_RESAMPLING:
        return build()
    with progress("resampling", options["resamples"], unit="resamples") as bar:
        return build(on_progress=bar.advance)


def _read(paths: Sequence[Path], names: Sequence[str], classes: Path | None) -> list[Predictions]:
    from mimecurate.evaluation.predictions import load_predictions

    def load(place: int) -> Predictions:
        name = names[place] if names else None
        return load_predictions(paths[place], name=name, classes=classes)

    if sum(path.stat().st_size for path in paths) < _LARGE_BYTES:
        return [load(place) for place in range(len(paths))]
    found = []
    with progress("reading", len(paths), unit="files") as bar:
        for place in range(len(paths)):
            found.append(load(place))
            bar.advance()
    return found


def _write_files(report: Report, options: dict[str, Any]) -> None:
    from mimecurate.evaluation.table_formats import as_latex, as_markdown

    for key, lay_out in (("csv", _csv), ("latex", as_latex), ("markdown", as_markdown)):
        if options[key] is not None:
            _write(options[key], lay_out, report)
    if options["html"] is not None:
        from mimecurate.evaluation.report_html import write_report

        write_report(report, options["html"], options["clips"])
        say(f"wrote {options['html']}")


def _write(path: Path, lay_out: Callable[[Report], str], report: Report) -> None:
    try:
        path.write_text(lay_out(report), "utf-8", newline="\n")
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {error.strerror}") from error
    say(f"wrote {path}")


def _csv(report: Report) -> str:
    import csv
    import io

    from mimecurate.evaluation.table_formats import csv_rows

    header, rows = csv_rows(report)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return text.getvalue()


def _self_check(predictions: Sequence[Path]) -> None:
    from mimecurate.evaluation.paper_check import check_paper, self_check_lines

    if predictions:
        raise click.UsageError("--self-check scores no files.")
    checks = check_paper()
    for line in self_check_lines(checks):
        click.echo(line)
    if not all(check.agrees or check.is_known for check in checks):
        click.get_current_context().exit(1)

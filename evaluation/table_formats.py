"""Tables as text, Markdown, LaTeX and CSV rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.evaluation.metrics import METRICS
from mimecurate.evaluation.tables import (
    class_table,
    coverage_lines,
    head_line,
    policy_lines,
    report_tables,
)
from mimecurate.evaluation.text_tables import text_table, wrap

if TYPE_CHECKING:
    from mimecurate.evaluation.metrics import Scores
    from mimecurate.evaluation.report import Report, System
    from mimecurate.evaluation.tables import Table

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)
_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#"})

CsvRow = tuple[object, ...]


def as_text(report: Report, width: int | None = None) -> str:
    """Lay the report out for a terminal of ``width`` columns; None: as wide as it gets."""
    head = [head_line(report), *coverage_lines(report)]
    return "\n\n".join(
        [
            "\n".join(wrap(line, width) for line in head),
            *(text_table(table, width) for table in report_tables(report)),
            "\n".join(wrap(line, width) for line in policy_lines(report)),
        ]
    )


def as_markdown(report: Report) -> str:
    """Write the report's tables in Markdown, each under its title."""
    notes = [head_line(report), *coverage_lines(report), *policy_lines(report)]
    parts = [_markdown_table(table) for table in [*report_tables(report), class_table(report)]]
    return "\n\n".join([*parts, "\n".join(f"- {_markdown(note)}" for note in notes)]) + "\n"


def as_latex(report: Report) -> str:
    """Write the report's tables in LaTeX, for the booktabs package."""
    notes = [head_line(report), *coverage_lines(report), *policy_lines(report)]
    comments = "\n".join(f"% {_one_line(note)}" for note in notes)
    tables = [*report_tables(report), class_table(report)]
    return "\n\n".join([comments, *map(_latex_table, tables)]) + "\n"


def csv_rows(report: Report) -> tuple[tuple[str, ...], list[CsvRow]]:
    """Give every number of the report, unrounded: a row per system and set of clips.

    Returns:
        The header, and rows of texts, numbers and None. ``kind`` is ``subset``, ``split``,
        ``class``, ``superclass``, ``lowest`` or ``highest``.
    """
    header = ["system", "kind", "name", "clips", "videos", "classes"]
    for metric in METRICS:
        header += [metric, f"{metric}_low", f"{metric}_high"]
    return tuple(header), [row for system in report.systems for row in _system_rows(system)]


def _system_rows(system: System) -> list[CsvRow]:
    sets: list[tuple[str, str, Scores]] = [("subset", n, s) for n, s in system.subsets.items()]
    sets += [("split", name, scores) for name, scores in system.splits.items()]
    if system.superclasses is not None:
        sets.append(("superclass", "by class", system.superclasses.by_class))
        sets.append(("superclass", "by superclass", system.superclasses.by_superclass))
    if system.lowest is not None and system.highest is not None:
        sets += [("lowest", "all", system.lowest), ("highest", "all", system.highest)]
    rows: list[CsvRow] = []
    for kind, name, scores in sets:
        row: list[object] = [system.name, kind, name, scores.clips, scores.videos, scores.classes]
        for metric in METRICS:
            row += [getattr(scores, metric), *scores.ci.get(metric, (None, None))]
        rows.append(tuple(row))
    for name, one in system.per_class.items():
        known = {"top1": one.top1, "top5": one.top5, "mean_ap": one.ap}
        row = [system.name, "class", name, one.clips, None, 1]
        for metric in METRICS:
            row += [known.get(metric), None, None]
        rows.append(tuple(row))
    return rows


def _markdown(text: str) -> str:
    return text.replace("\n", " ").translate(_MARKDOWN)


def _markdown_table(table: Table) -> str:
    marks = [":--" if i < table.text_columns else "--:" for i in range(len(table.header))]
    lines = [table.header, *table.rows]
    cells = [[_markdown(text) for text in line] for line in lines]
    laid = [f"| {' | '.join(line)} |" for line in [cells[0], marks, *cells[1:]]]
    return "\n".join([f"**{_markdown(table.title)}**", "", *laid])


def _one_line(text: str) -> str:
    """A line break would end a comment, and what follows would be run."""
    return "".join(c if c.isprintable() else " " for c in text)


def _latex(text: str) -> str:
    return text.replace("\n", " ").translate(_LATEX)


def _latex_table(table: Table) -> str:
    columns = "l" * table.text_columns + "r" * (len(table.header) - table.text_columns)
    lines = [" & ".join(map(_latex, line)) + r" \\" for line in [table.header, *table.rows]]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(table.title)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            lines[0],
            r"\midrule",
            *lines[1:],
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )

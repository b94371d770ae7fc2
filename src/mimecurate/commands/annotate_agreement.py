"""`mimecurate annotate agreement`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mimecurate.commands.options import json_option, trim_iou_option, workspace_option
from mimecurate.console import late_progress, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from mimecurate.annotation.agreement import FieldAgreement, Interval

MOST_CONFUSIONS = 10
MEASURES = ("percent", "kappa", "alpha", "ac1")


@click.command("agreement")
@workspace_option
@click.option(
    "--round", "rounds", multiple=True, metavar="NAME", help="Only this round; may be repeated."
)
@click.option(
    "--annotator", "annotators", multiple=True, metavar="NAME", help="Only them; may be repeated."
)
@click.option("--exclude", multiple=True, metavar="NAME", help="Not them; may be repeated.")
@trim_iou_option
@click.option(
    "--resamples",
    type=click.IntRange(0, 100_000),
    default=1000,
    show_default=True,
    help="Of the videos, for the intervals; 0: none.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the resampling.")
@json_option
def command(
    workspace: Path,
    rounds: tuple[str, ...],
    annotators: tuple[str, ...],
    exclude: tuple[str, ...],
    trim_iou: float,
    resamples: int,
    seed: int,
    as_json: bool,
) -> None:
    """Measure how much annotators agree, field by field.

    Percent agreement, kappa (Cohen's for two annotators, Fleiss' for more), Krippendorff's alpha
    and Gwet's AC1, with 95% intervals over source videos; then every two annotators, and the
    values that are confused most. The latest word of each annotator counts; skipped clips don't.

    \b
    Example:
      mimecurate annotate agreement
      mimecurate annotate agreement --round 2 --exclude trainee --json
    """
    from mimecurate.annotation.agreement import agreement
    from mimecurate.curation.workspace import open_workspace

    with (
        open_workspace(workspace, read_only=True) as space,
        late_progress("resampling", resamples, unit="resamples") as advance,
    ):
        fields = agreement(
            space.db,
            rounds=rounds,
            annotators=annotators,
            exclude=exclude,
            trim_iou=trim_iou,
            resamples=resamples,
            seed=seed,
            on_progress=advance,
        )
    if as_json:
        print_json({name: _as_json(one) for name, one in fields.items()})
    else:
        _print_fields(fields)
        _print_overlap(fields["trim"], trim_iou)
        _print_pairs(fields)
        _print_confusions(fields)


def _as_json(one: FieldAgreement) -> dict[str, object]:
    return {
        "clips": one.clips,
        "annotators": one.annotators,
        "percent": one.percent,
        "kappa": one.kappa,
        "alpha": one.alpha,
        "ac1": one.ac1,
        "ci": one.ci,
        "kappa_is": one.kappa_is,
        "undefined": one.undefined,
        "mean_iou": one.mean_iou,
        "pairs": [pair._asdict() for pair in one.pairs],
        "confusions": [confusion._asdict() for confusion in one.confusions],
    }


def _print_fields(fields: Mapping[str, FieldAgreement]) -> None:
    columns = ("field", "clips", "annotators", "percent", "kappa", "alpha", "AC1", "undefined")
    rows = [
        [
            name,
            f"{one.clips:,}",
            one.annotators,
            _with_interval(one.percent, one.ci.get("percent"), 1),
            _with_interval(one.kappa, one.ci.get("kappa"), 2),
            _with_interval(one.alpha, one.ci.get("alpha"), 2),
            _with_interval(one.ac1, one.ci.get("ac1"), 2),
            _reasons(one.undefined),
        ]
        for name, one in fields.items()
    ]
    shown = len(columns) - (not any(row[-1] for row in rows))
    print_table(columns[:shown], [row[:shown] for row in rows])
    kinds = {"cohen": "Cohen's, of two annotators", "fleiss": "Fleiss'"}
    said = sorted({kinds[one.kappa_is] for one in fields.values() if one.kappa_is})
    if said:
        if any(ci for one in fields.values() for ci in one.ci.values()):
            how = "in brackets: 95% intervals over source videos"
        else:
            how = "no intervals: they need resamples, 10 source videos, and clips that differ"
        say(f"kappa is {' and '.join(said)}; {how}")


def _print_overlap(trim: FieldAgreement, trim_iou: float) -> None:
    if trim.mean_iou is not None:
        mean = _with_interval(trim.mean_iou, trim.ci.get("mean_iou"), 2)
        click.echo(f"trims agree from an IoU of {trim_iou:g} on; their mean IoU is {mean}")


def _with_interval(value: float | None, ci: Interval | None, decimals: int) -> str:
    if value is None:
        return "-"
    text = f"{value:.{decimals}f}"
    return text if ci is None else f"{text} [{ci[0]:.{decimals}f}, {ci[1]:.{decimals}f}]"


def _reasons(undefined: Mapping[str, str]) -> str:
    reasons = dict.fromkeys(undefined.values())
    if len(undefined) == len(MEASURES) and len(reasons) == 1:
        return next(iter(reasons))
    return "; ".join(
        f"{', '.join(m for m, why in undefined.items() if why == reason)}: {reason}"
        for reason in reasons
    )


def _print_pairs(fields: Mapping[str, FieldAgreement]) -> None:
    rows = [
        [name, pair.first, pair.second, pair.clips, f"{pair.percent:.1f}", _rounded(pair.kappa)]
        for name, one in fields.items()
        if one.annotators > 2
        for pair in one.pairs
    ]
    _print_part("Pairs of annotators", ("field", "one", "other", "clips", "percent", "kappa"), rows)


def _rounded(kappa: float | None) -> str:
    return "-" if kappa is None else f"{kappa:.2f}"


def _print_confusions(fields: Mapping[str, FieldAgreement]) -> None:
    rows = [
        [name, *confusion]
        for name, one in fields.items()
        for confusion in one.confusions[:MOST_CONFUSIONS]
    ]
    columns = ("field", "one says", "another says", "clips", "pairs of answers")
    _print_part("What is confused", columns, rows)


def _print_part(title: str, columns: tuple[str, ...], rows: Iterable[list[object]]) -> None:
    if kept := list(rows):
        click.echo(f"\n{title}")
        print_table(columns, kept)

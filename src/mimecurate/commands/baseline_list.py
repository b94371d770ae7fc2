"""`mimecurate baseline list`: every model, or all about one."""

from __future__ import annotations

import re
from dataclasses import asdict
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any

import click

from mimecurate.commands.options import json_option
from mimecurate.console import pairs_text, print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mimecurate.baselines.registry import ModelCard, Weights

_WRAPPER = TextWrapper(75, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


@click.command("list")
@click.argument("name", required=False, metavar="[MODEL]")
@json_option
def command(name: str | None, as_json: bool) -> None:
    """List the models, or say all about one.

    Input: frames, and their height and width in pixels. Parameters in millions; GFLOPs are
    billions of multiply-adds of one view of a video.

    \b
    Example:
      mimecurate baseline list
      mimecurate baseline list swin3d_b
      mimecurate baseline list --json
    """
    from mimecurate.baselines.registry import find_card, model_cards

    if name is not None:
        card = find_card(name)
        if as_json:
            print_json(_as_json(card))
        else:
            _show(card)
        return
    cards = list(model_cards().values())
    if as_json:
        print_json([_as_json(card) for card in cards])
        return
    print_table(
        ["model", "input", "params (M)", "GFLOPs", "classes", "paper"],
        [
            [
                card.name,
                _input(card),
                f"{card.parameters / 1e6:.1f}",
                f"{card.gflops:.1f}" if card.gflops >= 0.1 else f"{card.gflops:.1g}",
                card.classes,
                _short_paper(card.paper),
            ]
            for card in cards
        ],
    )
    click.echo("\nWeights (`mimecurate baseline list MODEL` says all of one):")
    for (place, licence), names in _by_place(cards).items():
        _print_rows([(f"{place}{', ' if licence else ''}{licence}", ", ".join(names))], "  ")


def _by_place(cards: Iterable[ModelCard]) -> dict[tuple[str, str], list[str]]:
    """Group models by where the first of their weights come from, and its licence."""
    groups: dict[tuple[str, str], list[str]] = {}
    for card in cards:
        key = ("none published", "")
        if card.weights:
            key = (_place(card.weights[0]), card.weights[0].licence)
        groups.setdefault(key, []).append(card.name)
    return groups


def _place(weights: Weights) -> str:
    from urllib.parse import urlsplit

    if weights.url is None:
        return "by hand"
    return urlsplit(weights.url).hostname or weights.url


def _input(card: ModelCard) -> str:
    """Say what one view is: frames, their size in pixels, and what they are."""
    sizes: tuple[int, ...] = ()
    if card.protocol is not None:
        sizes = (card.protocol.frames, *card.protocol.crop)
    elif card.pose is not None:
        sizes = (card.pose.frames,)
    return f"{'x'.join(map(str, sizes))} {card.modality}"


def _short_paper(paper: str) -> str:
    """Name the first author and the year.

    >>> _short_paper("Tran et al., A Closer Look, CVPR 2018; flow: Crasto et al., MARS, CVPR 2019")
    'Tran 2018'
    """
    first = paper.split(";")[0]
    year = re.search(r"\b(?:19|20)\d\d\b", first)
    return f"{first.split()[0].rstrip(',')} {year[0] if year else ''}".rstrip()


def _as_json(card: ModelCard) -> dict[str, Any]:
    """Give the card but for what is the program's own business."""
    document = asdict(card)
    for name in ("builder", "class_names"):
        del document[name]
    return document | {"settings": dict(card.settings)}


def _show(card: ModelCard) -> None:
    rows = [
        ("title", card.title),
        ("paper", card.paper),
        ("reads", card.modality),
        ("classes", f"{card.classes}"),
        ("parameters", f"{card.parameters:,}"),
        ("GFLOPs", f"{card.gflops:g} (billions of multiply-adds of one view)"),
        ("settings", pairs_text({k: v for k, v in card.settings.items() if v != card.name})),
    ]
    if card.protocol is not None:
        rows.append(("input", pairs_text(asdict(card.protocol))))
    if card.pose is not None:
        rows.append(("input", pairs_text(asdict(card.pose))))
    click.echo(card.name)
    _print_rows(rows, "  ")
    if not card.weights:
        click.echo("  weights: none published; give --weights FILE")
    for weights in card.weights:
        click.echo(f"  weights: {weights.name}")
        sha256 = weights.sha256 or "not given by the publisher"
        _print_rows(
            [
                ("from", weights.url or f"{weights.where} (to be downloaded by hand)"),
                ("where", weights.where if weights.url else ""),
                ("SHA-256", sha256 if len(sha256) != 8 else f"begins {sha256}"),
                ("licence", weights.licence),
            ],
            "    ",
        )


def _print_rows(rows: Iterable[tuple[str, str]], indent: str) -> None:
    for name, value in rows:
        if value:
            for line in _WRAPPER.wrap(f"{name}: {value}"):
                click.echo(indent + line)

"""Cards: what people say of a dataset beside its clips, kept with each release.

A card is TOML with the keys of `FIELDS` and `[[authors]]`; docs/reference/bundle.md shows one.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from mimecurate.errors import InvalidInputError, Problem, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Card = dict[str, Any]

FIELDS = {
    "title": "the dataset's name in full",
    "description": "a paragraph",
    "homepage": "where it is published",
    "license": "SPDX id of the annotations' licence, e.g. CC-BY-4.0",
    "license_text": "the licence's text, where there is no SPDX id",
    "citation": "BibTeX",
    "contact": "whom to ask, and for takedowns",
    "published": "date of first publication, YYYY-MM-DD or a year",
    "motivation": "why it was made",
    "collection": "how videos were found and chosen",
    "annotation_protocol": "how clips were labelled",
    "annotators": "who labelled, in general terms",
    "preprocessing": "what was done to the media",
    "uses": "what it is for, and what not",
    "limitations": "what it can't show",
    "biases": "known biases",
    "personal_information": "what personal or sensitive information it holds",
    "social_impact": "good and harm that may come of it",
    "maintenance": "who maintains it, and how errors are reported",
}
"""Every text of a card, and what it says; all are optional."""
_AUTHOR_FIELDS = {"name", "affiliation", "orcid"}
_MAX_TEXT = 20_000

MIMETICS_CARD: Card = {
    "title": "Mimetics",
    "description": (
        "Short clips of mimed human actions for 50 classes of Kinetics, to evaluate action "
        "recognition out of context. Each clip says whether a mime artist acts, and whether an "
        "object or the scene gives the action away."
    ),
    "homepage": "https://europe.naverlabs.com/research/computer-vision/mimetics/",
    "published": "2021",
    "authors": [
        {"name": "Philippe Weinzaepfel", "affiliation": "NAVER Labs Europe"},
        {"name": "Grégory Rogez", "affiliation": "NAVER Labs Europe"},
    ],
    "citation": (
        "@article{weinzaepfel2021mimetics,\n"
        "  title = {Mimetics: Towards Understanding Human Actions Out of Context},\n"
        "  author = {Weinzaepfel, Philippe and Rogez, Gr{\\'e}gory},\n"
        "  journal = {International Journal of Computer Vision},\n"
        "  year = {2021}\n"
        "}"
    ),
    "motivation": (
        "Action recognition leans on objects and scenes. Mimed actions lack both, and people "
        "recognize them all the same (paper, Section 1)."
    ),
    "collection": (
        "Searches on YouTube for words such as miming, imitating, imaginary or invisible with an "
        "action or object, in several languages, and hours of watching; trimmed by hand to 1 to "
        "10 seconds (paper, Section 5.1)."
    ),
    "annotation_protocol": (
        "Per clip: mime artist, relevant object, relevant scene. Per class: size of the object, "
        "and whether there is a usual scene (paper, Section 5.2)."
    ),
    "uses": "For testing only, with models trained on Kinetics; not for training (Section 5.1).",
}
"""What the paper and the dataset's page say of Mimetics v1.0; no licence came with its files."""


def read_card(path: Path) -> Card:
    """Read a card from TOML.

    Raises:
        InvalidInputError: it is no card; every problem is listed.
    """
    try:
        document = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(
            str(path), [Problem(f"can't be read: {plain_words(error)}")]
        ) from error
    if problems := [Problem(message) for message in _card_problems(document)]:
        hint = f"a card may have: {', '.join(FIELDS)}, keywords and [[authors]]"
        raise InvalidInputError(str(path), problems, hint)
    return document


def checked_card(document: object, where: str) -> Card:
    """Return a card that came from elsewhere.

    Raises:
        ValueError: it is no card; every problem is listed.
    """
    if not isinstance(document, dict):
        raise ValueError(f"{where} must be an object")
    if problems := list(_card_problems(document)):
        raise ValueError(f"{where}: {'; '.join(problems[:10])}")
    return document


def card_of(row: Mapping[str, Any] | None) -> Card:
    """Return the card of a row of ``releases``; an empty one if there is no row."""
    card: Card = {} if row is None else json.loads(row["card"])
    return card


def _card_problems(card: Mapping[str, object]) -> Iterator[str]:
    for key, value in card.items():
        if key == "authors":
            yield from _author_problems(value)
        elif key == "keywords":
            if not isinstance(value, list) or not all(map(_is_line, value)):
                yield "keywords must be a list of short texts"
        elif key not in FIELDS:
            yield f"{key[:40]!r} is no field of a card"
        elif not isinstance(value, str) or len(value) > _MAX_TEXT or not _is_text(value):
            yield f"{key} must be a text of at most {_MAX_TEXT:,} characters: {FIELDS[key]}"
    homepage = card.get("homepage", "https://")
    if isinstance(homepage, str) and not homepage.startswith(("https://", "http://")):
        yield f"homepage {homepage[:80]!r} must be an http(s) link"


def _author_problems(authors: object) -> Iterator[str]:
    if not isinstance(authors, list):
        yield "authors must be a list of tables: [[authors]]"
        return
    for number, author in enumerate(authors, 1):
        if not isinstance(author, dict) or not set(author) <= _AUTHOR_FIELDS:
            yield f"author {number} may have name, affiliation and orcid"
        elif not author.get("name") or not all(map(_is_line, author.values())):
            yield f"author {number} needs a name, and short texts"


def _is_line(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 200 and value.isprintable()


def _is_text(value: str) -> bool:
    return all(c in "\n\t" or c.isprintable() for c in value)

"""The status of rounds as one self-contained HTML page. Nothing is fetched, and no script runs."""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING

import mimecurate
from mimecurate.annotation.pace import IDLE_S
from mimecurate.annotation.status_tables import (
    NO_CLASS,
    notes,
    pace_words,
    pulled_at,
    right_words,
    share,
)
from mimecurate.annotation.status_tally import GOLD_FIELDS
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.report_elements import Child, bdi, element, markup, policy_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from mimecurate.annotation.status import ClassStatus, RoundStatus

_MOST_REFUSALS = 200


def write_status_page(rounds: Sequence[RoundStatus], path: Path) -> None:
    """Write the status of rounds as one HTML page; a file that is there is replaced.

    Raises:
        MimecurateError: the file can't be written.
    """
    try:
        path.write_bytes(status_page(rounds).encode())
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {error.strerror}") from error


def status_page(rounds: Sequence[RoundStatus]) -> str:
    """Lay out the status of rounds as an HTML page; the same status gives the same bytes."""
    style = _resource("evaluation", "report.css") + "\n" + _resource("annotation", "status.css")
    clips, done = (sum(status.total(name) for status in rounds) for name in ("clips", "done"))
    heading = f"{done:,} of {clips:,} clips done"
    people = {row.annotator for status in rounds for row in status.annotators}
    pulls = [pulled_at(status) for status in rounds]
    facts = (
        ("Rounds", f"{len(rounds):,}"),
        ("Answers", f"{sum(status.answers for status in rounds):,}"),
        ("Annotators", f"{len(people):,}"),
        ("Pulled", "not all yet" if None in pulls else min(filter(None, pulls), default="-")),
    )
    return Template(_resource("annotation", "status.html")).substitute(
        policy=f"default-src 'none'; style-src {policy_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        title=markup(heading),
        style=style,
        heading=markup(heading),
        facts=markup(
            element(
                "dl",
                *(element("div", element("dt", n), element("dd", v)) for n, v in facts),
                class_="facts",
            )
        ),
        rounds=markup(*(_round(status, place) for place, status in enumerate(rounds))),
        version=mimecurate.__version__,
    )


def _round(status: RoundStatus, place: int) -> Element:
    name = f"round-{place}"
    kind = "" if status.kind == "annotation" else f" ({status.kind})"
    parts: list[Child] = [
        element("h2", "Round ", bdi(status.round), kind, id=name),
        _whole(status),
        *(element("p", line, class_="note") for line in notes(status)),
        element("h3", "Classes"),
        _classes(status),
        element("h3", "Annotators"),
        _annotators(status),
    ]
    if any(row.gold for row in status.annotators):
        parts += [element("h3", "Right answers on clips whose answer is known"), _gold(status)]
    if status.prefilled.clips:
        parts += [element("h3", "Classes that were filled in beforehand"), _prefilled(status)]
    if status.refusals:
        parts += [element("h3", "Answers that can't be taken over"), _refusals(status)]
    return element("section", *parts, aria_labelledby=name)


def _whole(status: RoundStatus) -> Element:
    done, open_, clips = (status.total(name) for name in ("done", "open", "clips"))
    return element(
        "figure",
        _bar(done, open_, clips, f"{done:,} of {clips:,} clips done"),
        element(
            "figcaption",
            element("span", f"{done:,} done ({share(done, clips)})", class_="key done"),
            ", ",
            element("span", f"{open_:,} open", class_="key open"),
            f"; of these, somebody skipped {status.total('skipped'):,} and began "
            f"{status.total('drafts'):,} without submitting.",
        ),
        class_="whole",
    )


def _bar(done: int, open_: int, scale: int, words: str) -> Element:
    """Draw two numbers as one bar; ``scale`` would fill it."""
    unit = 1000 / max(scale, 1)
    parts = (("done", 0.0, done * unit), ("open", done * unit, open_ * unit))
    return element(
        "svg",
        *(
            element("rect", class_=name, x=f"{x:.1f}", width=f"{width:.1f}", height=1)
            for name, x, width in parts
        ),
        class_="bar",
        viewBox="0 0 1000 1",
        preserveAspectRatio="none",
        role="img",
        aria_label=words,
    )


def _classes(status: RoundStatus) -> Element:
    scale = max((row.clips for row in status.classes), default=1)
    columns = ("clips", "done", "open", "skipped", "drafts")

    def bar(row: ClassStatus) -> Element:
        words = f"{row.done:,} of {row.clips:,} done"
        return element("td", _bar(row.done, row.open, scale, words), class_="bar-cell")

    rows = [
        element(
            "tr",
            _name(row.label or NO_CLASS),
            bar(row),
            *(_cell(f"{getattr(row, name):,}") for name in columns),
        )
        for row in status.classes
    ]
    heads = [_head("Class", "words"), _head("Done", "bar-cell")]
    heads += [_head(name.capitalize()) for name in columns]
    return _table("Classes", heads, rows)


def _annotators(status: RoundStatus) -> Element:
    rows = [
        element(
            "tr",
            _name(row.annotator),
            *(_cell(f"{n:,}") for n in (row.answers, row.skipped, row.open, row.drafts)),
            *(_cell(words) for words in pace_words(row.pace)),
        )
        for row in status.annotators
    ]
    heads = [_head("Annotator", "words")]
    heads += [_head(w) for w in ("Answers", "Skipped", "Open", "Drafts", "Clips/h", "Median s")]
    minutes = f"{IDLE_S / 60:.0f} min"
    note = (
        f"Clips an hour of work: breaks over {minutes} are left out, and from the median the clips "
        "that were open for longer than that."
    )
    return _table("Annotators", heads, rows, note)


def _gold(status: RoundStatus) -> Element:
    fields = [n for n in GOLD_FIELDS if any(n in row.gold for row in status.annotators)]
    rows = [
        element("tr", _name(row.annotator), *(_cell(right_words(row.gold.get(n))) for n in fields))
        for row in status.annotators
        if row.gold
    ]
    heads = [_head("Annotator", "words"), *(_head(name.replace("_", " ")) for name in fields)]
    return _table(
        "Right answers", heads, rows, "How many were right, of those that can be compared."
    )


def _prefilled(status: RoundStatus) -> Element:
    rows = []
    for row in status.annotators:
        shown, kept = row.prefilled.clips, row.prefilled.right
        if shown:
            cells = (f"{shown:,}", f"{kept:,}", f"{shown - kept:,}", share(kept, shown))
            rows.append(element("tr", _name(row.annotator), *map(_cell, cells)))
    heads = [_head("Annotator", "words")]
    heads += [_head(w) for w in ("Answers", "Accepted", "Changed", "Accepted %")]
    return _table(
        "Classes filled in", heads, rows, "Answers that name a class, where one was shown."
    )


def _refusals(status: RoundStatus) -> Element:
    shown = status.refusals[:_MOST_REFUSALS]
    rows = [
        element("tr", *(element("td", bdi(text or "-"), class_="words") for text in texts))
        for texts in ((r.clip_id, r.annotator, r.why) for r in shown)
    ]
    heads = [_head(words, "words") for words in ("Clip", "Annotator", "Why")]
    note = f"{len(shown):,} of {len(status.refusals):,}, as last seen on the server."
    return _table("Refused answers", heads, rows, note, class_="refusals")


def _table(
    label: str, heads: Sequence[Element], rows: Iterable[Element], note: str = "", class_: str = ""
) -> Element:
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows))
    scroll = element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)
    above = [element("p", note, class_="note")] if note else []
    return element("div", *above, scroll, class_=class_ or None)


def _head(words: str, class_: str = "number") -> Element:
    return element("th", words, scope="col", class_=class_)


def _name(words: str) -> Element:
    return element("th", bdi(words), scope="row", class_="words")


def _cell(words: str) -> Element:
    return element("td", words, class_="number")


def _resource(folder: str, name: str) -> str:
    return resources.files(f"mimecurate.{folder}").joinpath(name).read_text("utf-8")

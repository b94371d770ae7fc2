"""DATASHEET.md: the questions of Gebru et al., "Datasheets for Datasets" (CACM 2021), answered.

Numbers come from the database, words from the release's card; what neither knows is said to be so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mimecurate.curation.release_texts import license_id, markdown, prose, table

if TYPE_CHECKING:
    from mimecurate.curation.release_edition import Edition

NOT_STATED = "Not stated."


def datasheet(edition: Edition) -> str:
    """Write the datasheet of a release."""
    card = edition.card

    def said(field: str) -> str:
        return prose(str(card[field])) if card.get(field) else NOT_STATED

    sections = [
        ("Motivation", [("Why was it made?", said("motivation")), ("By whom?", _authors(edition))]),
        (
            "Composition",
            [
                ("What is in it?", _composition(edition)),
                ("What is missing?", _missing(edition)),
                ("Does it hold personal or sensitive information?", said("personal_information")),
            ],
        ),
        ("Collection", [("How were videos found and chosen?", said("collection"))]),
        (
            "Labelling",
            [
                ("How were clips labelled?", said("annotation_protocol")),
                ("Who labelled them?", said("annotators")),
                ("How many answers stand behind it?", _labelling(edition)),
                ("What did the checks find before it was frozen?", _findings(edition)),
            ],
        ),
        ("Preprocessing", [("What was done to the media?", said("preprocessing"))]),
        (
            "Uses",
            [
                ("What is it for, and what not?", said("uses")),
                ("What are its limits?", said("limitations")),
                ("Which biases are known?", said("biases")),
                ("What good or harm may come of it?", said("social_impact")),
            ],
        ),
        (
            "Distribution",
            [
                ("Under which licence?", markdown(license_id(edition) or NOT_STATED)),
                ("Where?", markdown(str(card.get("homepage") or NOT_STATED))),
            ],
        ),
        (
            "Maintenance",
            [
                ("Who maintains it?", said("maintenance")),
                ("Whom to ask, for a takedown too?", said("contact")),
                ("How does it change?", _VERSIONS),
            ],
        ),
    ]
    lines = [f"# Datasheet of {markdown(edition.title)} {edition.release.version}"]
    for heading, questions in sections:
        lines.append(f"## {heading}")
        for question, answer in questions:
            lines += [f"### {question}", answer]
    return "\n\n".join(lines) + "\n"


_VERSIONS = (
    "Added clips make a MINOR version; an edit, a move to another split or a removal a MAJOR one; "
    "other packaging of the same rows a PATCH. Withdrawn clips are removed with a MAJOR version; "
    "their ids and the reason stay. CHANGELOG.md lists the versions."
)


_REHYDRATE = "Videos disappear from their site: `mimecurate release rehydrate` says what is left."


def _authors(edition: Edition) -> str:
    authors = edition.card.get("authors") or []
    names = [
        f"{author['name']} ({author['affiliation']})"
        if author.get("affiliation")
        else author["name"]
        for author in authors
    ]
    return markdown("; ".join(names)) + "." if names else NOT_STATED


def _composition(edition: Edition) -> str:
    counts, seconds = edition.counts, edition.facts.get("seconds") or {}
    text = (
        f"{len(edition.release.clips):,} clips of {counts['videos']:,} videos in "
        f"{len(edition.release.classes):,} classes: a video's id, an interval, a class, a split "
        "and three flags each. No video, and no frame, is part of it."
    )
    if seconds.get("total"):
        text += (
            f" Clips last {seconds['shortest']:g} to {seconds['longest']:g} s, "
            f"{seconds['mean']:.1f} s on average, {seconds['total'] / 3600:.2f} h together."
        )
    rows = sorted(counts["per_class"].items())
    return f"{text}\n\n{table(['class', 'clips'], rows)}"


def _missing(edition: Edition) -> str:
    facts, parts = edition.facts, []
    if edition.withdrawn:
        parts.append(
            f"{len(edition.withdrawn):,} clips were withdrawn; `withdrawn.csv` lists them."
        )
    if facts.get("clips_fetched") or facts.get("clips_failed"):
        parts.append(
            f"Whoever made this copy could fetch {facts['clips_fetched']:,} clips, and could not "
            f"fetch {facts['clips_failed']:,}."
        )
    return " ".join([*parts, _REHYDRATE])


def _labelling(edition: Edition) -> str:
    facts: Any = edition.facts
    lines = [f"- made from: {markdown(edition.origin)}"]
    if facts.get("annotations"):
        lines.append(
            f"- {facts['annotations']:,} annotations of {facts['clips_annotated']:,} clips by "
            f"{facts['annotators']:,} annotators"
        )
    for method, number in (facts.get("decisions") or {}).items():
        lines.append(f"- {number:,} clips {markdown(method)}")
    if len(lines) == 1:
        lines.append("- annotations of single annotators are not in this workspace")
    return "\n".join(lines)


def _findings(edition: Edition) -> str:
    if not edition.findings:
        return "Nothing."
    return "\n".join(f"- {markdown(name)}: {n:,}" for name, n in sorted(edition.findings.items()))

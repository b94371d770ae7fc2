"""The texts of a bundle: README as a Hugging Face card, citation, licence, changelog."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mimecurate.schemas.subsets import SUBSETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mimecurate.curation.release_edition import Edition

LICENSES = {
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "CC-BY-SA-4.0": "https://creativecommons.org/licenses/by-sa/4.0/",
    "CC-BY-NC-4.0": "https://creativecommons.org/licenses/by-nc/4.0/",
    "CC-BY-NC-SA-4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/",
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
}
"""Licences of which the bundle can name the full text."""
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_MEDIA_NOTICE = (
    "The videos are not part of this release. They belong to those who made them, and are subject "
    "to the terms of the site they are on."
)


def markdown(text: str) -> str:
    r"""Escape free text for one line of Markdown, so that it is shown as it is.

    >>> print(markdown("<b>*x*</b>"))
    &lt;b&gt;\*x\*&lt;/b&gt;
    """
    escaped = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    escaped = escaped.replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#" else c for c in escaped)


def prose(text: str) -> str:
    """Escape free text of several lines for Markdown; empty lines part paragraphs."""
    return "\n\n".join(markdown(part) for part in text.split("\n\n"))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Write a Markdown table; text is escaped."""
    lines = [f"| {' | '.join(columns)} |", f"|{'|'.join(' --- ' for _ in columns)}|"]
    lines += [f"| {' | '.join(markdown(str(cell)) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def quoted(text: str) -> str:
    """Write text as a YAML scalar: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def license_id(edition: Edition) -> str | None:
    """Return the SPDX id of the annotations' licence, None if there is none."""
    value = edition.card.get("license")
    return None if value is None else str(value)


def readme(edition: Edition) -> str:
    """Write the README, with the heading that Hugging Face reads."""
    release, card, counts = edition.release, edition.card, edition.counts
    description = card.get("description") or "Clips of human actions, listed by video and interval."
    withheld = len(edition.withdrawn)
    parts = [
        "\n".join(_front_matter(edition)),
        f"# {markdown(edition.title)} {release.version}",
        prose(str(description)),
        f"`{edition.reference}`, frozen {release.created[:10]}, digest\n`{release.digest}`.",
        f"{len(release.clips):,} clips of {counts['videos']:,} videos in "
        f"{len(release.classes):,} classes."
        + (f" {withheld:,} more were withdrawn; `withdrawn.csv` lists them." if withheld else ""),
        _MEDIA_NOTICE,
        "## Splits",
        table(["split", "clips"], list(counts["splits"].items())),
        "## Subsets",
        table(["subset", "clips"], [(name, counts["subsets"].get(name, 0)) for name in SUBSETS]),
        "A flag that is unsure or was not annotated is in neither half.",
        _FILES,
        "## Use",
        _USE.format(name=release.name, version=release.version),
        "## Citation",
        _citation(edition),
        "## Licence",
        prose(_license_line(edition)),
    ]
    return "\n\n".join(parts) + "\n"


_FILES = """## Files

| file | holds |
| --- | --- |
| `clips.csv`, `clips.jsonl` | a row per clip; the CSV begins with the columns of Kinetics |
| `data/` | the same as parquet, a file per split |
| `classes.csv` | the classes, with object size and whether there is a usual scene |
| `splits/`, `subsets/` | clip ids |
| `release.json` | name, version, digest, counts, how it was made, history |
| `croissant.json` | the same for machines, in Croissant |
| `SHA256SUMS` | checksums of all files |

Times are seconds in `clips.csv` and milliseconds elsewhere; an interval is half-open. In CSV, free
text that a spreadsheet would take for a formula begins with `'`."""
_USE = """```python
from datasets import load_dataset

clips = load_dataset("path/of/this/folder")
```

```
mimecurate release check path/of/this/folder
mimecurate release import path/of/this/folder --format bundle
mimecurate release rehydrate {name}@{version}
```"""


def _front_matter(edition: Edition) -> Iterator[str]:
    yield "---"
    yield f"pretty_name: {quoted(edition.title)}"
    license = license_id(edition)
    yield f"license: {license.lower() if license in LICENSES else 'other'}"
    if license not in LICENSES:
        yield f"license_name: {quoted(license or 'not stated')}"
        yield "license_link: LICENSE"
    yield "task_categories:"
    yield "- video-classification"
    if keywords := edition.card.get("keywords"):
        yield "tags:"
        yield from (f"- {quoted(word)}" for word in keywords)
    clips = len(edition.release.clips)
    size = next((name for limit, name in _SIZES if clips < limit), "1M<n<10M")
    yield "size_categories:"
    yield f"- {size}"
    yield "configs:"
    yield "- config_name: default"
    yield "  data_files:"
    for split in sorted({clip.split for clip in edition.release.clips}):
        yield f"  - split: {split}"
        yield f"    path: data/{split}.parquet"
    yield "---"


def _citation(edition: Edition) -> str:
    citation = edition.card.get("citation")
    cited = (
        f"Cite the version and digest with it: `{edition.reference}`, `{edition.release.digest}`."
    )
    if not citation:
        return cited
    fence = "```"
    while fence in citation:
        fence += "`"
    return f"{fence}bibtex\n{citation}\n{fence}\n\n{cited}"


def _license_line(edition: Edition) -> str:
    license = license_id(edition)
    if license in LICENSES:
        return f"Annotations: {license}, {LICENSES[license]}. {_MEDIA_NOTICE}"
    if license or edition.card.get("license_text"):
        return f"Annotations: {license or 'see the file LICENSE'}. {_MEDIA_NOTICE}"
    return f"No licence of the annotations was stated. {_MEDIA_NOTICE}"


def license_text(edition: Edition) -> str:
    """Write LICENSE: what may be done with the annotations, as far as anybody said."""
    license, text = license_id(edition), edition.card.get("license_text")
    whose = f"The annotations of {edition.title} {edition.release.version} in this folder"
    if text:
        body = str(text)
    elif license in LICENSES:
        body = (
            f"{whose} are licensed under {license}.\n\n"
            f"The full text is at {LICENSES[license]}legalcode"
        )
    elif license:
        body = f"{whose} are licensed under {license}.\n\nThe full text is at its publisher's."
    else:
        body = (
            f"No licence was stated for the annotations of {edition.title}. Without one, nobody "
            "but their\nauthors may publish them further; ask them."
        )
    return f"{body}\n\n{_MEDIA_NOTICE}\n"


def citation_cff(edition: Edition) -> str:
    """Write CITATION.cff, version 1.2.0."""
    release, card = edition.release, edition.card
    lines = [
        "cff-version: 1.2.0",
        'message: "If you use this dataset, please cite it with its version and digest."',
        "type: dataset",
        f"title: {quoted(edition.title)}",
        f"version: {quoted(release.version)}",
        f"date-released: {quoted(release.created[:10])}",
        "authors:",
    ]
    authors = card.get("authors") or [{"name": f"The makers of {edition.title}"}]
    for author in authors:
        lines.append(f"- name: {quoted(author['name'])}")
        if author.get("orcid"):
            lines.append(f"  orcid: {quoted(author['orcid'])}")
    if card.get("homepage"):
        lines.append(f"url: {quoted(card['homepage'])}")
    if license_id(edition) in LICENSES:
        lines.append(f"license: {license_id(edition)}")
    lines += [
        "identifiers:",
        "- type: other",
        f"  value: {quoted('sha256:' + release.digest)}",
        '  description: "Digest of the release: its rows, the same on every machine"',
    ]
    return "\n".join(lines) + "\n"


def changelog(edition: Edition) -> str:
    """Write the changelog: every version, newest first."""
    parts = [f"# Versions of {markdown(edition.title)}"]
    for entry in edition.history:
        changes = entry.get("changes") or {}
        parts.append(f"## {entry.get('version')}, {str(entry.get('created'))[:10]}")
        lines = [f"- {_words(key)}: {number:,}" for key, number in changes.items() if number]
        lines.append(f"- clips: {entry.get('clips')}")
        lines.append(f"- made from: {markdown(str(entry.get('origin')))}")
        lines.append(f"- digest: `{entry.get('digest')}`")
        parts.append("\n".join(lines))
    if edition.withdrawn:
        parts.append("## Withdrawn clips of this version")
        rows = [(w.clip_id, w.withdrawn_at[:10], w.reason) for w in edition.withdrawn]
        parts.append(table(["clip", "date", "reason"], rows))
    if edition.withdrawn_earlier:
        parts.append("## Clips of earlier versions that were withdrawn")
        rows = [(w.clip_id, w.withdrawn_at[:10], w.reason) for w in edition.withdrawn_earlier]
        parts.append(table(["clip", "date", "reason"], rows))
    return "\n\n".join(parts) + "\n"


def _words(key: str) -> str:
    names = {"added": "clips added", "removed": "clips removed", "changed": "clips changed"}
    return names.get(key, markdown(key.replace("_", " ")))

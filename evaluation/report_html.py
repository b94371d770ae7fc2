"""The report as one self-contained page: `mimecurate evaluate --html`.

Nothing is fetched: style, script and data are inside, and the page's Content-Security-Policy lets
nothing else in but the clips' own files beside it. The same report always gives the same bytes.
"""

from __future__ import annotations

from importlib import resources
from string import Template
from typing import TYPE_CHECKING

import mimecurate
from mimecurate.errors import MimecurateError
from mimecurate.evaluation.report_data import embedded_json, page_data
from mimecurate.evaluation.report_elements import element, markup, policy_hash
from mimecurate.evaluation.report_media import find_media, media_links
from mimecurate.evaluation.report_sections import (
    comparisons,
    coverage,
    files,
    gaps,
    head,
    policies,
    results,
    subsets,
    title,
    warnings,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from xml.etree.ElementTree import Element

    from mimecurate.evaluation.report import Report

_STYLES = ("report.css", "report_parts.css", "report_media.css")
_SCRIPTS = ("report.js", "report_classes.js", "report_clips.js")


def write_report(report: Report, path: Path, clips_dir: Path | None = None) -> None:
    """Write a report as one HTML page.

    Args:
        report: what `build_report` gives.
        path: the file to write; one that is there is replaced.
        clips_dir: where the clips' media are, in any folders below; the page links to them
            relative to itself. None: the page plays nothing.

    Raises:
        MimecurateError: the file can't be written, or the folder not read.
    """
    links = None
    if clips_dir is not None:
        media = find_media(clips_dir, [clip.clip_id for clip in report.targets.clips])
        links = media_links(media, path)
    page = report_page(report, links)
    try:
        path.write_bytes(page.encode())
    except OSError as error:
        raise MimecurateError(f"{path} can't be written: {error.strerror}") from error


def report_page(report: Report, links: Mapping[str, str] | None = None) -> str:
    """Lay out a report as an HTML page.

    Args:
        report: what `build_report` gives.
        links: the URL of each clip that can be played; None: the page plays nothing.
    """
    style = "\n".join(map(_resource, _STYLES))
    script = "\n".join(map(_resource, _SCRIPTS))
    compared = _section("comparisons", "Comparison of systems", comparisons(report), _COMPARED)
    context = _section("context", "In and out of context", gaps(report), _CONTEXT)
    return Template(_resource("report.html")).substitute(
        policy=_security_policy(style, script, plays=links is not None),
        title=markup(title(report)),
        style=style,
        links=markup(
            *_link("context", "Context", context), *_link("comparisons", "Comparisons", compared)
        ),
        head=markup(head(report)),
        warnings=_optional(warnings(report)),
        results=markup(*results(report)),
        coverage=markup(coverage(report), policies(report), files(report)),
        subsets=markup(subsets(report)),
        comparisons=_optional(context) + _optional(compared),
        media=_optional(_media_line(report, links)),
        version=mimecurate.__version__,
        data=embedded_json(page_data(report, links)),
        script=script,
    )


_COMPARED = (
    "Of two systems, on how many clips only one is right. The test takes clips as independent; "
    "the interval of the difference knows that clips of one video are not."
)
_CONTEXT = (
    "How much more often a system is right where an object or the scene gives the action away."
)


def _resource(name: str) -> str:
    return resources.files("mimecurate.evaluation").joinpath(name).read_text("utf-8")


def _security_policy(style: str, script: str, *, plays: bool) -> str:
    rules = [
        "default-src 'none'",
        f"style-src {policy_hash(style)}",
        f"script-src {policy_hash(script)}",
        "img-src data:",
        *(["media-src 'self' file:"] if plays else []),
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def _section(name: str, words: str, content: Element | None, note: str) -> Element | None:
    if content is None:
        return None
    heading = element("h2", words, id=name)
    return element(
        "section", heading, element("p", note, class_="note"), content, aria_labelledby=name
    )


def _link(name: str, words: str, section: Element | None) -> list[Element]:
    return [] if section is None else [element("li", element("a", words, href=f"#{name}"))]


def _optional(part: Element | None) -> str:
    return "" if part is None else markup(part)


def _media_line(report: Report, links: Mapping[str, str] | None) -> Element | None:
    if links is None:
        return None
    clips = len(report.targets.clips)
    absent = clips - len(links)
    words = f"{len(links):,} of {clips:,} clips have a file to play."
    if absent:
        words += f" {absent:,} are absent: choose “Clip file: absent” to see which."
    return element("p", words, class_="note", id="media-line")

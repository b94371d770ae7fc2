"""The re-hydration report as one small page, without scripts and without the network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mimecurate.curation.release_rehydrate import Rehydration, Share

_STYLE = """
:root { color-scheme: light dark; --bar: #3b7dd8; --rest: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2rem }
.digest { font-family: ui-monospace, monospace; overflow-wrap: anywhere }
.scroll { overflow-x: auto }
table { border-collapse: collapse }
th, td { text-align: left; padding: .2rem .6rem .2rem 0; border-bottom: 1px solid var(--rest);
  vertical-align: top }
th, td { overflow-wrap: anywhere }
.n { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: normal }
td.n { white-space: nowrap }
meter { width: 8rem }
@media (max-width: 40rem) { meter { width: 3rem } body { font-size: 15px } }
"""


def rehydration_page(report: Rehydration) -> str:
    """Write the report as HTML; everything from elsewhere is escaped."""
    share = _percent(report.present, report.clips)
    parts = [
        f"<h1>{escape(report.reference)}: {report.present:,} of {report.clips:,} clips</h1>",
        f"<p>{share} of the release was in this workspace at {escape(report.at)}.</p>",
        "<h2>To cite</h2>",
        f"<p>Release <span class=digest>{escape(report.digest)}</span><br>",
        f"What is present <span class=digest>{escape(report.present_digest)}</span></p>",
        "<h2>Why clips are missing</h2>",
        _table(("reason", "clips"), [(r, f"{n:,}") for r, n in report.by_reason.items()])
        if report.by_reason
        else "<p>None is.</p>",
        *_shares("Splits", report.by_split),
        *_shares("Subsets", report.by_subset),
        *_shares("Classes", report.by_class),
    ]
    if report.missing:
        rows = [(m.clip_id, m.label or "", m.reason, m.link, m.message) for m in report.missing]
        parts += [
            "<h2>Missing clips</h2>",
            _table(("clip", "class", "reason", "link", "the source's words"), rows),
        ]
    title = escape(f"{report.reference}: {report.present} of {report.clips} clips")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _shares(heading: str, shares: Mapping[str, Share]) -> list[str]:
    rows = []
    for name, share in shares.items():
        meter = f'<meter min=0 max="{max(share.clips, 1)}" value="{share.present}"></meter>'
        breakable = escape(name).replace("_", "_<wbr>")
        cells = f"<td>{breakable}<td class=n>{share.present:,}<td class=n>{share.clips:,}"
        rows.append(f"<tr>{cells}<td class=n>{_percent(share.present, share.clips)}<td>{meter}")
    head = "<tr><th>name<th class=n>present<th class=n>listed<th class=n>share<th>"
    body = "\n".join(rows)
    return [f"<h2>{heading}</h2>", f"<div class=scroll><table>{head}\n{body}\n</table></div>"]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<div class=scroll><table><tr>{head}\n{body}\n</table></div>"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"

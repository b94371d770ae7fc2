"""The demo's search: queries of the shipped set over the titles of its films."""

from __future__ import annotations

import csv
import shlex
from typing import TYPE_CHECKING

from mimecurate.commands.demo_annotate import run_command

if TYPE_CHECKING:
    from mimecurate.curation.demo_films import Film
    from mimecurate.curation.loopback import LoopbackServer
    from mimecurate.curation.workspace import Workspace


def find_candidates(workspace: Workspace, films: tuple[Film, ...], server: LoopbackServer) -> None:
    """Search the films' titles for mimes, and show what was found."""
    from mimecurate.curation.demo_films import video_id_of
    from mimecurate.curation.query_sets import (
        QUERY_COLUMNS,
        build_queries,
        query_rows,
        read_templates,
        read_words,
    )

    words = {w.label: w for w in read_words() if w.language == "en"}
    titles = workspace.root / "films.csv"
    with titles.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("url", "title", "video_id"))
        for film in films:
            action = words[film.label].action[0]
            title = f"Miming {action} on a stage" if film.is_mime else f"A day of {action}"
            writer.writerow((server.url(film.name), title, video_id_of(film)))
    queries = workspace.root / "queries.csv"
    wanted = sorted({film.label for film in films})
    with queries.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(QUERY_COLUMNS)
        made = build_queries(read_templates(), read_words(), languages=["en"], classes=wanted)
        writer.writerows(query_rows(made))
    files = " ".join(
        f"{option} {shlex.quote(str(path))}"
        for option, path in (("--queries", queries), ("--files", titles))
    )
    run_command(workspace, f"discover --source files {files} --max-queries 100")
    run_command(workspace, "discover list --limit 5")

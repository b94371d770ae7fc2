"""`mimecurate discover queries`: make a file of queries from templates and words."""

from __future__ import annotations

from pathlib import Path

import click

from mimecurate.commands.options import json_option
from mimecurate.console import counted, print_csv, print_json, say

_IN_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("queries")
@click.option(
    "--set",
    "set_name",
    type=click.Choice(["mimetics", "kinetics400"]),
    default="mimetics",
    show_default=True,
    help="The words that are shipped: 50 classes in 12 languages, or 400 class names in English.",
)
@click.option("--templates", type=_IN_FILE, help="Your templates: CSV language,template,text.")
@click.option("--words", type=_IN_FILE, help="Your words: CSV class,language,action,object.")
@click.option("--languages", metavar="en,fr,…", default="", help="Only these languages.")
@click.option("--class", "classes", multiple=True, help="Only this class; may be repeated.")
@click.option(
    "--tables",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write the set's two tables here, to edit, instead of queries.",
)
@json_option
def queries(
    set_name: str,
    templates: Path | None,
    words: Path | None,
    languages: str,
    classes: tuple[str, ...],
    tables: Path | None,
    as_json: bool,
) -> None:
    """Make queries: every template filled with the words of every class, as CSV on stdout.

    The shipped words and templates are the project's own; no native speaker has reviewed them.
    Write the tables out, edit them, and give them back with --templates and --words.

    \b
    Example:
      mimecurate discover queries --languages en,pt --class "playing guitar" > queries.csv
      mimecurate discover queries --tables my-tables
      mimecurate discover queries --words my-tables/words.csv > queries.csv
    """
    from mimecurate.curation.class_list import normal_class_name
    from mimecurate.curation.query_sets import (
        QUERY_COLUMNS,
        build_queries,
        query_rows,
        read_templates,
        read_words,
        shipped_set,
        write_tables,
    )

    own_templates, own_words = shipped_set(set_name)
    own_templates = read_templates(templates) if templates else own_templates
    own_words = read_words(words) if words else own_words
    if tables is not None:
        for path in write_tables(tables, own_templates, own_words):
            say(f"written: {path}")
        return
    made = list(
        build_queries(
            own_templates,
            own_words,
            languages=[part.strip() for part in languages.split(",") if part.strip()],
            classes=[normal_class_name(name) for name in classes],
        )
    )
    rows = query_rows(made)
    if as_json:
        print_json([dict(zip(QUERY_COLUMNS, row, strict=True)) for row in rows])
    else:
        print_csv(QUERY_COLUMNS, rows)
    texts = len({(query.text, query.language) for query in made})
    classes_made = counted(len({query.label for query in made}), "class")
    say(f"{counted(texts, 'different query')} for {classes_made}")
    if not words:
        say(
            "the shipped words were reviewed by no native speaker; `discover queries --tables DIR` "
            "writes them out to edit"
        )

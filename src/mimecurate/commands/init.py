"""`mimecurate init`."""

from __future__ import annotations

from pathlib import Path

import click

from mimecurate.console import counted, say


@click.command("init")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path), default=Path("."))
@click.option(
    "--classes",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Class list: a name per line, or CSV with name[,object_size][,scene][,definition].",
)
def command(directory: Path, classes: Path | None) -> None:
    """Make a workspace.

    Makes the folder, its database, a place for clips, and a settings file in which every setting
    stands at its default, commented out. Running it again changes nothing that is there; a class
    list replaces the definitions of the classes it names.

    \b
    Example:
      mimecurate init mimetics --classes classes.csv
    """
    from mimecurate.curation.browse import write_datasette_metadata
    from mimecurate.curation.class_list import read_class_list, store_classes
    from mimecurate.curation.workspace import open_workspace
    from mimecurate.schemas.settings import SETTINGS_FILE, settings_file_text

    entries = read_class_list(classes) if classes else []
    with open_workspace(directory) as workspace:
        settings = directory / SETTINGS_FILE
        if not settings.exists():
            settings.write_text(settings_file_text(), "utf-8")
        write_datasette_metadata(directory)
        store_classes(workspace.db, entries)
        total = workspace.db["classes"].count
    say(
        f"workspace ready in {directory}: mimecurate.db, clips/, {SETTINGS_FILE}, metadata.yaml; "
        f"{counted(total, 'class')}"
    )

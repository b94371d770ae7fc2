"""The metadata for Datasette names what is there, and its queries run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from release_lists import CLIPS, annotate, clip, know, release

from mimecurate.curation.browse import datasette_metadata, write_datasette_metadata
from mimecurate.curation.release_withdraw import withdraw
from mimecurate.curation.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METADATA: dict[str, Any] = yaml.safe_load(datasette_metadata())["databases"]["mimecurate"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    with open_workspace(tmp_path_factory.mktemp("ws")) as opened:
        for one in CLIPS:
            know(opened.db, one)
        annotate(opened.db, CLIPS[0], "ann")
        annotate(opened.db, CLIPS[0], "bob", verdict="no")
        release(opened.db, "m@1.0.0")
        withdraw(opened, "m", "asked", clip_ids=[CLIPS[1].clip_id])
        release(opened.db, "m@3.0.0", [*CLIPS[:1], clip("vid-0000009")])
        yield opened


def test_every_table_and_view_is_named_with_facets_it_has(workspace: Workspace) -> None:
    db = workspace.db
    there = {*db.table_names(), *db.view_names()}
    assert set(METADATA["tables"]) == there - {"sqlite_sequence"}
    for name, about in METADATA["tables"].items():
        columns = set(db[name].columns_dict)
        named = {*about.get("facets", ()), *about.get("columns", ())}
        named |= {about[key] for key in ("sort", "sort_desc") if key in about}
        assert named <= columns, name


def test_references_that_datasette_labels_name_their_column(workspace: Workspace) -> None:
    """Of a table with a name or a title, it shows that instead of the id, and has to find it."""
    db = workspace.db
    for name in db.table_names():
        for reference in db.execute(f"SELECT * FROM pragma_foreign_key_list('{name}')"):
            _, _, other, _, column, *_ = reference
            if {"name", "title"} & set(db[other].columns_dict):
                assert column is not None, f"{name}: REFERENCES {other} (COLUMN)"


ROWS = {
    "candidates": 3,
    "releases_in_numbers": 3,
    "clips_of_a_release": 4,
    "changes_between_releases": 4,
    "progress_by_class": 4,
    "disagreements": 1,
    "annotators": 2,
    "why_clips_are_missing": 0,
    "videos_found_gone": 0,
}


@pytest.mark.parametrize("name", METADATA["queries"])
def test_queries_run(workspace: Workspace, name: str) -> None:
    query = METADATA["queries"][name]
    given = dict.fromkeys(query.get("params", ()), "") | {"release": "m@1.0.0"}
    given |= {"a": "m@1.0.0", "b": "m@3.0.0"}
    assert set(re.findall(r":([a-z_]+)", query["sql"])) <= set(query.get("params", ()))
    rows = workspace.db.execute(query["sql"], given).fetchall()
    assert len(rows) == ROWS[name]


def test_a_file_of_the_user_is_left_alone(tmp_path: Path) -> None:
    assert write_datasette_metadata(tmp_path)
    (tmp_path / "metadata.yaml").write_text("mine")
    assert not write_datasette_metadata(tmp_path)
    assert (tmp_path / "metadata.yaml").read_text() == "mine"

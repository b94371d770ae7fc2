"""Parquet alone: clips and classes, for pandas and its like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.release_export_tables import about, write_clips_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.release_edition import Edition


def write_parquet(edition: Edition, out: Path) -> list[str]:
    """Write ``clips.parquet`` and ``classes.parquet``; both name the release and its digest."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    release = edition.release
    write_clips_parquet(out / "clips.parquet", release.clips, about(edition))
    columns = {
        "name": pa.array([c.name for c in release.classes], pa.string()),
        "object_size": pa.array([c.object_size for c in release.classes], pa.string()),
        "scene": pa.array([c.scene for c in release.classes], pa.bool_()),
    }
    table = pa.table(columns).replace_schema_metadata(about(edition))
    pq.write_table(table, out / "classes.parquet")
    return []

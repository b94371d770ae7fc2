"""Read the lists that Kinetics, and datasets in its form, are published as: CSV or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mimecurate.curation.release_import_activitynet import read_activitynet_json
from mimecurate.curation.url_list import ClipRequest, read_url_list
from mimecurate.errors import InvalidInputError, Problem
from mimecurate.schemas.ids import clip_id
from mimecurate.schemas.release import ReleasedClip, check_class_name, check_split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mimecurate.curation.release_problems import Problems

Listed = tuple[str, ReleasedClip]
"""Where a clip was read (``train.csv, line 3``), and the clip."""


def kinetics_files(source: Path) -> list[Path]:
    """List the files to read: ``source`` itself, or the CSVs, else the JSONs, in a folder.

    Raises:
        InvalidInputError: there is none.
    """
    if source.is_file():
        return [source]
    for ending in ("*.csv", "*.json"):
        if files := sorted(path for path in source.glob(ending) if path.is_file()):
            return files
    raise InvalidInputError(
        str(source), [Problem("holds no .csv and no .json; give the folder of the lists")]
    )


def read_kinetics(files: list[Path], problems: Problems) -> Iterator[Listed]:
    """Read Kinetics CSVs and ActivityNet-style JSONs, told by their content.

    ``is_cc`` is not taken over: the published lists hold 0 where nobody looked.

    Args:
        files: the lists; together they are one release.
        problems: what is wrong is added here.
    """
    for path in files:
        file = path.name if len(files) > 1 else ""
        with path.open("rb") as stream:
            first = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
        read = read_activitynet_json if first.startswith(b"{") else read_kinetics_csv
        for item in read(path):
            if isinstance(item, Problem):
                problems.add(item, file=file)
            else:
                yield item


def read_kinetics_csv(path: Path) -> Iterator[Listed | Problem]:
    """Read one CSV with the columns ``label,youtube_id,time_start,time_end,split[,is_cc]``."""
    with path.open("rb") as stream:
        for item in read_url_list(stream, name=path.name):
            if isinstance(item, Problem):
                yield item
            elif isinstance(item, ClipRequest):
                try:
                    yield f"{path.name}, line {item.line}", _clip(item)
                except ValueError as error:
                    yield Problem(str(error), item.line)


def _clip(row: ClipRequest) -> ReleasedClip:
    if row.label is None:
        raise ValueError("label is missing; a release needs one for every clip")
    if row.split is None:
        raise ValueError("split is missing; give a column 'split', e.g. with test")
    if row.start_ms is None or row.end_ms is None:
        raise ValueError("time_start and time_end are missing; a release needs both")
    return ReleasedClip(
        clip_id(row.video_id, row.start_ms, row.end_ms),
        row.video_id,
        row.start_ms,
        row.end_ms,
        check_class_name(row.label),
        check_split(row.split),
        url=row.url,
    )

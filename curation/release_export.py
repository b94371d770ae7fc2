"""Write a release for others: `mimecurate release export`.

An export is written beside its place and then given its name: it is there whole or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mimecurate.curation.release_edition import Edition
from mimecurate.curation.release_export_bundle import write_bundle
from mimecurate.curation.release_export_croissant import write_croissant_folder
from mimecurate.curation.release_export_fiftyone import write_fiftyone
from mimecurate.curation.release_export_huggingface import write_huggingface
from mimecurate.curation.release_export_kinetics import write_kinetics
from mimecurate.curation.release_export_mmaction2 import write_mmaction2
from mimecurate.curation.release_export_parquet import write_parquet
from mimecurate.errors import MimecurateError, plain_words

Exporter = Callable[[Edition, Path], list[str]]
"""Writes an edition into an empty folder; returns what the user should know of it."""

EXPORTERS: Mapping[str, Exporter] = {
    "bundle": write_bundle,
    "kinetics": write_kinetics,
    "parquet": write_parquet,
    "croissant": write_croissant_folder,
    "huggingface": write_huggingface,
    "fiftyone": write_fiftyone,
    "mmaction2": write_mmaction2,
}
"""Every format, by the name that ``--format`` takes."""


@dataclass(frozen=True, slots=True)
class Export:
    """What was written."""

    path: Path
    files: int
    bytes: int
    notices: list[str]


def export_release(edition: Edition, format: str, out: Path) -> Export:
    """Write a release in a format.

    Args:
        edition: what to write.
        format: a key of `EXPORTERS`.
        out: a folder that doesn't exist or is empty; for a bundle it may be a ``.zip``.

    Raises:
        MimecurateError: ``out`` is taken or can't be written, or the release can't be written in
            that format.
    """
    try:
        return _export(edition, format, out)
    except OSError as error:
        raise MimecurateError(f"{out}: can't be written: {plain_words(error)}") from error


def _export(edition: Edition, format: str, out: Path) -> Export:
    zipped = out.suffix.lower() == ".zip"
    if zipped and format != "bundle":
        raise MimecurateError(f"{out}: only a bundle can be a .zip; give a folder")
    if out.exists() and (zipped or not out.is_dir() or any(out.iterdir())):
        raise MimecurateError(f"{out}: is there already; remove it, or give another place")
    out.parent.mkdir(parents=True, exist_ok=True)
    _remove_partials(out)
    partial = out.parent / f".{out.name}.partial-{os.getpid()}"
    partial.mkdir()
    try:
        notices = EXPORTERS[format](edition, partial)
        sizes = [path.stat().st_size for path in partial.rglob("*") if path.is_file()]
        if zipped:
            _zip(partial, out, edition.release.name)
        else:
            if out.exists():
                out.rmdir()
            partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Export(out, len(sizes), sum(sizes), notices)


def _remove_partials(out: Path) -> None:
    """Remove what exports to the same place left that were killed."""
    pattern = re.compile(rf"\.{re.escape(out.name)}\.partial-(\d+)(\.zip)?")
    for path in out.parent.glob(f".{_glob_escaped(out.name)}.partial-*"):
        match = pattern.fullmatch(path.name)
        if match is None or _is_running(int(match[1])):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _glob_escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _is_running(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _zip(folder: Path, out: Path, name: str) -> None:
    """Pack a folder so that the same files give the same bytes, and name it when it is whole."""
    partial = folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                inside = f"{name}/{path.relative_to(folder).as_posix()}"
                info = zipfile.ZipInfo(inside, (1980, 1, 1, 0, 0, 0))
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                with path.open("rb") as source, archive.open(info, "w") as target:
                    shutil.copyfileobj(source, target)
    partial.replace(out)

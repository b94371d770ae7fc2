"""Check the Croissant description of a bundle, and load it with mlcroissant where that is there.

A description from a stranger could make its reader fetch anything, so it is looked through first:
only the bundle's own tables may be its sources, and no other context may be drawn in. The reader
then runs in a process of its own with a time limit.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from mimecurate.curation.release_bundle_files import stream_sha256
from mimecurate.curation.release_bundle_json import read_json
from mimecurate.curation.release_bundle_read import CLASSES, CLIPS
from mimecurate.curation.release_export_croissant import CROISSANT
from mimecurate.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mimecurate.curation.release_bundle_files import BundleFiles
    from mimecurate.curation.release_problems import Problems

MAX_ROWS = 50_000
"""More are not loaded: mlcroissant reads some thousand rows a second."""
_TIMEOUT_S = 120
_TERM_KEYS = {"@id", "@type", "@container"}


def check_croissant(
    bundle: BundleFiles, counts: Mapping[str, int] | None, problems: Problems
) -> list[str]:
    """Check ``croissant.json``, if it is there.

    Args:
        bundle: the bundle.
        counts: rows that each record set has to have; None: nobody knows, so it isn't loaded.
        problems: what is wrong is added here.

    Returns:
        What could not be looked at, and why.
    """
    if CROISSANT not in bundle.sizes:
        return []
    before = problems.count
    document = read_json(bundle, CROISSANT, problems)
    for message in _problems(bundle, document) if problems.count == before else ():
        problems.add(Problem(message), file=CROISSANT)
    if problems.count > before or counts is None:
        return [f"{CROISSANT} was not loaded: something is wrong"]
    if find_spec("mlcroissant") is None:
        return [f"{CROISSANT} was not loaded: pip install mlcroissant"]
    if sum(counts.values()) > MAX_ROWS:
        return [f"{CROISSANT} was not loaded: over {MAX_ROWS:,} rows"]
    for message in _load(bundle, counts):
        problems.add(Problem(message), file=CROISSANT)
    return []


def _problems(bundle: BundleFiles, document: object) -> Iterator[str]:
    if not isinstance(document, dict):
        yield "must be a JSON object"
        return
    if not isinstance(document.get("name"), str) or not document["name"]:
        yield "has no name"
    if not _is_plain_context(document.get("@context")):
        yield "@context must be an object of terms; nothing else is drawn in"
    if _has_inner_context({k: v for k, v in document.items() if k != "@context"}):
        yield "@context is allowed at the top alone"
    files = document.get("distribution")
    for file in files if isinstance(files, list) else [None]:
        yield from _file_problems(bundle, file)
    record_sets = document.get("recordSet")
    names = {r.get("@id") for r in record_sets or () if isinstance(r, dict)}
    for name in sorted({"clips", "classes"} - names):
        yield f"has no record set {name!r}"


def _is_plain_context(context: object) -> bool:
    return (
        isinstance(context, dict)
        and all(not key.startswith("@") or key in {"@language", "@vocab"} for key in context)
        and all(
            isinstance(term, str) or (isinstance(term, dict) and set(term) <= _TERM_KEYS)
            for term in context.values()
        )
    )


def _has_inner_context(value: object) -> bool:
    if isinstance(value, dict):
        return "@context" in value or any(map(_has_inner_context, value.values()))
    return isinstance(value, list) and any(map(_has_inner_context, value))


def _file_problems(bundle: BundleFiles, file: object) -> Iterator[str]:
    if not isinstance(file, dict) or file.get("@type") != "cr:FileObject":
        yield "distribution must be a list of cr:FileObject"
        return
    name = file.get("contentUrl")
    if name not in {CLIPS, CLASSES} or name not in bundle.sizes:
        yield f"contentUrl {str(name)[:120]!r} must be {CLIPS} or {CLASSES}"
        return
    if file.get("sha256") != (found := stream_sha256(bundle, name)):
        yield f"{name}: the SHA-256 is {found}"


def _load(bundle: BundleFiles, counts: Mapping[str, int]) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="mimecurate-") as folder:
        for name in (CROISSANT, CLIPS, CLASSES):
            with bundle.open(name) as source, (Path(folder) / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        command = [sys.executable, "-m", __name__, str(Path(folder) / CROISSANT), *sorted(counts)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            yield f"mlcroissant could not load it within {_TIMEOUT_S} s"
            return
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield f"mlcroissant can't load it: {last[:300]}"
        return
    for name, rows in json.loads(done.stdout).items():
        if rows != counts[name]:
            yield f"record set {name!r} has {rows:,} rows, and {counts[name]:,} are due"


def _main(path: str, *record_sets: str) -> None:
    """Print how many rows mlcroissant finds in each record set."""
    dataset = import_module("mlcroissant").Dataset(jsonld=path)
    print(json.dumps({name: sum(1 for _ in dataset.records(name)) for name in record_sets}))


if __name__ == "__main__":
    _main(*sys.argv[1:])

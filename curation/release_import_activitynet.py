"""Read the JSON form of Kinetics and ActivityNet: videos by id, with annotated segments.

Two shapes are known: ``{id: {"annotations": {"label", "segment": [start, end]}, "subset", "url"}}``
as Kinetics has it, and ``{"database": {id: {"annotations": [{…}, …], "subset", "url"}}}`` as
ActivityNet has it, where a video may have many segments.
"""

from __future__ import annotations

import json
from collections import Counter
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, NoReturn

from mimecurate.curation.class_list import normal_class_name
from mimecurate.errors import Problem
from mimecurate.schemas.ids import (
    YOUTUBE_ID,
    check_video_id,
    clip_id,
    youtube_id,
    youtube_url,
)
from mimecurate.schemas.release import ReleasedClip, check_class_name, check_split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mimecurate.curation.release_import_kinetics import Listed

MAX_JSON_BYTES = 512 << 20
_MAX_SECONDS = 10**9


def read_activitynet_json(path: Path) -> Iterator[Listed | Problem]:
    """Read one JSON file, segment by segment, in the file's order."""
    if path.stat().st_size > MAX_JSON_BYTES:
        yield Problem(f"is over {MAX_JSON_BYTES >> 20} MiB; give the CSV of the same list")
        return
    twice: list[str] = []
    try:
        document = _load(path, twice)
    except UnicodeDecodeError as error:
        yield Problem(f"byte {error.start} is not UTF-8; save the list as UTF-8")
        return
    except json.JSONDecodeError as error:
        yield Problem(f"not JSON: {error.msg}", error.lineno, error.colno)
        return
    except (ValueError, RecursionError) as error:
        yield Problem(f"not usable JSON: {str(error)[:120] or 'nested too deeply'}")
        return
    for key in twice[:20]:
        yield Problem(f"key {key[:80]!r} is there twice; readers see only one of them")
    database = document.get("database", document) if isinstance(document, dict) else None
    if not isinstance(database, dict):
        yield Problem("must be an object of videos by id, or have one in 'database'")
        return
    for name, entry in database.items():
        yield from _read_video(path.name, name, entry)


def _load(path: Path, twice: list[str]) -> object:
    def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            counted = Counter(key for key, _ in pairs)
            twice.extend(key for key, number in counted.items() if number > 1)
        return made

    return json.loads(
        path.read_bytes().decode("utf-8-sig"),
        object_pairs_hook=unique,
        parse_float=Decimal,
        parse_constant=_refuse,
    )


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number of seconds")


def _read_video(file: str, name: str, entry: object) -> Iterator[Listed | Problem]:
    shown = name[:80]
    try:
        if not isinstance(entry, dict):
            raise ValueError("must be an object")
        url, video_id = _source(name, entry.get("url"))
        split = check_split(str(entry.get("subset") or ""))
    except ValueError as error:
        yield Problem(f"video {shown!r}: {error}")
        return
    annotations = entry.get("annotations")
    segments = annotations if isinstance(annotations, list) else [annotations]
    if not segments:
        yield Problem(f"video {shown!r}: has no annotation")
    for segment in segments:
        try:
            label, start_ms, end_ms = _segment(segment)
            named = clip_id(video_id, start_ms, end_ms)
            clip = ReleasedClip(named, video_id, start_ms, end_ms, label, split, url=url)
            yield f"{file}, video {shown}", clip
        except ValueError as error:
            yield Problem(f"video {shown!r}: {error}")


def _source(name: str, url: object) -> tuple[str, str]:
    if url is None and YOUTUBE_ID.fullmatch(name):
        return youtube_url(name), name
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise ValueError(f"url {str(url)[:80]!r} must be an http(s) link")
    return url, youtube_id(url) or check_video_id(name)


def _segment(segment: object) -> tuple[str, int, int]:
    if not isinstance(segment, dict):
        raise ValueError("annotations must be an object or a list of them")
    label, interval = segment.get("label"), segment.get("segment")
    if not isinstance(label, str):
        raise ValueError("annotation has no label")
    if not isinstance(interval, list) or len(interval) != 2:
        raise ValueError("segment must be [start, end] in seconds")
    start_ms, end_ms = (_milliseconds(value) for value in interval)
    if end_ms <= start_ms:
        raise ValueError(f"segment {start_ms}-{end_ms} ms ends before it starts")
    return check_class_name(normal_class_name(label)), start_ms, end_ms


def _milliseconds(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    if not isinstance(value, Decimal):
        raise ValueError(f"time {str(value)[:40]!r} must be a number of seconds")
    if not 0 <= value < _MAX_SECONDS:
        raise ValueError(f"time {value:.6g} must be a number of seconds")
    return int((value * Decimal(1000)).to_integral_value(ROUND_HALF_EVEN))

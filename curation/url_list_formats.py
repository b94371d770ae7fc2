"""The forms of a list of clips: CSV, JSON Lines and plain text, each read into rows."""

from __future__ import annotations

import json
import re
from functools import partial
from itertools import chain
from typing import Any

from mimecurate.curation.url_list_csv import read_csv, split_header
from mimecurate.curation.url_list_fields import BLANKS, shown
from mimecurate.curation.url_list_rows import (
    NONE_WRONG,
    Lines,
    Notice,
    Place,
    Row,
    Rows,
    field_named,
    unused_names,
)
from mimecurate.errors import Problem

_MAX_UNUSED_KEYS = 64
_WORDS = ("url", "start", "end")
_WORD = re.compile(rf"[^{BLANKS}]+")
_LINK_AND_TIMES = re.compile(r"[ \t]*https?://\S*[ \t]+\S", re.IGNORECASE)
_TWO_NUMBERS = re.compile(r'[,;]"?[\d.:]+"?[,;]"?[\d.:]+"?(?:[,;]|$)')


def read_rows(lines: Lines) -> Rows:
    """Tell a list's form by its first line that is neither blank nor a comment, and read it."""
    for item in lines:
        if isinstance(item, Problem):
            yield item
            continue
        number, text = item
        start = text.lstrip(BLANKS)[:1]
        if start in {"", "#"}:
            continue
        if start == "{":
            yield from _read_jsonl(chain([item], lines))
        elif start == "[":
            yield Problem("a JSON array; write one object per line (JSON Lines)", number, 1)
        elif split_header(text)[0]:
            yield from read_csv(item, lines)
        elif _TWO_NUMBERS.search(text) and not _LINK_AND_TIMES.match(text):
            yield Problem(
                "the first line is no header; begin with "
                "label,youtube_id,time_start,time_end,split or url,start,end",
                number,
                1,
            )
        else:
            yield from _read_text(chain([item], lines))
        return


# --- JSON Lines -------------------------------------------------------------------------------


class _Number(str):
    """A JSON number as it is written."""

    __slots__ = ()


class _Object(list[tuple[str, Any]]):
    """A JSON object's keys and values, those given twice included."""


class _NotANumber:
    """``NaN``, ``Infinity`` or ``-Infinity``, which JSON does not have."""

    def __init__(self, name: str) -> None:
        """Take the constant's name, as `json` calls its hook."""


_DECODER = json.JSONDecoder(
    object_pairs_hook=_Object, parse_int=_Number, parse_float=_Number, parse_constant=_NotANumber
)
_KINDS = {_Number: "a number", bool: "true or false", list: "an array", _Object: "an object"}


def _read_jsonl(lines: Lines) -> Rows:
    unused: set[str] = set()
    for item in lines:
        if isinstance(item, Problem):
            yield item
            continue
        line, text = item
        if not text.strip(BLANKS):
            continue
        pairs = _json_object(line, text)
        if isinstance(pairs, Problem):
            yield pairs
            continue
        yield _json_row(line, text, pairs)
        new = {key for key, _ in pairs if field_named(key) is None} - unused
        if new and len(unused) < _MAX_UNUSED_KEYS:
            unused |= new
            if said := unused_names(sorted(new)):
                yield Notice(line, f"keys not used: {said}")


def _json_object(line: int, text: str) -> _Object | Problem:
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return Problem(f"not JSON: {error.msg}; write one object", line, error.pos + 1)
    except RecursionError:
        return Problem("JSON is nested too deeply; write one flat object", line, 1)
    if not isinstance(value, _Object):
        return Problem('not a JSON object; write {"url": …, "start": …, "end": …}', line, 1)
    return value


def _json_row(line: int, text: str, pairs: _Object) -> Row:
    values: dict[str, str] = {}
    wrong: dict[str, str] = {}
    seen = set()
    for key, value in pairs:
        field = field_named(key)
        if field is None:
            continue
        is_time = field in {"start", "end"}
        if field in seen:
            values.pop(field, None)
            wrong[field] = "is given twice; keep one"
        elif type(value) is str or (is_time and type(value) is _Number):
            values[field] = str(value)
        elif value is not None:
            kind = _KINDS.get(type(value), "not a number")
            wrong[field] = f"is {kind}; give {'a number or ' if is_time else ''}text"
        seen.add(field)
    return Row(line, values, wrong, partial(_json_place, line, text))


def _json_place(line: int, text: str, field: str) -> Place:
    """Find a field's last value by walking the object's keys; the text is known to be JSON."""
    place = Place(field, line, None)
    at = _next_token(text, text.index("{") + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _next_token(text, _next_token(text, at) + 1)
        if field_named(key) == field:
            place = Place(shown(key)[1:-1], line, at + 1)
        _, at = _DECODER.raw_decode(text, at)
        at = _next_token(text, at)
        if text[at] == ",":
            at = _next_token(text, at + 1)
    return place


def _next_token(text: str, at: int) -> int:
    while text[at] in BLANKS:
        at += 1
    return at


# --- text -------------------------------------------------------------------------------------


def _read_text(lines: Lines) -> Rows:
    for item in lines:
        if isinstance(item, Problem):
            yield item
            continue
        line, text = item
        words = [*_WORD.finditer(text)]
        if not words or words[0][0].startswith("#"):
            continue
        if len(words) > len(_WORDS):
            extra = words[len(_WORDS)]
            message = f"{shown(extra[0])} is one word too many; write URL or URL START END"
            yield Problem(message, line, extra.start() + 1)
        else:
            values = {field: word[0] for field, word in zip(_WORDS, words, strict=False)}
            yield Row(line, values, NONE_WRONG, partial(_text_place, line, words))


def _text_place(line: int, words: list[re.Match[str]], field: str) -> Place:
    columns = {name: word.start() + 1 for name, word in zip(_WORDS, words, strict=False)}
    return Place(field, line, columns.get(field))

"""What an annotation on a Label Studio server says, once it was checked.

Label Studio stores whatever is posted to it, so nothing here is taken on trust: a control that is
not on the screen, a value that it doesn't offer or a shape that its editor doesn't write makes the
annotation refused, with a line for each thing wrong.

Kept is what the screen shows. The verdicts in `mimecurate.annotation.screen.HIDING` hide all but
the note; Label Studio still sends what had been filled in before, and that is dropped unread. A
field that is absent was not answered; only the verdict must be there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mimecurate.annotation.screen import HIDING, TRIM_LABEL, VERDICTS
from mimecurate.curation.class_list import normal_class_name
from mimecurate.schemas.flags import ANSWERS, FLAGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from fractions import Fraction

MAX_NOTE = 1_000_000
"""Characters; a longer note makes the annotation refused."""
_MAX_RESULTS = 200
_MAX_SECONDS = 1e7
_MAX_FRAME = 10**9
_SAYS_WHY_NO_VERDICT = ("verdict: ", "result: ")
_NEVER_HIDDEN = frozenset({"verdict", "note"})
_TYPES = {"trim": "timelinelabels", "note": "textarea"}
_ORIGINS = ("manual", "prediction", "prediction-changed")


@dataclass(frozen=True, slots=True)
class Shown:
    """What an annotator had before them: the classes to choose from, and the clip's frames."""

    classes: Mapping[str, str]
    """Each class by `normal_class_name` of its name."""
    start_ms: int
    """Where the clip begins in its video."""
    end_ms: int
    """Where it ends, exclusive."""
    first_frame_ms: int
    """When the first frame of its media file is shown in the video."""
    frames: int
    """How many frames the file has."""
    fps: Fraction
    """The frame rate that the screen counted with."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one person said of a clip, in the words of the table `annotations`."""

    skipped: bool = False
    verdict: str | None = None
    label: str | None = None
    mime_artist: str | None = None
    object_relevant: str | None = None
    scene_relevant: str | None = None
    note: str | None = None
    start_ms: int | None = None
    """Of the trim, in the source video; None: the whole clip."""
    end_ms: int | None = None
    frames: tuple[int, int] | None = None
    """The trim as the screen counts: from 1, both included."""
    label_origin: str | None = None
    """``manual``, ``prediction`` (pre-filled, left alone) or ``prediction-changed``."""
    hidden: tuple[str, ...] = ()
    """Fields that were sent although the screen hid them; dropped."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why an annotation can't be taken over: a line for each thing wrong with it."""

    problems: tuple[str, ...]


class _WrongError(ValueError):
    """One field is wrong; the message says what."""


def read_annotation(annotation: Mapping[str, Any], shown: Shown) -> Said | Refused:
    """Read an annotation as Label Studio's API gives it.

    Args:
        annotation: the JSON object; only ``was_cancelled`` and ``result`` are read.
        shown: what the annotator saw.

    Returns:
        What was said, or everything that is wrong with it. A skipped clip says nothing, whatever
        else was sent.

    >>> from fractions import Fraction
    >>> shown = Shown({"archery": "archery"}, 6000, 10000, 6000, 100, Fraction(25))
    >>> read_annotation({"was_cancelled": True, "result": []}, shown).skipped
    True
    >>> read_annotation({"result": []}, shown)
    Refused(problems=('verdict: not answered',))
    """
    if annotation.get("was_cancelled") is True:
        return Said(skipped=True)
    answers, problems = _by_control(annotation.get("result"))
    hidden: tuple[str, ...] = ()
    if _verdict_of(answers) in HIDING:
        hidden = tuple(name for name in answers if name not in _NEVER_HIDDEN)
        answers = {name: found for name, found in answers.items() if name not in hidden}
    fields: dict[str, Any] = {}
    for name, found in answers.items():
        try:
            fields |= _READERS[name](name, _only(name, found), shown)
        except _WrongError as error:
            problems.append(f"{name}: {error}")
    if "verdict" not in fields and not any(p.startswith(_SAYS_WHY_NO_VERDICT) for p in problems):
        problems.append("verdict: not answered")
    if problems:
        return Refused(tuple(problems))
    return Said(hidden=hidden, **fields)


def lead_time_s(annotation: Mapping[str, Any]) -> float | None:
    """Return how long the annotator had the clip open, in seconds; None where nobody knows.

    >>> lead_time_s({"lead_time": 12.5}), lead_time_s({"lead_time": -1}), lead_time_s({})
    (12.5, None, None)
    """
    value = annotation.get("lead_time")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value < _MAX_SECONDS else None


def trim_ms(first: int, last: int, shown: Shown) -> tuple[int, int] | None:
    """Turn a stretch of frames into milliseconds of the source video.

    Args:
        first: the first frame that is kept, counted from 1.
        last: the last frame that is kept.
        shown: the clip.

    Returns:
        ``(start_ms, end_ms)`` with the frames ``first`` to ``last`` in ``[start_ms, end_ms)``,
        inside the clip. None: the whole clip.

    Raises:
        ValueError: nothing of it lies in the clip.

    >>> from fractions import Fraction
    >>> shown = Shown({}, 6000, 10000, 6000, 100, Fraction(25))
    >>> trim_ms(26, 50, shown), trim_ms(1, 100, shown)
    ((7000, 8000), None)
    """
    start_ms, end_ms = shown.start_ms, shown.end_ms
    if first > 1:
        start_ms = max(start_ms, shown.first_frame_ms + math.floor((first - 1) * 1000 / shown.fps))
    if last < shown.frames:
        end_ms = min(end_ms, shown.first_frame_ms + math.floor(last * 1000 / shown.fps))
    if start_ms >= end_ms:
        raise ValueError(f"frames {first} to {last} lie outside the clip's {shown.frames}")
    return None if (start_ms, end_ms) == (shown.start_ms, shown.end_ms) else (start_ms, end_ms)


def _by_control(result: object) -> tuple[dict[str, list[Mapping[str, Any]]], list[str]]:
    """Sort the parts of a result by the control they come from; the rest are problems."""
    if not isinstance(result, list):
        return {}, [f"result: {_brief(result)} is no list"]
    if len(result) > _MAX_RESULTS:
        return {}, [f"result: {len(result):,} parts; the screen has {len(_READERS)} controls"]
    answers: dict[str, list[Mapping[str, Any]]] = {}
    problems = []
    for part in result:
        name = part.get("from_name") if isinstance(part, dict) else None
        if isinstance(name, str) and name in _READERS:
            answers.setdefault(name, []).append(part)
        elif name is None:
            problems.append(f"result: {_brief(part)} names no control")
        else:
            problems.append(f"control {_brief(name)} is not on the screen")
    return answers, problems


def _verdict_of(answers: Mapping[str, list[Mapping[str, Any]]]) -> str | None:
    try:
        found = _only("verdict", answers.get("verdict", []))
        value = _choice("verdict", found)
    except _WrongError:
        return None
    return value


def _only(name: str, parts: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    if not parts:
        raise _WrongError("not answered")
    if len(parts) > 1:
        raise _WrongError(
            f"{len(parts)} stretches are marked; mark the one to keep"
            if name == "trim"
            else f"answered {len(parts)} times"
        )
    return parts[0]


def _value(name: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
    kind = _TYPES.get(name, "choices")
    value = part.get("value")
    if part.get("type") != kind or not isinstance(value, dict):
        raise _WrongError(f"{_brief(part.get('type'))} with {_brief(value)} is no {kind}")
    return value


def _choice(name: str, part: Mapping[str, Any]) -> str | None:
    chosen = _value(name, part).get("choices")
    if not isinstance(chosen, list) or not all(isinstance(one, str) for one in chosen):
        raise _WrongError(f"{_brief(chosen)} is no list of choices")
    if len(chosen) > 1:
        raise _WrongError(f"{len(chosen)} values were chosen; it takes one")
    return chosen[0] if chosen else None


def _read_verdict(name: str, part: Mapping[str, Any], shown: Shown) -> dict[str, object]:
    chosen = _choice(name, part)
    return {} if chosen is None else {name: _one_of(chosen, VERDICTS)}


def _read_flag(name: str, part: Mapping[str, Any], shown: Shown) -> dict[str, object]:
    chosen = _choice(name, part)
    return {} if chosen is None else {name: _one_of(chosen, ANSWERS)}


def _read_label(name: str, part: Mapping[str, Any], shown: Shown) -> dict[str, object]:
    chosen = _choice(name, part)
    if chosen is None:
        return {}
    label = shown.classes.get(normal_class_name(chosen))
    if label is None:
        raise _WrongError(f"{_brief(chosen)} is none of the screen's {len(shown.classes)} classes")
    origin = part.get("origin")
    return {name: label, "label_origin": origin if origin in _ORIGINS else None}


def _read_trim(name: str, part: Mapping[str, Any], shown: Shown) -> dict[str, object]:
    value = _value(name, part)
    if value.get("timelinelabels") != [TRIM_LABEL]:
        raise _WrongError(f"its label must be {TRIM_LABEL!r}")
    ranges = value.get("ranges")
    if not isinstance(ranges, list) or not all(isinstance(one, dict) for one in ranges):
        raise _WrongError(f"{_brief(ranges)} is no list of ranges")
    if len(ranges) != 1:
        raise _WrongError(f"{len(ranges)} stretches are marked; mark the one to keep")
    first, last = (_frame(ranges[0].get(key)) for key in ("start", "end"))
    if last < first:
        raise _WrongError(f"ends at frame {last}, before it begins at {first}")
    try:
        trim = trim_ms(first, last, shown)
    except ValueError as error:
        raise _WrongError(str(error)) from error
    if trim is None:
        return {}
    return {"start_ms": trim[0], "end_ms": trim[1], "frames": (first, last)}


def _frame(value: object) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or value != value or not 1 <= value <= _MAX_FRAME or value != int(value):  # type: ignore[operator, call-overload]
        raise _WrongError(f"{_brief(value)} is no number of a frame, counted from 1")
    return int(value)  # type: ignore[call-overload, no-any-return]


def _read_note(name: str, part: Mapping[str, Any], shown: Shown) -> dict[str, object]:
    text = _value(name, part).get("text")
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise _WrongError(f"{_brief(text)} is no text")
    note = "\n".join(texts).strip()
    if len(note) > MAX_NOTE:
        raise _WrongError(f"{len(note):,} characters; at most {MAX_NOTE:,} are kept")
    return {name: note.encode("utf-8", "replace").decode("utf-8") or None}


def _one_of(value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise _WrongError(f"{_brief(value)} must be one of {', '.join(allowed)}")
    return value


def _brief(value: object) -> str:
    """Show a value from a stranger in few characters, none of them invisible."""
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."


_READERS: dict[str, Callable[[str, Mapping[str, Any], Shown], dict[str, object]]] = {
    "verdict": _read_verdict,
    "label": _read_label,
    **{flag.name: _read_flag for flag in FLAGS},
    "trim": _read_trim,
    "note": _read_note,
}

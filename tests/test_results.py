"""Reading an annotation: only what the screen shows and offers is taken over."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.annotation.results import (
    MAX_NOTE,
    Refused,
    Said,
    Shown,
    lead_time_s,
    read_annotation,
    trim_ms,
)

SHOWN = Shown(
    {"archery": "archery", "punching person (boxing)": "punching person (boxing)"},
    start_ms=6000,
    end_ms=10_000,
    first_frame_ms=6000,
    frames=100,
    fps=Fraction(25),
)


def choice(name: str, *values: object, **more: object) -> dict[str, Any]:
    return {
        "from_name": name,
        "to_name": "video",
        "type": "choices",
        "value": {"choices": list(values)},
    } | more


def trim(*ranges: tuple[object, object]) -> dict[str, Any]:
    return {
        "from_name": "trim",
        "to_name": "video",
        "type": "timelinelabels",
        "value": {
            "ranges": [{"start": start, "end": end} for start, end in ranges],
            "timelinelabels": ["keep"],
        },
    }


def note(*texts: object) -> dict[str, Any]:
    return {
        "from_name": "note",
        "to_name": "video",
        "type": "textarea",
        "value": {"text": list(texts)},
    }


def read(*parts: object, **more: object) -> Said:
    said = read_annotation({"result": list(parts)} | more, SHOWN)
    assert isinstance(said, Said), said
    return said


def problems(*parts: object) -> tuple[str, ...]:
    said = read_annotation({"result": list(parts)}, SHOWN)
    assert isinstance(said, Refused), said
    return said.problems


YES = choice("verdict", "yes")


def test_a_whole_answer_is_read_field_by_field() -> None:
    said = read(
        YES,
        choice("label", "punching_person_(boxing)", origin="prediction"),
        choice("mime_artist", "yes"),
        choice("object_relevant", "unsure"),
        choice("scene_relevant", "no"),
        trim((39, 56)),
        note("first", "second"),
    )
    assert said == Said(
        verdict="yes",
        label="punching person (boxing)",
        mime_artist="yes",
        object_relevant="unsure",
        scene_relevant="no",
        note="first\nsecond",
        start_ms=6000 + 38 * 40,
        end_ms=6000 + 56 * 40,
        frames=(39, 56),
        label_origin="prediction",
    )


@pytest.mark.parametrize("verdict", ["no", "unplayable"])
def test_what_the_verdict_hides_is_dropped_however_wrong_and_the_note_stays(verdict: str) -> None:
    said = read(
        choice("label", "no class at all"),
        choice("mime_artist", "yes", "no"),
        trim((1, 5), (7, 9)),
        choice("verdict", verdict),
        note("black"),
    )
    assert said == Said(verdict=verdict, note="black", hidden=("label", "mime_artist", "trim"))


def test_unsure_hides_nothing() -> None:
    said = read(
        choice("verdict", "unsure"), choice("label", "archery"), choice("mime_artist", "no")
    )
    assert (said.label, said.mime_artist, said.hidden) == ("archery", "no", ())


def test_a_skipped_clip_says_nothing_whatever_was_sent() -> None:
    assert read(YES, "junk", was_cancelled=True) == Said(skipped=True)


@pytest.mark.parametrize("value", ["true", 1, None, []])
def test_only_true_is_a_skip(value: object) -> None:
    assert read(YES, was_cancelled=value) == Said(verdict="yes")


def test_every_problem_is_named_at_once() -> None:
    assert problems(
        choice("verdict", "maybe"),
        choice("label", "jousting"),
        choice("mime_artist", "yes", "no"),
        choice("scene_relevant", "no"),
        choice("scene_relevant", "yes"),
        choice("colour", "red"),
        trim((5, 3)),
        note(3),
        "junk",
    ) == (
        "control 'colour' is not on the screen",
        "result: 'junk' names no control",
        "verdict: 'maybe' must be one of yes, no, unsure, unplayable",
        "label: 'jousting' is none of the screen's 2 classes",
        "mime_artist: 2 values were chosen; it takes one",
        "scene_relevant: answered 2 times",
        "trim: ends at frame 3, before it begins at 5",
        "note: a list of 1 is no text",
    )


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        pytest.param([], "verdict: not answered", id="nothing"),
        pytest.param([choice("verdict")], "verdict: not answered", id="unselected"),
        pytest.param([YES, YES], "verdict: answered 2 times", id="twice"),
        pytest.param([choice("verdict", ["yes"])], "verdict: a list of 1 is no list of", id="deep"),
        pytest.param([YES, choice("label", "Archery")], "label: 'Archery' is none of", id="case"),
        pytest.param([YES, choice("label", "")], "label: '' is none of", id="empty class"),
        pytest.param([YES, {"from_name": 3}], "control 3 is not on the screen", id="number"),
        pytest.param([YES, None], "result: None names no control", id="null"),
        pytest.param(
            [YES, {"from_name": "note"}], "note: None with None is no textarea", id="bare"
        ),
        pytest.param(
            [YES, note("x") | {"type": "choices"}], "note: 'choices' with an object of 1", id="type"
        ),
        pytest.param(
            [YES, choice("verdict", "\u202egpj", from_name="mime_artist")],
            r"mime_artist: '\u202egpj' must be one of yes, no, unsure",
            id="bidi",
        ),
        pytest.param([YES, trim((1, 5), (7, 9))], "trim: 2 stretches are marked; mark", id="two"),
        pytest.param([YES, trim((1, 5)), trim((7, 9))], "trim: 2 stretches are marked", id="split"),
        pytest.param([YES, trim()], "trim: 0 stretches are marked", id="no stretch"),
        pytest.param([YES, trim((0, 5))], "trim: 0 is no number of a frame", id="frame 0"),
        pytest.param([YES, trim((True, 5))], "trim: True is no number of a frame", id="bool"),
        pytest.param([YES, trim((1.5, 5))], "trim: 1.5 is no number of a frame", id="half a frame"),
        pytest.param([YES, trim((float("nan"), 5))], "trim: nan is no number", id="NaN"),
        pytest.param([YES, trim((1, 1e300))], "trim: 1e+300 is no number of a frame", id="huge"),
        pytest.param([YES, trim((1, int("9" * 4000)))], "trim: 999999", id="4,000 digits"),
        pytest.param([YES, trim(("1", 5))], "trim: '1' is no number of a frame", id="text"),
        pytest.param([YES, trim((150, 160))], "trim: frames 150 to 160 lie outside", id="behind"),
        pytest.param([YES, note("x" * (MAX_NOTE + 1))], "note: 1,000,001 characters", id="long"),
        pytest.param([YES] * 201, "result: 201 parts", id="many parts"),
    ],
)
def test_what_the_screen_cannot_send_is_refused_in_words(parts: list[Any], problem: str) -> None:
    found = problems(*parts)
    assert len(found) == 1
    assert found[0].startswith(problem)
    assert len(found[0]) < 160
    assert found[0].isprintable()


@pytest.mark.parametrize("result", [None, {}, "[]", 7])
def test_a_result_that_is_no_list_is_refused(result: object) -> None:
    said = read_annotation({"result": result}, SHOWN)
    assert isinstance(said, Refused)
    assert said.problems[0].endswith("is no list")


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        pytest.param(["a\x00b"], "a\x00b", id="NUL"),
        pytest.param(["a\u202eb"], "a\u202eb", id="bidi"),
        pytest.param(["=1+1"], "=1+1", id="formula"),
        pytest.param(["half \ud83d"], "half ?", id="half a character"),
        pytest.param(["  \n "], None, id="blank"),
        pytest.param(["x" * MAX_NOTE], "x" * MAX_NOTE, id="long"),
        pytest.param([], None, id="none"),
    ],
)
def test_a_note_is_kept_as_it_is(texts: list[str], kept: str | None) -> None:
    assert read(YES, note(*texts)).note == kept


def test_a_note_may_be_one_text() -> None:
    assert read(YES, note() | {"value": {"text": "alone"}}).note == "alone"


def test_an_unknown_origin_is_not_kept() -> None:
    assert read(YES, choice("label", "archery", origin="<b>")).label_origin is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(2, 2.0), (0, 0.0), (True, None), ("3", None), (float("nan"), None), (1e9, None)],
)
def test_lead_time_is_a_sane_number_or_unknown(value: object, seconds: float | None) -> None:
    assert lead_time_s({"lead_time": value}) == seconds


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        pytest.param(1, 100, None, id="whole"),
        pytest.param(1, 250, None, id="whole, and more than there is"),
        pytest.param(1, 50, (6000, 8000), id="head"),
        pytest.param(51, 400, (8000, 10_000), id="tail"),
        pytest.param(100, 100, (9960, 10_000), id="last frame"),
    ],
)
def test_a_trim_lies_in_the_clip(first: int, last: int, expected: tuple[int, int] | None) -> None:
    assert trim_ms(first, last, SHOWN) == expected


def test_a_trim_counts_from_the_frame_that_the_file_begins_with() -> None:
    early = Shown({}, 6000, 10_000, first_frame_ms=4500, frames=150, fps=Fraction(25))
    assert trim_ms(1, 150, early) is None
    assert trim_ms(1, 100, early) == (6000, 8500)
    assert trim_ms(51, 150, early) == (6500, 10_000)
    with pytest.raises(ValueError, match="frames 2 to 20 lie outside"):
        trim_ms(2, 20, early)


@given(
    fps=st.sampled_from([Fraction(30000, 1001), Fraction(24000, 1001), Fraction(25), Fraction(60)]),
    frames=st.integers(1, 2000),
    start_ms=st.integers(0, 10**7),
    data=st.data(),
)
def test_a_trim_holds_exactly_its_frames(
    fps: Fraction, frames: int, start_ms: int, data: st.DataObject
) -> None:
    first = data.draw(st.integers(1, frames))
    last = data.draw(st.integers(first, frames))
    end_ms = start_ms + -(-frames * 1000 // fps)
    shown = Shown({}, start_ms, end_ms, start_ms, frames, fps)
    low, high = trim_ms(first, last, shown) or (start_ms, end_ms)
    times = [start_ms + (number - 1) * 1000 / fps for number in range(1, frames + 1)]
    inside = [number for number, time in enumerate(times, 1) if low <= time < high]
    assert inside == list(range(first, last + 1))


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["from_name", "type", "value", "choices", "ranges", "text", "start"]),
            inner | st.sampled_from(["verdict", "label", "trim", "note", "choices", "textarea"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(result=junk, known=st.booleans())
def test_junk_never_crashes_the_reader(result: object, known: bool) -> None:
    parts = [YES, *result] if known and isinstance(result, list) else result
    said = read_annotation({"result": parts}, SHOWN)
    if isinstance(said, Refused):
        assert said.problems
        assert all(line.isprintable() for line in said.problems)
    else:
        json.dumps([said.label, said.note, said.start_ms]).encode()
        assert said.verdict in {"yes", "no", "unsure", "unplayable"}

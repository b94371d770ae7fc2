"""The labelling screen: Label Studio's XML, made from the workspace's classes and the flags.

The names of its controls are those of the answers' fields, and its values are what is stored. One
key answers each question; a class is found by typing a part of its name. The verdicts in `HIDING`
need no other answer, and hide the rest.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from mimecurate.annotation.screen_style import STYLE
from mimecurate.annotation.task_data import shorten
from mimecurate.errors import MimecurateError
from mimecurate.schemas.flags import ANSWERS, FLAGS
from mimecurate.schemas.release import check_class_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlite_utils import Database

    from mimecurate.schemas.flags import FlagDefinition

VERDICTS = ("yes", "no", "unsure", "unplayable")
HIDING = ("no", "unplayable")
"""Verdicts that leave nothing else to say of a clip: they hide all but the note."""
TRIM_LABEL = "keep"
KEYMAP = {
    "media:playpause": {
        "key": "shift+space,ctrl+alt+space",
        "mac": "shift+space,command+alt+space",
        "description": "Play/pause",
    },
}
"""For ``LABEL_STUDIO_EDITOR_KEYMAP``, as JSON: keys for every user of a server.

Label Studio plays and pauses even while somebody types, so the space alone would be lost to notes.
"""
_VERDICT_TEXT = (
    "Yes: it is this or another of the classes, plain to see. No: it is none of them. "
    "Unplayable: nothing can be seen."
)
_VIDEO = "video"
_FLAG_KEYS = ("qwe", "asd", "zxc")
_TAB_STOP = '<span tabindex="0"></span>'
_FILTER_KEYS = "/,f"
_PRIVATE_USE = range(0xE000, 0xF900)
_MAX_HINT = 300
_CHOICES = ("Choices", "Labels", "TimelineLabels")


@dataclass(frozen=True, slots=True)
class ScreenClass:
    """A class that annotators can choose."""

    name: str
    definition: str | None = None


@dataclass(frozen=True, slots=True)
class Screen:
    """A labelling screen."""

    config: str
    """Label Studio's XML."""
    screen: str
    """The first 16 hexadecimal digits of the SHA-256 of ``config``."""
    fields: Mapping[str, tuple[str, ...]]
    """Each control's values; none where any text or stretch of time will do."""


def build_screen(classes: Iterable[ScreenClass], *, shows_answers: bool = False) -> Screen:
    """Make the screen for some classes.

    Args:
        classes: any number from 1; they are shown by name.
        shows_answers: show ``answers_html`` of a task too, for adjudication.

    Raises:
        MimecurateError: no class, or two of the same name.
        ValueError: the name of a class can't be one.

    >>> screen = build_screen([ScreenClass("archery"), ScreenClass("bowling", "rolls a ball")])
    >>> screen.fields["label"], screen.fields["mime_artist"]
    (('archery', 'bowling'), ('yes', 'no', 'unsure'))
    """
    ordered = sorted(classes, key=lambda c: (c.name.casefold(), c.name))
    _check_classes(ordered)
    root = Element("View", className="mc-screen")
    SubElement(root, "Style").text = STYLE
    _add_clip(SubElement(root, "View", className="mc-clip"))
    questions = SubElement(root, "View", className="mc-questions")
    _add_questions(questions, ordered)
    if shows_answers:
        _add_html(questions, "answers", "$answers_html")
    ElementTree.indent(root)
    config = ElementTree.tostring(root, encoding="unicode")
    return Screen(config, hash_of(config), fields_of(config))


def hash_of(config: str) -> str:
    """Return what names a screen: 16 hexadecimal digits.

    >>> hash_of("<View/>")
    '22735e1eee21b0ff'
    """
    return hashlib.sha256(config.encode("utf-8")).hexdigest()[:16]


def fields_of(config: str) -> dict[str, tuple[str, ...]]:
    """Read the controls of a screen, with the values that each offers.

    Args:
        config: Label Studio's XML, from anywhere.

    Raises:
        MimecurateError: it is no XML, or declares entities.

    >>> fields_of(build_screen([ScreenClass("archery")]).config)["verdict"]
    ('yes', 'no', 'unsure', 'unplayable')
    """
    if "<!" in config.replace("<!--", ""):
        raise MimecurateError("the screen declares a document type or entities, which is refused")
    try:
        root = ElementTree.fromstring(config)
    except (ElementTree.ParseError, ValueError) as error:
        raise MimecurateError(f"the screen is no XML: {error}") from error
    return {
        str(control.get("name")): tuple(
            choice.get("alias") or choice.get("value") or ""
            for choice in control.iter()
            if choice.tag in {"Choice", "Label"}
        )
        for control in root.iter()
        if control.get("name") and control.get("toName") and control.tag != "Filter"
    }


def check_change(
    old_config: str, new_config: str, *, answered: bool, used: Iterable[str] | None = None
) -> None:
    """Refuse a new screen under which answers already given would no longer be readable.

    Args:
        old_config: the screen under which answers were given.
        new_config: the one that is to replace it.
        answered: whether there are answers.
        used: the classes that answers name; None: any of them may be used.

    Raises:
        MimecurateError: while there are answers, a field is gone (a renamed one is), or lacks a
            value that it had, or a class that is in use.
    """
    if not answered:
        return
    old, new = fields_of(old_config), fields_of(new_config)
    problems = [f"the field {name} is gone or renamed" for name in old if name not in new]
    for name in filter(new.__contains__, old):
        gone = [value for value in old[name] if value not in new[name]]
        if name == "label" and used is not None:
            gone = sorted(set(gone).intersection(used))
        if gone:
            shown = ", ".join(map(repr, gone[:3])) + (", ..." if len(gone) > 3 else "")
            problems.append(f"{name} no longer offers {shown}")
    if problems:
        raise MimecurateError(
            f"the screen can't change while there are answers: {'; '.join(problems)}; "
            "put it back, or begin another round with --round"
        )


def workspace_classes(db: Database) -> list[ScreenClass]:
    """List the classes to choose from: the workspace's, else those that its clips name."""
    rows = db.execute("SELECT name, definition FROM classes").fetchall()
    if not rows:
        rows = db.execute(
            "SELECT DISTINCT label, NULL FROM clips WHERE label IS NOT NULL"
        ).fetchall()
    return [ScreenClass(name, definition) for name, definition in rows]


def _check_classes(classes: list[ScreenClass]) -> None:
    if not classes:
        raise MimecurateError(
            "there is no class to choose from; name them with: mimecurate init --classes FILE"
        )
    for first, second in pairwise(classes):
        if first.name == second.name:
            raise MimecurateError(f"class {first.name!r} is there twice")
    for one in classes:
        check_class_name(one.name)


def _add_clip(view: Element) -> None:
    """Add the left side: the clip, its trim and where it comes from."""
    SubElement(
        view, "Video", name=_VIDEO, value="$video", frameRate="$fps", height="390",
        timelineHeight="40",
    )  # fmt: skip
    trim = SubElement(view, "TimelineLabels", name="trim", toName=_VIDEO)
    SubElement(trim, "Label", value=TRIM_LABEL, background="#1a7f37", hotkey="t", maxUsages="1")
    _add_text(
        view,
        "To trim: t, then drag along the frames to keep. For a long stretch drag over some of it, "
        "press Alt+. and type its first and last frame. Backspace takes it back.",
    )
    _add_text(
        view,
        "Shift+Space (or Ctrl+Alt+Space) plays and pauses, Alt+Left and Alt+Right go ten frames, "
        "Ctrl+Enter submits.",
    )
    _add_html(view, "source", "$source_html")


def _add_questions(view: Element, classes: list[ScreenClass]) -> None:
    SubElement(view, "Header", value="$prompt", size="4", style="margin:0")
    _add_text(view, "$definition")
    _add_text(view, _VERDICT_TEXT)
    _add_choices(view, "verdict", VERDICTS, "1234", "Say first whether it is the action: 1 to 4")
    rest = SubElement(
        view, "View", visibleWhen="choice-unselected", whenTagName="verdict",
        whenChoiceValue=",".join(HIDING),
    )  # fmt: skip
    _add_label(rest, classes)
    for flag, keys in zip(FLAGS, _FLAG_KEYS, strict=True):
        _add_flag(rest, flag, keys)
    SubElement(
        view, "TextArea", name="note", toName=_VIDEO, rows="1", maxSubmissions="1", editable="true",
        placeholder="Note (optional), Enter ends it",
    )  # fmt: skip


def _add_label(view: Element, classes: list[ScreenClass]) -> None:
    """Add the classes, and a field that finds them.

    Keys that answer are dead while somebody types. A field that hides when a class is chosen gives
    them back at once. Behind it, and behind the one that takes its place, is an element that is not
    typed into: there Tab goes.
    """
    _add_filter(
        view,
        "label_filter",
        "choice-unselected",
        "/ or f: a part of the class's name; Enter takes the first",
    )
    _add_html(view, "label_chosen", _TAB_STOP)
    _add_filter(
        view, "label_other", "choice-selected", "/ or f: another class; Enter takes it, Tab goes on"
    )
    _add_html(view, "label_done", _TAB_STOP)
    box = SubElement(view, "View", className="mc-classes")
    choices = SubElement(
        box, "Choices", name="label", toName=_VIDEO, choice="single-radio", layout="inline",
        required="true", requiredMessage="Choose the class: / and a part of its name",
    )  # fmt: skip
    for number, one in enumerate(classes):
        SubElement(choices, "Choice", _choice_attributes(number, one))


def _add_filter(view: Element, name: str, when: str, placeholder: str) -> None:
    shown = SubElement(view, "View", visibleWhen=when, whenTagName="label")
    SubElement(
        shown, "Filter", name=name, toName="label", hotkey=_FILTER_KEYS, minlength="0",
        placeholder=placeholder,
    )  # fmt: skip


def _choice_attributes(number: int, one: ScreenClass) -> dict[str, str]:
    """Make the attributes of a class.

    Label Studio gives each choice without a hotkey one of its own, so that a stray key picks a
    class; a character that no keyboard has keeps it from that. In a value it replaces ``$word`` by
    the task's data, so that a joiner parts the two, and what is stored is the alias.
    """
    shown = re.sub(r"\$(?=[\w.{}\[\]])", "$\u2060", one.name)
    attributes = {"value": shown}
    if shown != one.name:
        attributes["alias"] = one.name
    attributes["hotkey"] = chr(_PRIVATE_USE[number % len(_PRIVATE_USE)])
    if one.definition:
        definition = shorten(one.definition, _MAX_HINT)
        attributes["hint"] = f"{one.name}: {definition}"
        attributes["html"] = (
            f'{escape(one.name)}<span class="mc-definition">: {escape(definition)}</span>'
        )
    return attributes


def _add_flag(view: Element, flag: FlagDefinition, keys: str) -> None:
    row = SubElement(view, "View", className="mc-flag")
    text = SubElement(row, "View", className="mc-flag-text")
    SubElement(text, "Header", value=flag.title, size="5", style="margin:0;font-size:14px")
    _add_text(text, f"Yes: {flag.yes}. No: {flag.no}.")
    _add_choices(row, flag.name, ANSWERS, keys, f"Answer: {flag.title} ({', '.join(keys)})")


def _add_choices(
    view: Element, name: str, values: tuple[str, ...], keys: str, message: str
) -> None:
    box = SubElement(view, "View", className="mc-answer")
    choices = SubElement(
        box, "Choices", name=name, toName=_VIDEO, choice="single-radio", layout="inline",
        required="true", requiredMessage=message,
    )  # fmt: skip
    for value, key in zip(values, keys, strict=True):
        SubElement(choices, "Choice", value=value, hotkey=key)


def _add_text(view: Element, text: str) -> None:
    SubElement(
        view, "Header", value=text, size="5",
        style="margin:0 0 4px;font-size:12px;font-weight:400;line-height:1.35",
    )  # fmt: skip


def _add_html(view: Element, name: str, value: str) -> None:
    SubElement(
        view, "HyperText", name=name, value=value, inline="true", clickableLinks="true",
        selectionEnabled="false",
    )  # fmt: skip

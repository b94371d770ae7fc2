"""The labelling screen: what it offers, what it stores, and when it may change."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.annotation.screen import (
    HIDING,
    Screen,
    ScreenClass,
    build_screen,
    check_change,
    fields_of,
    hash_of,
    workspace_classes,
)
from mimecurate.annotation.screen_style import STYLE
from mimecurate.annotation.task_data import KEYS, source_link, task_data
from mimecurate.curation.class_list import store_classes
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import MimecurateError
from mimecurate.schemas.flags import FLAGS
from mimecurate.schemas.release import ReleasedClass

if TYPE_CHECKING:
    from pathlib import Path

    from label_studio import LabelStudio

ODD_NAMES = (
    "punching person (boxing)",
    "a \"quoted\" & <b>bold</b> 'name'",
    'name="label" toName="x"',
    "$prompt",
    "costs $5 or ${clip_id}",
    "true",
    "false",
    "tying knot, (not on a tie); {{idx}}",
    "日本の踊り",
    "]]> <!-- &amp; \\ %s",
)
CLIP: dict[str, Any] = {
    "clip_id": "0zFbEjoGlhc_000006.500_000010.000",
    "url": "https://youtu.be/0zFbEjoGlhc?list=x&t=99",
    "start_ms": 6500,
    "end_ms": 10000,
    "label": "archery",
    "fps": 30000 / 1001,
}
names = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=30)


def screen_of(*class_names: str, definition: str | None = None) -> Screen:
    return build_screen([ScreenClass(name, definition) for name in class_names])


def elements(screen: Screen, tag: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(screen.config).iter(tag))


def test_the_controls_are_the_fields_of_the_interface() -> None:
    assert screen_of("bowling", "archery").fields == {
        "trim": ("keep",),
        "verdict": ("yes", "no", "unsure", "unplayable"),
        "label": ("archery", "bowling"),
        "mime_artist": ("yes", "no", "unsure"),
        "object_relevant": ("yes", "no", "unsure"),
        "scene_relevant": ("yes", "no", "unsure"),
        "note": (),
    }
    [video] = elements(screen_of("archery"), "Video")
    assert (video.get("name"), video.get("frameRate")) == ("video", "$fps")


@given(st.lists(names, min_size=1, max_size=8, unique=True), st.none() | names)
def test_every_name_is_offered_as_it_is(class_names: list[str], definition: str | None) -> None:
    screen = screen_of(*class_names, definition=definition)
    assert sorted(screen.fields["label"]) == sorted(class_names)
    assert screen.fields == fields_of(screen.config)


@given(names)
def test_nothing_of_a_class_is_replaced_by_the_task_or_read_as_something_else(name: str) -> None:
    """Label Studio fills in ``$word`` in values, and reads a lone true or false as no text."""
    reference = re.compile(r"\$[\w[\].{}]+", re.ASCII)
    [choice] = [c for c in elements(screen_of(name, definition=name), "Choice") if c.get("hint")]
    assert not reference.search(choice.get("value", ""))
    for attribute in set(choice.attrib) - {"value"}:
        assert choice.get(attribute) not in {"true", "false"}


def test_the_server_and_its_library_read_the_same_classes(label_studio: LabelStudio) -> None:
    from label_studio_sdk.label_interface import LabelInterface

    screen = screen_of(*ODD_NAMES, definition='a <b>"definition"</b> & $more')
    interface = LabelInterface(screen.config)
    interface.validate()
    assert sorted(interface.get_control("label").labels) == sorted(ODD_NAMES)
    results = [
        {"from_name": "label", "to_name": "video", "type": "choices", "value": {"choices": [name]}}
        for name in ODD_NAMES
    ]
    for result in results:
        assert interface.validate_annotation({"result": [result]})
    wrong = results[0] | {"value": {"choices": ["no class"]}}
    assert not interface.validate_annotation({"result": [wrong]})
    with label_studio.connect() as connection:
        connection.post("/api/projects/validate", {"label_config": screen.config})
        project = connection.post(
            "/api/projects", {"title": "odd names", "label_config": screen.config}
        )
        data = task_data(CLIP, video_url="/data/a.mp4")
        path = f"/api/projects/{project['id']}/import"
        assert connection.post(path, [{"data": data}])["task_count"] == 1
        stored = connection.get(f"/api/projects/{project['id']}")["label_config"]
    assert hash_of(stored) == screen.screen


def test_no_key_answers_twice_and_none_answers_for_a_class() -> None:
    screen = screen_of(*(f"class {i}" for i in range(7000)))
    keys = [e.get("hotkey") for e in ElementTree.fromstring(screen.config).iter("Choice")]
    typed = [key for key in keys if key and key.isascii()]
    assert sorted(typed) == sorted("1234qweasdzxc")
    assert all(0xE000 <= ord(str(key)) < 0xF900 for key in keys if key not in typed)


def test_a_task_has_every_key_that_the_screen_reads() -> None:
    screen = build_screen([ScreenClass("archery")], shows_answers=True)
    read = {e.get(a, "") for e in ElementTree.fromstring(screen.config).iter() for a in e.attrib}
    wanted = {value[1:] for value in read if value.startswith("$")}
    assert wanted | {"clip_id"} == set(KEYS)
    assert set(task_data(CLIP, video_url="/a.mp4")) == set(KEYS)


def test_a_task_says_what_to_look_for_and_where_it_is_from() -> None:
    data = task_data(CLIP, video_url="/a.mp4", definition="draws a bow\n and lets\tgo")
    assert (data["prompt"], data["definition"]) == ("Is this archery?", "draws a bow and lets go")
    assert data["fps"] == 30000 / 1001
    assert 'href="https://www.youtube.com/watch?v=0zFbEjoGlhc&amp;t=6s"' in str(data["source_html"])
    assert "6.5-10 s" in str(data["source_html"])
    unknown = task_data(CLIP | {"label": None, "end_ms": None, "url": None}, video_url="/a.mp4")
    assert unknown["prompt"] == "Which action is this?"
    assert "from 6.5 s" in str(unknown["source_html"])
    assert "<a " not in str(unknown["source_html"])


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://www.youtube.com/shorts/0zFbEjoGlhc", "https://www.youtube.com/watch?v=0zFbEjoGlhc&t=6s"),
        ("https://vimeo.com/1?a=b#c", "https://vimeo.com/1?a=b#t=6.5"),
        ("http://[::1", None),
        ("javascript:alert(1)//youtube.com", None),
        ("data:text/html,x", None),
        ("https:///nowhere", None),
        (None, None),
    ],
)  # fmt: skip
def test_only_web_addresses_become_links(url: str | None, link: str | None) -> None:
    assert source_link(url, 6500) == link


def test_an_address_stays_within_its_link() -> None:
    clip = CLIP | {"url": 'https://a.example/"><script>x</script>', "clip_id": "<img>"}
    shown = str(task_data(clip, video_url="/a.mp4")["source_html"])
    assert "<script" not in shown
    assert "<img" not in shown
    [link] = ElementTree.fromstring(shown.replace("&middot;", "-")).iter("a")
    assert link.attrib["href"] == 'https://a.example/"><script>x</script>#t=6.5'


def test_the_definitions_are_on_the_screen() -> None:
    shown = [e.get("value", "") for e in elements(screen_of("archery"), "Header")]
    for flag in FLAGS:
        assert f"Yes: {flag.yes}. No: {flag.no}." in shown
    [view] = [e for e in elements(screen_of("archery"), "View") if e.get("whenChoiceValue")]
    assert view.attrib["whenChoiceValue"].split(",") == list(HIDING)


def test_the_same_classes_make_the_same_screen_in_any_order() -> None:
    assert screen_of("b", "A", "c") == screen_of("c", "b", "A")
    assert screen_of("b").screen != screen_of("b", definition="x").screen
    assert re.fullmatch(r"[0-9a-f]{16}", screen_of("b").screen)


@given(st.text(max_size=40))
def test_a_definition_may_be_any_text(definition: str) -> None:
    screen = screen_of("archery", definition=definition)
    assert screen.fields["label"] == ("archery",)
    data = task_data(CLIP, video_url="/a.mp4", definition=definition)
    str(data["definition"]).encode("utf-8")


def test_css_survives_being_xml_text() -> None:
    assert not set(STYLE) & set("<>&")


@pytest.mark.parametrize(
    ("class_names", "words"),
    [
        ((), "no class"),
        (("a", "a"), "there twice"),
    ],
)
def test_classes_that_make_no_screen_are_refused(class_names: tuple[str, ...], words: str) -> None:
    with pytest.raises(MimecurateError, match=words):
        screen_of(*class_names)


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "\ue000"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="printable"):
        screen_of(name)


class TestChange:
    old = screen_of("archery", "bowling").config

    def test_classes_and_definitions_may_be_added(self) -> None:
        new = screen_of("archery", "bowling", "drinking", definition="x").config
        check_change(self.old, new, answered=True)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (("mime_artist", "mime"), "the field mime_artist is gone or renamed"),
            (('value="unplayable"', 'value="broken"'), "verdict no longer offers 'unplayable'"),
            (('value="archery"', 'value="bow"'), "label no longer offers 'archery'"),
        ],
    )
    def test_what_answers_may_name_stays(self, change: tuple[str, str], words: str) -> None:
        new = self.old.replace(*change)
        check_change(self.old, new, answered=False)
        with pytest.raises(MimecurateError, match=words) as caught:
            check_change(self.old, new, answered=True)
        assert str(caught.value).endswith("or begin another round with --round")
        assert "\n" not in str(caught.value)

    def test_a_class_that_no_answer_names_may_go(self) -> None:
        new = screen_of("bowling").config
        check_change(self.old, new, answered=True, used=["bowling"])
        with pytest.raises(MimecurateError, match="no longer offers 'archery'"):
            check_change(self.old, new, answered=True, used=["archery"])

    @pytest.mark.parametrize(
        "config", ["<View", "", '<!DOCTYPE x [<!ENTITY a "b">]><View>&a;</View>']
    )
    def test_what_is_no_screen_is_refused(self, config: str) -> None:
        with pytest.raises(MimecurateError, match="the screen"):
            check_change(config, self.old, answered=True)


def test_the_classes_are_the_workspace_s_or_those_of_its_clips(tmp_path: Path) -> None:
    with open_workspace(tmp_path) as space:
        assert workspace_classes(space.db) == []
        space.db["videos"].insert({"video_id": "v", "added_at": ""})  # type: ignore[union-attr]
        for start, label in enumerate(["bowling", "archery", "archery", None]):
            row = {"clip_id": f"v{start}", "video_id": "v", "start_ms": start, "end_ms": 9,
                   "label": label, "added_at": ""}  # fmt: skip
            space.db["clips"].insert(row)  # type: ignore[union-attr]
        found = workspace_classes(space.db)
        assert {c.name for c in found} == {"bowling", "archery"}
        store_classes(space.db, [(ReleasedClass("drinking"), "from a cup")])
        assert workspace_classes(space.db) == [ScreenClass("drinking", "from a cup")]

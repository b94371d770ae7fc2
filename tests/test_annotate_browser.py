"""The whole way of a curator: a real server, a real browser, the keyboard, and the database."""

from __future__ import annotations

import csv
import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from curator import PICTURES, VIEWPORT, Curator
from fetching import fetch
from playwright.sync_api import sync_playwright

from mimecurate.annotation.media_urls import place_media
from mimecurate.annotation.pull import pull
from mimecurate.annotation.push import PushOptions, clips_as_seen, plan_push, push
from mimecurate.annotation.round_clips import Wanted
from mimecurate.annotation.screen import ScreenClass, build_screen
from mimecurate.annotation.task_data import task_data
from mimecurate.curation.class_list import store_classes
from mimecurate.curation.clips import ClipFilter, find_clips
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.sample_scenes import SceneSpec, make_scene
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.release import ReleasedClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import LabelStudio
    from playwright.sync_api import Browser
    from testbed import SampleMaker

    from mimecurate.annotation.connection import Connection
    from mimecurate.annotation.push import Pushed
    from mimecurate.curation.samples import Sample
    from mimecurate.curation.workspace import Workspace

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")
DEFINITIONS = {
    "archery": "draws a bow and lets an arrow fly",
    "bowling": "rolls a ball towards pins",
}
CLASSES = (
    *DEFINITIONS, "brushing hair", "brushing teeth", "catching or throwing frisbee",
    "climbing ladder", "deadlifting", "drinking", "driving car", "eating cake", "flying kite",
    "golf driving", "hurdling", "juggling balls", "juggling soccer ball", "opening bottle",
    "playing accordion", "playing bass guitar", "playing guitar", "playing piano",
    "playing tennis", "playing violin", "playing volleyball", "punching person (boxing)",
    "reading newspaper", "shooting basketball", "skipping rope", "surfing water", "sweeping floor",
    "tying bow tie", "walking the dog", "writing",
)  # fmt: skip
ODD_NAMES = {
    "more": "$prompt & \"more\" <b>'$clip_id'</b>",
    "tru": "true",
    "日本": "日本の踊り",
    "{x}": 'name="video", {x}',
}
"""By a part that finds it."""
NTSC = VideoSpec(seconds=8, fps=Fraction(30000, 1001), width=320, height=240)
BOTTOM_BAR = 50
"""Its height in pixels."""
STRAY = "567890-=rtyuiop[]ghjkl;'vbnm,."


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def numbered(sample: SampleMaker) -> Sample:
    """A film at 29.97 frames per second with a number in every frame."""
    return sample(NTSC)


@pytest.fixture(scope="module")
def space(
    label_studio: LabelStudio, numbered: Sample, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """The server's own workspace with fetched clips: one of the film, two of a drawn mime."""
    films = tmp_path_factory.mktemp("films")
    size = (640, 480) if PICTURES else (160, 120)
    mime = SceneSpec(
        action="archery", is_mime=True, with_object=False, with_scene=False, seconds=4,
        width=size[0], height=size[1],
    )  # fmt: skip
    make_scene(films / "mime.mp4", mime)
    (films / "numbered.mp4").symlink_to(numbered.path)
    with open_workspace(label_studio.workspace_root) as opened:
        store_classes(opened.db, [(ReleasedClass(name), DEFINITIONS.get(name)) for name in CLASSES])
        with LoopbackServer(films) as server:
            rows = [
                (server.url("numbered.mp4"), 2, 5, "bowling", "numbered", "frames"),
                (server.url("mime.mp4"), 0, 2, "archery", "mime", "mimes"),
                (server.url("mime.mp4"), 2, 4, "archery", "mime", "mimes"),
            ]
            urls = films / "list.csv"
            with urls.open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(("url", "start", "end", "label", "video_id", "split"))
                writer.writerows(rows)
            assert fetch(label_studio.workspace_root, urls).status == 0
        yield opened


@pytest.fixture
def lead(label_studio: LabelStudio) -> Iterator[Connection]:
    with label_studio.connect() as connection:
        yield connection


@pytest.fixture(scope="module")
def curator(browser: Browser, label_studio: LabelStudio) -> Curator:
    return Curator(browser, label_studio.url, label_studio.annotators(1)[0])


def push_round(space: Workspace, lead: Connection, name: str, split: str) -> Pushed:
    options = PushOptions(round=name, wanted=Wanted(split=split))
    return push(space, lead, plan_push(space.db, options))


def stored(space: Workspace, round_: str) -> dict[str, dict[str, Any]]:
    rows = space.db.query("SELECT * FROM current_annotations WHERE round = ?", [round_])
    return {row["clip_id"]: row for row in rows}


def check_page(curator: Curator) -> None:
    """See that everything is on one page, and says where the clip is from."""
    for part in (".mc-clip", ".mc-questions"):
        box = curator.page.locator(part).bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < VIEWPORT["height"] - BOTTOM_BAR
        assert box["x"] + box["width"] <= VIEWPORT["width"]
    link = curator.page.locator(".mc-clip a")
    assert str(link.get_attribute("href")).endswith("/numbered.mp4#t=2")
    assert link.get_attribute("target") == "_blank"
    assert link.get_attribute("rel") == "noopener noreferrer"


FIELDS = ("verdict", "label", "mime_artist", "object_relevant", "scene_relevant", "note")


def said(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[field] for field in FIELDS)


def test_a_clip_is_watched_answered_trimmed_and_pulled(
    space: Workspace,
    lead: Connection,
    curator: Curator,
    numbered: Sample,
    label_studio: LabelStudio,
) -> None:
    curator.requests.clear()
    curator.open(push_round(space, lead, "frames", "frames").project_url)
    assert curator.page.inner_text(".mc-questions").startswith("Is this bowling?\nrolls a ball")
    check_page(curator)
    curator.press("Shift+Space")
    curator.page.wait_for_function("() => document.querySelector('video').currentTime > 0.3")
    curator.press("Shift+Space")
    curator.press("1")
    curator.choose_class("boxing")
    curator.press("q", "d", "x")
    assert curator.chosen == ["yes", "punching person (boxing)", "yes", "unsure", "no"]
    in_clip = numbered.numbers_between(2000, 5000)
    curator.mark_trim()
    assert curator.frame_shown == in_clip[curator.trim[1] - 1]
    curator.type_trim(11, 70)
    assert curator.trim == (11, 70)
    curator.page.click("[data-testid=textarea-input]")
    curator.page.keyboard.type("both hands, 2 people")
    curator.press("Enter")
    assert not curator.submit()
    pulled = pull(space, lead, rounds=["frames"])
    assert (pulled.new, pulled.refused) == (1, 0)
    [row] = stored(space, "frames").values()
    assert said(row) == (
        "yes", "punching person (boxing)", "yes", "unsure", "no", "both hands, 2 people",
    )  # fmt: skip
    assert numbered.numbers_between(row["start_ms"], row["end_ms"]) == in_clip[10:70]
    outside = [url for url in curator.requests if not url.startswith(label_studio.url)]
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []


def test_two_clips_one_after_the_other_and_what_a_verdict_hides(
    space: Workspace, lead: Connection, curator: Curator
) -> None:
    curator.open(push_round(space, lead, "hidden", "mimes").project_url)
    first = curator.clip_id
    curator.press("q", "s", "2")
    curator.page.wait_for_selector(".mc-classes", state="hidden")
    curator.press("3")
    curator.page.wait_for_selector(".mc-classes", state="visible")
    curator.press("4")
    curator.page.wait_for_selector(".mc-flag >> nth=0", state="hidden")
    assert curator.submit()
    second = curator.clip_id
    assert curator.chosen == []
    curator.press("2")
    assert not curator.submit()
    assert pull(space, lead, rounds=["hidden"]).new == 2
    rows = stored(space, "hidden")
    assert said(rows[first]) == ("unplayable", *[None] * 5)
    assert said(rows[second]) == ("no", *[None] * 5)
    assert json.loads(rows[first]["details"])["hidden"] == ["mime_artist", "object_relevant"]


def test_stray_keys_choose_nothing_and_what_is_required_blocks(
    space: Workspace, lead: Connection, curator: Curator
) -> None:
    curator.open(push_round(space, lead, "keys", "mimes").project_url)
    clip = curator.clip_id
    curator.press(*STRAY, "Tab", "Escape", "F2", "F9", "ArrowUp", "ArrowRight", "Backspace")
    curator.page.evaluate("document.activeElement.blur()")
    assert curator.chosen == []
    for keys, warning in (
        ("q", "Say first whether it is the action: 1 to 4"),
        ("1", "Choose the class: / and a part of its name"),
    ):
        curator.press(keys, "Control+Enter")
        assert curator.warning == warning
    curator.choose_class("jug")
    curator.press("Control+z")
    assert curator.chosen == ["yes", "yes"]
    curator.choose_class("jug")
    curator.press("Tab", "s", "Control+Enter")
    assert curator.warning == "Answer: Relevant scene (z, x, c)"
    assert curator.clip_id == clip
    curator.press("/")
    curator.page.keyboard.type("arch")
    curator.page.wait_for_selector(".mc-classes >> text=juggling balls", state="hidden")
    curator.picture("label-class")
    curator.press("Enter", "Tab", "x")
    assert curator.chosen == ["yes", "archery", "yes", "no", "no"]
    curator.mark_trim()
    curator.type_trim(6, 40)
    curator.picture("label-screen")
    assert curator.submit()
    pull(space, lead, rounds=["keys"])
    row = stored(space, "keys")[clip]
    assert said(row) == ("yes", "archery", "yes", "no", "no", None)
    start_ms = 2000 if clip.endswith("_000002_000004") else 0
    assert (row["start_ms"], row["end_ms"]) == (start_ms + 200, start_ms + 1600)
    assert row["annotator"] == "annotator1@example.org"


def test_a_class_is_shown_and_stored_as_it_is_written(
    space: Workspace, lead: Connection, curator: Curator
) -> None:
    definition = 'a <b>"definition"</b> & $more'
    screen = build_screen([ScreenClass(name, definition) for name in ODD_NAMES.values()])
    body = {"title": "odd names", "label_config": screen.config}
    project_id = lead.post("/api/projects", body)["id"]
    [clip] = find_clips(space.db, ClipFilter(split="frames"))
    place = place_media(lead, project_id, clips_as_seen(space, lead), clip)
    data = [
        {"data": task_data(clip | {"clip_id": f"c{i}"}, video_url=place.url(str(clip["path"])))}
        for i in range(len(ODD_NAMES))
    ]
    lead.post(f"/api/projects/{project_id}/import", data)
    curator.open(f"{lead.url}/projects/{project_id}/data?labeling=1")
    for part, name in ODD_NAMES.items():
        curator.press("1")
        curator.choose_class(part)
        shown = curator.page.inner_text(".mc-classes .ant-radio-wrapper-checked")
        assert shown.replace("\u2060", "").startswith(f"{name}: {definition}")
        curator.press("w", "s", "x")
        curator.submit()
    [page] = lead.pages("/api/tasks", {"project": project_id, "fields": "all"})
    labels = [
        part["value"]["choices"][0]
        for task in page
        for annotation in task["annotations"]
        for part in annotation["result"]
        if part["from_name"] == "label"
    ]
    assert labels == list(ODD_NAMES.values())

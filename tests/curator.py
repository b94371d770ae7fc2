"""A person at the labelling screen: a browser that logs in, watches a clip and presses keys."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mimecurate.curation.samples import read_counter

if TYPE_CHECKING:
    from label_studio import User
    from playwright.sync_api import Browser, Locator, Response, ViewportSize

VIEWPORT: ViewportSize = {"width": 1440, "height": 900}
PICTURES = os.environ.get("MIMECURATE_PICTURES")
"""A folder to write the pictures of docs/how-to/label.md into."""
_COLOURS = 128
_SHOWN = """() => {
  const video = document.querySelector("video");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return canvas.toDataURL("image/png").split(",")[1];
}"""
_CHECKED = ".lsf-choice:has(.ant-radio-checked) input"


class Curator:
    """One browser, logged in as one person."""

    def __init__(self, browser: Browser, url: str, user: User) -> None:
        self.page = browser.new_context(viewport=VIEWPORT).new_page()
        self.page.set_default_timeout(30_000)
        self.requests: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{url}/user/login/")
        self.page.fill("input[name=email]", user.username)
        self.page.fill("input[name=password]", user.password)
        self.page.press("input[name=password]", "Enter")
        self.page.wait_for_url(lambda address: "/user/login" not in address)

    def open(self, address: str) -> None:
        """Open the stream of clips, and wait for the first to be ready."""
        self.page.goto(address)
        self.wait_for_clip()

    def wait_for_clip(self) -> None:
        """Wait until a clip can be watched and answered."""
        self.page.wait_for_function(
            "() => document.querySelector('video')?.readyState === 4"
            " && document.querySelector('[data-testid^=\"playback-button\"]')"
            " && document.querySelector('.mc-flag')"
        )

    def press(self, *keys: str) -> None:
        """Press keys one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def choose_class(self, part: str) -> None:
        """Find a class by a part of its name, and take the first."""
        self.press("/")
        self.page.wait_for_function("() => document.activeElement.tagName === 'INPUT'")
        self.page.keyboard.type(part)
        self.press("Enter")
        self.page.wait_for_function("() => document.activeElement === document.body")

    def submit(self) -> bool:
        """Submit, and wait for what comes next; return whether there is another clip."""
        old = self.clip_id
        with self.page.expect_response(_is_submission):
            self.press("Control+Enter")
        self.page.wait_for_function(
            """old => {
              const shown = document.querySelector(".mc-clip small");
              const next = shown && shown.innerText.split(" ")[0] !== old;
              return next || document.body.innerText.includes("All tasks in the queue");
            }""",
            arg=old,
        )
        if self.page.query_selector(".mc-clip") is None:
            return False
        self.wait_for_clip()
        return True

    @property
    def warning(self) -> str:
        """What Label Studio warns of; it is closed."""
        text = self.page.inner_text(".ant-modal-confirm-content")
        self.page.wait_for_function("() => document.activeElement.closest('.ant-modal-wrap')")
        self.press("Escape")
        self.page.wait_for_selector(".ant-modal-wrap", state="hidden")
        return text

    @property
    def chosen(self) -> list[str]:
        """Every value that is chosen, in the screen's order; the class too."""
        return [
            str(choice.get_attribute("name")) for choice in self.page.query_selector_all(_CHECKED)
        ]

    @property
    def clip_id(self) -> str:
        """Of the clip before us."""
        return self.page.inner_text(".mc-clip small").split(" ")[0]

    @property
    def time_s(self) -> float:
        """Where the player is."""
        return float(self.page.evaluate("document.querySelector('video').currentTime"))

    @property
    def frame_shown(self) -> int:
        """The number that is drawn into the picture before us."""
        self.page.wait_for_function("() => !document.querySelector('video').seeking")
        with Image.open(io.BytesIO(base64.b64decode(self.page.evaluate(_SHOWN)))) as picture:
            return read_counter(np.asarray(picture.convert("L")))

    def mark_trim(self) -> None:
        """Mark some frames to keep, and select what was marked."""
        self.press("t")
        box = self.page.locator(".lsf-timeline-frames__scroll").bounding_box()
        assert box is not None
        self.page.mouse.move(box["x"] + 250, box["y"] + 40)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + 400, box["y"] + 40, steps=3)
        self.page.mouse.up()
        self.press("Alt+.")
        self.page.wait_for_selector(".lsf-region-editor")

    @property
    def trim(self) -> tuple[int, int]:
        """First and last frame of the trim that is selected, as the screen counts them."""
        first, last = (self._trim_field(place).input_value() for place in (0, 1))
        return int(first), int(last)

    def type_trim(self, first: int, last: int) -> None:
        """Type the first and last frame of the trim that is selected."""
        for place, number in ((1, last), (0, first)):
            self._trim_field(place).fill(str(number))
            self._trim_field(place).press("Enter")

    def _trim_field(self, place: int) -> Locator:
        return self.page.locator(".lsf-region-editor input").nth(place)

    def picture(self, name: str) -> None:
        """Keep a picture for the docs, where they are wanted."""
        if PICTURES:
            self.page.mouse.move(5, 500)
            with Image.open(io.BytesIO(self.page.screenshot())) as picture:
                small = picture.convert("RGB").quantize(_COLOURS)
                small.save(Path(PICTURES) / f"{name}.png", optimize=True)


def _is_submission(answer: Response) -> bool:
    return answer.request.method == "POST" and answer.url.split("?")[0].endswith("/annotations")

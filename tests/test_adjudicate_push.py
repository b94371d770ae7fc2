"""Adjudication on a real Label Studio: what is in dispute goes out, and comes back decided."""

from __future__ import annotations

import json
import re
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from curator import VIEWPORT, Curator
from labelling import Annotator, answer
from playwright.sync_api import sync_playwright
from round_workspace import clip_name, make_workspace

from mimecurate.annotation.adjudicate import find_standing, take_over_answers
from mimecurate.annotation.adjudicate_decisions import current_decision
from mimecurate.annotation.adjudicate_push import push_disputes
from mimecurate.annotation.pull import pull
from mimecurate.commands.root import cli
from mimecurate.curation.release_rule import Outcome
from mimecurate.curation.samples import VideoSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import LabelStudio
    from testbed import SampleMaker

    from mimecurate.annotation.push import Pushed
    from mimecurate.curation.workspace import Workspace

_numbers = count()


@pytest.fixture
def space(label_studio: LabelStudio, sample: SampleMaker) -> Iterator[Workspace]:
    """A workspace with two clips in dispute and one agreed on; the server can show its clips."""
    media = sample(VideoSpec(seconds=1, fps=25)).path
    root = label_studio.media_root / f"adjudicate{next(_numbers)}"
    with make_workspace(root, media, 3) as space:
        for number, person, verdict in [
            (0, "ann", "yes"), (0, "bob", "no"), (1, "ann", "unsure"), (1, "bob", "no"),
            (2, "ann", "yes"), (2, "bob", "yes"),
        ]:  # fmt: skip
            space.db.table("annotations").insert(
                {"clip_id": clip_name(number), "annotator": person, "at": "2026-01-01T00:00:00Z",
                 "verdict": verdict, "note": f"<script>{person}"}
            )  # fmt: skip
        yield space


def _push(space: Workspace, label_studio: LabelStudio, *, anonymous: bool = False) -> Pushed:
    seen = label_studio.document_root / "clips" / space.root.name / "clips"
    disputes = find_standing(space.db, min_annotators=2).disputes
    with label_studio.connect() as connection:
        return push_disputes(space, connection, disputes, anonymous=anonymous, clips_dir=seen)


def _tasks(label_studio: LabelStudio, pushed: Pushed) -> dict[str, Any]:
    with label_studio.connect() as connection:
        query = {"project": pushed.project_id, "fields": "all"}
        pages = connection.pages("/api/tasks", query, page_size=100)
        return {task["data"]["clip_id"]: task for page in pages for task in page}


def test_what_is_in_dispute_goes_out_with_all_answers_and_comes_back_decided(
    space: Workspace, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = _push(space, label_studio)
    assert (pushed.created, pushed.existing) == (2, 0)
    tasks = _tasks(label_studio, pushed)
    assert set(tasks) == {clip_name(0), clip_name(1)}
    shown = tasks[clip_name(0)]["data"]["answers_html"]
    assert re.sub(r" style=.*?>", ">", shown).startswith(
        "<table><tr><td></td><td><b>verdict *</b></td><td>note</td></tr>"
        "<tr><td><b>ann</b></td><td>yes</td>"
    )
    assert "&lt;script&gt;bob" in shown
    [user] = label_studio.annotators(1)
    with Annotator(label_studio, user) as lead:
        said = answer(verdict="yes", label="bowling", mime_artist="no", note="look at 0:01")
        lead.say(tasks[clip_name(0)]["id"], said)
        lead.skip(tasks[clip_name(1)]["id"])
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.lead.api_key)
    pulled = CliRunner().invoke(cli, ["annotate", "pull", "-w", str(space.root)])
    assert pulled.exit_code == 0, pulled.output
    assert "1 answer in a round of adjudication became a decision" in pulled.stderr
    decision = current_decision(space.db, clip_name(0))
    assert decision is not None
    assert decision.outcome == Outcome("yes", "bowling", "no")
    assert (decision.decided_by, decision.why) == (user.username, "look at 0:01")
    open_ = find_standing(space.db, min_annotators=2)
    assert [dispute.clip_id for dispute in open_.disputes] == [clip_name(1)]


def test_again_sends_nothing_twice_and_brings_answers_up_to_date(
    space: Workspace, label_studio: LabelStudio
) -> None:
    first = _push(space, label_studio, anonymous=True)
    shown = _tasks(label_studio, first)[clip_name(0)]["data"]["answers_html"]
    assert "<b>A</b>" in shown
    space.db.table("annotations").insert(
        {"clip_id": clip_name(0), "annotator": "eve", "at": "2026-01-02T00:00:00Z",
         "verdict": "unsure"}
    )  # fmt: skip
    again = _push(space, label_studio, anonymous=True)
    assert (again.project_id, again.created) == (first.project_id, 0)
    assert (again.existing, again.updated) == (2, 1)
    tasks = _tasks(label_studio, again)
    assert len(tasks) == 2
    assert "<b>C</b>" in tasks[clip_name(0)]["data"]["answers_html"]


def test_a_round_of_annotation_may_have_the_name(
    space: Workspace, label_studio: LabelStudio
) -> None:
    space.db.table("rounds").insert(
        {"round": "adjudication", "kind": "annotation", "mark": "m", "made_at": "x"}
    )
    _push(space, label_studio)
    rounds = space.db.execute("SELECT round FROM rounds WHERE kind = 'adjudication'").fetchall()
    assert rounds == [("adjudication 2",)]


def test_the_command_sends(
    space: Workspace, label_studio: LabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.lead.api_key)
    seen = label_studio.document_root / "clips" / space.root.name / "clips"
    arguments = ["annotate", "adjudicate", "-w", str(space.root), "--push", "--json"]
    (space.root / "clips").joinpath(
        *space.db.execute(
            "SELECT path FROM media WHERE clip_id = ?", [clip_name(1)]
        ).fetchone()[0].split("/")[1:]
    ).unlink()  # fmt: skip
    done = CliRunner().invoke(cli, [*arguments, "--clips-dir", str(seen)])
    assert done.exit_code == 3, done.output
    sent = json.loads(done.stdout)["pushed"]
    assert (sent["created"], sent["existing"]) == (1, 0)
    assert [clip["clip_id"] for clip in sent["refused"]] == [clip_name(1)]
    assert sent["project_url"].startswith(label_studio.url)


def test_a_lead_sees_all_answers_on_one_screen_and_decides_by_key(
    space: Workspace, label_studio: LabelStudio, chromium: str
) -> None:
    pushed = _push(space, label_studio)
    [user] = label_studio.annotators(1)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        lead = Curator(browser, label_studio.url, user)
        lead.open(pushed.project_url)
        table = lead.page.locator(".mc-questions table")
        assert table.inner_text().split() == [
            "verdict", "*", "note",
            "ann", "yes" if lead.clip_id == clip_name(0) else "unsure", "<script>ann",
            "bob", "no", "<script>bob",
        ]  # fmt: skip
        box = table.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < VIEWPORT["height"]
        for more in (True, False):
            lead.press("2")
            assert lead.submit() is more
        browser.close()
    with label_studio.connect() as connection:
        pull(space, connection, rounds=["adjudication"])
    assert take_over_answers(space.db) == 2
    assert find_standing(space.db, min_annotators=2).disputes == []

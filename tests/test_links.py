"""Link checks: what an answer tells, when a video is gone, and asking real servers politely."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from release_lists import clip, know, release

from mimecurate.commands.root import COMMANDS, cli
from mimecurate.curation.links import (
    BLOCKED_IN_A_ROW,
    Evidence,
    LinkState,
    check_links,
    judge,
    link_states,
    outcome_of,
)
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.release_read import find_release
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import Workspace, open_workspace
from mimecurate.errors import ClipError, Reason
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from testbed import SampleMaker

OK, GONE, RESTRICTED, BLOCKED, UNKNOWN = LinkState


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with open_workspace(tmp_path / "ws") as opened:
        yield opened


def _days(*outcomes: LinkState) -> list[Evidence]:
    """One answer a day."""
    return [
        Evidence(f"2026-01-{day:02d}T12:00:00Z", outcome, None if outcome is OK else "private")
        for day, outcome in enumerate(outcomes, 1)
    ]


@pytest.mark.parametrize("reason", Reason)
def test_only_what_says_so_means_gone(reason: Reason) -> None:
    gone = {Reason.UNAVAILABLE, Reason.PRIVATE, Reason.REMOVED}
    assert (outcome_of(reason) is GONE) == (reason in gone)
    if reason in {Reason.RATE_LIMITED, Reason.LOGIN_REQUIRED}:
        assert outcome_of(reason) is BLOCKED


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        pytest.param([], UNKNOWN, id="never-asked"),
        pytest.param([OK], OK, id="there"),
        pytest.param([GONE], UNKNOWN, id="gone-once"),
        pytest.param([GONE, GONE], UNKNOWN, id="gone-twice"),
        pytest.param([GONE, GONE, GONE], GONE, id="gone-three-days"),
        pytest.param([GONE, GONE, OK, GONE], UNKNOWN, id="came-back-in-between"),
        pytest.param([GONE, GONE, GONE, OK], OK, id="came-back"),
        pytest.param([GONE, BLOCKED, GONE, UNKNOWN, GONE], GONE, id="refusals-in-between"),
        pytest.param([GONE, GONE, BLOCKED, BLOCKED], UNKNOWN, id="refusals-do-not-count"),
        pytest.param([BLOCKED] * 9, BLOCKED, id="always-refused"),
        pytest.param([OK, BLOCKED], OK, id="refused-later"),
        pytest.param([UNKNOWN], UNKNOWN, id="no-answer"),
        pytest.param([GONE, GONE, RESTRICTED], RESTRICTED, id="restricted-now"),
    ],
)
def test_gone_takes_several_days(outcomes: list[LinkState], state: LinkState) -> None:
    assert judge("v", _days(*outcomes)).state is state


def test_several_answers_of_one_day_are_one_day() -> None:
    evidence = [Evidence(f"2026-01-01T0{hour}:00:00Z", GONE, "private") for hour in range(9)]
    link = judge("v", evidence)
    assert (link.state, link.gone_days) == (UNKNOWN, 1)
    assert link.reason == "private, on 1 of 3 days"
    assert judge("v", evidence, gone_after_days=1).state is GONE


@given(st.lists(st.sampled_from([BLOCKED, UNKNOWN, OK, RESTRICTED]), max_size=12))
def test_nothing_but_gone_makes_gone(outcomes: list[LinkState]) -> None:
    assert judge("v", _days(*outcomes)).state is not GONE


@given(st.lists(st.sampled_from(list(LinkState)), max_size=12), st.integers(1, 4))
def test_refusals_never_change_what_is_known(outcomes: list[LinkState], days: int) -> None:
    evidence = _days(*outcomes)
    telling = [e for e in evidence if e.outcome in {OK, GONE, RESTRICTED}]
    if telling:
        assert judge("v", evidence, days).state is judge("v", telling, days).state


def _videos(workspace: Workspace, *names: str) -> None:
    for name in names:
        know(workspace.db, clip(name), fetched=False)


def _add(workspace: Workspace, video: str, at: str, outcome: str, reason: str | None) -> None:
    workspace.db.execute(
        "INSERT INTO link_checks (video_id, at, outcome, reason) VALUES (?, ?, ?, ?)",
        [video, at, outcome, reason],
    )


def test_failed_fetches_are_evidence(workspace: Workspace) -> None:
    _videos(workspace, "vid-0000001", "vid-0000002")
    db = workspace.db
    db.execute(
        "INSERT INTO runs (run_id, command, version, settings, started_at) "
        "VALUES (1, 'fetch', '0', '{}', 'x')"
    )
    for day, reason in enumerate(["private", "removed", "rate_limited"], 1):
        db.execute(
            "INSERT INTO attempts (run_id, video_id, clip_id, at, status, reason) VALUES "
            "(1, 'vid-0000001', 'c', ?, 'failed', ?)",
            [f"2026-01-{day:02d}T00:00:00Z", reason],
        )
    _add(workspace, "vid-0000001", "2026-01-05T00:00:00Z", "gone", "private")
    first, second = link_states(db)
    assert (first.state, first.gone_days, first.as_of) == (GONE, 3, "2026-01-05T00:00:00Z")
    assert (second.state, second.checked_at) == (UNKNOWN, None)


def test_only_the_videos_of_the_release(workspace: Workspace) -> None:
    _videos(workspace, "vid-0000009")
    release(workspace.db, "m@1.0.0", [clip(), clip("vid-0000001", 5, 9)])
    row = find_release(workspace.db, "m@1.0.0")
    assert [link.video_id for link in link_states(workspace.db, row["release_id"])] == [
        "vid-0000001"
    ]
    assert len(list(link_states(workspace.db))) == 2


def _answering(answers: dict[str, Reason]) -> Callable[[str], None]:
    def probe(url: str) -> None:
        reason = answers.get(url.rpartition("=")[2])
        if reason is not None:
            raise ClipError(reason, "the source's own words")

    return probe


def test_answers_are_kept_and_fresh_ones_not_asked_again(workspace: Workspace) -> None:
    _videos(workspace, "vid-0000001", "vid-0000002", "vid-0000003")
    probe = _answering({"vid-0000002": Reason.PRIVATE, "vid-0000003": Reason.TIMEOUT})
    seen: list[tuple[int, int | None]] = []
    run = check_links(workspace, probe, on_progress=lambda *args: seen.append(args))
    assert (run.asked, run.skipped, run.not_asked) == (3, 0, 0)
    assert run.outcomes == {"ok": 1, "gone": 1, "unknown": 1}
    assert seen[-1] == (3, 3)
    kept = workspace.db.execute(
        "SELECT video_id, outcome, reason, message FROM link_checks ORDER BY video_id"
    ).fetchall()
    assert kept[1] == ("vid-0000002", "gone", "private", "the source's own words")
    again = check_links(workspace, probe)
    assert (again.asked, again.skipped) == (1, 2)  # what gave no answer is asked again
    assert check_links(workspace, probe, again=True).asked == 3


def test_an_old_answer_is_asked_again(workspace: Workspace) -> None:
    _videos(workspace, "vid-0000001")
    _add(workspace, "vid-0000001", "2026-01-01T00:00:00Z", "ok", None)
    assert check_links(workspace, _answering({})).asked == 1


def test_a_site_that_refuses_us_is_left_alone(workspace: Workspace) -> None:
    names = [f"vid-00000{number:02d}" for number in range(40)]
    _videos(workspace, *names)
    run = check_links(workspace, _answering(dict.fromkeys(names, Reason.RATE_LIMITED)), workers=1)
    assert run.asked == BLOCKED_IN_A_ROW
    assert run.not_asked == 40 - BLOCKED_IN_A_ROW
    assert {link.state for link in link_states(workspace.db)} == {BLOCKED, UNKNOWN}


def test_a_bug_in_asking_is_no_answer(workspace: Workspace) -> None:
    _videos(workspace, "vid-0000001")

    def broken(url: str) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        check_links(workspace, broken)
    assert workspace.db.execute("SELECT count(*) FROM link_checks").fetchone() == (0,)


def test_the_command_asks_real_servers(
    workspace: Workspace, tmp_path: Path, sample: SampleMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(COMMANDS, "links", "")
    folder = tmp_path / "www"
    folder.mkdir()
    media = sample(VideoSpec(seconds=0.4, fps=10, width=32, height=32)).path
    (folder / "a.mp4").write_bytes(media.read_bytes())
    with LoopbackServer(folder) as server:
        faults = {"there": None, "missing": "404", "forbidden": "403", "slow-down": "429"}
        for name, fault in faults.items():
            url = server.url("a.mp4", fault, **({"retry_after": 0} if fault == "429" else {}))
            workspace.db.execute(
                "INSERT INTO videos (video_id, url, added_at) VALUES (?, ?, ?)",
                [name, url, now()],
            )
        begin = time.monotonic()
        arguments = ["links", "check", "-w", str(workspace.root), "--json", "--retries", "0"]
        result = CliRunner().invoke(cli, arguments)
        assert time.monotonic() - begin < 30
    assert result.exit_code == 3, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    assert document["asked"] == 4
    assert document["outcomes"] == {"ok": 1, "gone": 1, "blocked_us": 2}
    states = {video["video_id"]: video["state"] for video in document["videos"]}
    assert states == {
        "there": "ok",
        "missing": "unknown",
        "forbidden": "blocked_us",
        "slow-down": "blocked_us",
    }
    shown = CliRunner().invoke(cli, ["links", "check", "-w", str(workspace.root), "--no-ask"])
    assert "unavailable, on 1 of 3 days" in shown.stdout
    assert shown.exit_code == 3


def test_the_command_takes_no_options_of_media() -> None:
    from mimecurate.commands.links import check

    options = {option for parameter in check.params for option in parameter.opts}
    assert {"--workers", "--cookies", "--timeout"} <= options
    assert options.isdisjoint(
        {"--cut", "--engine", "--clip-timeout", "--max-bytes", "--max-height", "--max-wait"}
    )

"""The command `release`, and the reports that it prints."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from release_lists import CLASSES, CLIPS, clip, decide, know_classes, release

from mimecurate.commands.root import COMMANDS, cli
from mimecurate.curation import release_croissant_check
from mimecurate.curation.loopback import LoopbackServer
from mimecurate.curation.release_edition import load_edition
from mimecurate.curation.release_read import load_release
from mimecurate.curation.release_rehydrate import (
    MissingClip,
    Rehydration,
    Share,
    clip_requests,
    rehydration,
)
from mimecurate.curation.release_rehydrate_page import rehydration_page
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import open_workspace
from mimecurate.schemas.digest import release_digest, row_hash
from mimecurate.schemas.ids import clip_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from testbed import SampleMaker

Run = "Callable[..., Result]"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with open_workspace(tmp_path / "ws") as opened:
        know_classes(opened.db)
        release(opened.db, "m@1.0.0")
    return tmp_path / "ws"


@pytest.fixture
def run(root: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setitem(COMMANDS, "release", "")

    def invoke(*arguments: str | Path, expect: int = 0) -> Result:
        result = CliRunner().invoke(cli, ["release", *map(str, arguments)])
        assert result.exit_code == expect, result.output
        return result

    return invoke


def _json(result: Result) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_show_without_a_release_lists_what_there_is(run: Callable[..., Result], root: Path) -> None:
    listed = run("list", "-w", root)
    assert run("show", "-w", root).stdout == listed.stdout
    assert "1.0.0" in listed.stdout
    assert _json(run("show", "-w", root, "--json")) == _json(run("list", "-w", root, "--json"))


def test_show_has_the_keys_of_the_interface(run: Callable[..., Result], root: Path) -> None:
    shown = _json(run("show", "m@1.0.0", "-w", root, "--json"))
    assert [*shown][:6] == ["name", "version", "digest", "parent", "created", "status"]
    assert shown["clips"] == 4
    assert shown["videos"] == 3
    assert shown["classes"] == 3
    assert shown["splits"] == {"test": 4}
    assert shown["subsets"]["mime_artist"] == 2
    assert shown["per_class"] == {
        "archery": 1,
        "drinking": 2,
        "punching person (boxing)": 1,
    }
    text = run("show", "m@1.0.0", "-w", root).stdout
    assert "mime_artist" in text
    assert shown["digest"] in text


def test_list(run: Callable[..., Result], root: Path) -> None:
    [listed] = json.loads(run("list", "-w", root, "--json").stdout)
    assert (listed["name"], listed["version"], listed["status"]) == ("m", "1.0.0", "frozen")
    assert listed["digest"][:12] in run("list", "-w", root).stdout


def test_what_is_not_there_is_one_line(run: Callable[..., Result], root: Path) -> None:
    result = run("show", "m@9.9.9", "-w", root, expect=1)
    assert result.stderr == "Error: no release m@9.9.9 in this workspace; there are: m@1.0.0\n"
    assert "NAME@VERSION, or the folder" in run("show", "m", "-w", root, expect=1).stderr
    result = run("show", "m@1.0.0", "-w", root / "nowhere", expect=1)
    assert "no such database" in result.stderr


def test_create_proposes_then_freezes(run: Callable[..., Result], root: Path) -> None:
    with open_workspace(root) as opened:
        decide(opened.db, clip("vid-0000009"))
    arguments = ("create", "--name", "m", "-w", root, "--allow", "missing-flags")
    proposed = run(*arguments)
    assert "since m@1.0.0: 1 clips added (MINOR)" in proposed.stderr
    add = "--version 1.1.0 --allow unverified-media"
    assert f"to freeze m@1.1.0, add {add}\n" in proposed.stderr
    refused = run(*arguments, "--version", "1.1.0", expect=1)
    assert "unverified-media" in refused.stderr
    assert "interval-length" not in refused.stderr
    made = _json(run(*arguments, *add.split(), "--json"))
    assert (made["frozen"], made["change"], made["clips"]) == (True, "MINOR", 5)
    wrong = run(*arguments, "--version", "1.0", expect=2)
    assert "must be three numbers" in wrong.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", "../x"),
        ("create", "--name", "m", "--split", "a/b=1"),
        ("import", ".", "--format", "kinetics"),
        ("withdraw", "m", "--reason", "x"),
    ],
)
def test_wrong_usage(run: Callable[..., Result], root: Path, arguments: tuple[str, ...]) -> None:
    run(*arguments, "-w", root, expect=2)


def test_the_life_of_a_release(run: Callable[..., Result], root: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "m.zip"
    run("export", "m@1.0.0", "--format", "bundle", "--out", bundle, "-w", root)
    assert _json(run("check", bundle, "--json"))["ok"] is True
    other = tmp_path / "other"
    imported = _json(run("import", bundle, "--format", "bundle", "-w", other, "--json"))
    assert (imported["name"], imported["was_there"], imported["clips"]) == ("m", False, 4)
    gone = CLIPS[0].clip_id
    taken = _json(
        run("withdraw", "m", "--clip", gone, "--reason", "asked", "--yes", "-w", other, "--json")
    )
    assert (taken["release"], taken["withdrawn"]) == ("m@2.0.0", 1)
    changed = _json(run("diff", bundle, "m@2.0.0", "-w", other, "--json"))
    assert changed["removed"] == [gone]
    assert changed["proposed"] == "2.0.0"
    table = run("diff", bundle, "m@2.0.0", "-w", other)
    assert gone in table.stdout
    told = run("import", other_bundle(run, other, tmp_path), "--format", "bundle", "-w", root)
    assert "withdrawn by its makers, and still in this workspace: 1 clip\n" in told.stderr
    assert f"  {gone}: asked\n" in told.stderr
    assert "a MAJOR change: after m@1.0.0 comes 2.0.0" in table.stderr


def other_bundle(run: Callable[..., Result], workspace: Path, folder: Path) -> Path:
    """Export m@2.0.0, which does without a clip that was withdrawn."""
    out = folder / "m-2.0.0.zip"
    run("export", "m@2.0.0", "--format", "bundle", "--out", out, "-w", workspace)
    return out


def test_clip_ids_are_whole_in_a_narrow_terminal(
    run: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed = clip("vid-0000001", 1.5, 4)
    with open_workspace(tmp_path / "narrow") as opened:
        release(opened.db, "m@1.0.0")
        release(opened.db, "m@2.0.0", [trimmed, *CLIPS[1:]], CLASSES[:2])
    monkeypatch.setenv("COLUMNS", "80")
    table = run("diff", "m@1.0.0", "m@2.0.0", "-w", tmp_path / "narrow").stdout
    row = next(line for line in table.splitlines() if line.startswith("re-trimmed"))
    assert row.split(maxsplit=2)[1:] == [trimmed.clip_id, "1-4 s  1.5-4 s"]
    listed = run("list", "-w", tmp_path / "narrow").stdout.splitlines()
    assert len(listed) == 3
    assert listed[1].split()[-2] == "2026-01-02"


def test_withdraw_asks_first(run: Callable[..., Result], root: Path) -> None:
    arguments = ("withdraw", "m", "--clip", CLIPS[0].clip_id, "--reason", "asked", "-w", root)
    run(*arguments, expect=1)
    assert load_release("m@1.0.0", root).withheld == {}


def test_check_tells_everything_as_json(
    run: Callable[..., Result], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_croissant_check, "find_spec", lambda name: None)
    out = root.parent / "out"
    run("export", "m@1.0.0", "--format", "bundle", "--out", out, "-w", root)
    (out / "LICENSE").unlink()
    (out / "more").write_text("x")
    found = _json(run("check", out, "--json", expect=1))
    assert found["ok"] is False
    messages = [p["message"] for p in found["problems"]]
    assert messages == [
        "SHA256SUMS: line 4: 'LICENSE' is missing",
        "more: is not in SHA256SUMS",
    ]
    assert "more: is not in SHA256SUMS" in run("check", out, expect=1).stderr


class TestRehydrate:
    @pytest.fixture
    def served(self, tmp_path: Path, sample: SampleMaker) -> Path:
        folder = tmp_path / "www"
        folder.mkdir()
        source = sample(VideoSpec(seconds=3, fps=10, width=32, height=32, gop=10))
        shutil.copyfile(source.path, folder / "a.mp4")
        return folder

    def test_what_is_left_is_fetched_and_reported(
        self, run: Callable[..., Result], served: Path, tmp_path: Path
    ) -> None:
        space, html, ids = tmp_path / "new", tmp_path / "left.html", tmp_path / "ids.txt"
        with LoopbackServer(served) as server:
            rows = [
                f"archery,{server.url('a.mp4')},0,1,test",
                f"drinking,{server.url('a.mp4')},1,2,test",
                f"drinking,{server.url('a.mp4', '404')},0,1,test",
                f"tying tie,{server.url('a.mp4', '403')},0,1,train",
            ]
            lists = tmp_path / "list.csv"
            lists.write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows, ""]))
            run("import", lists, "--format", "kinetics", "--name", "k", "--version", "1.0.0",
                "-w", space)  # fmt: skip
            arguments = ("rehydrate", "k@1.0.0", "-w", space, "--retries", "0", "--html", html)
            report = _json(run(*arguments, "--json", "--available", ids, expect=3))
            requests = server.stats().requests
            again = run(*arguments, expect=3)
        assert report["release"]["name"] == "k"
        assert (report["clips"], report["present"]) == (4, 2)
        assert report["by_reason"] == {"login_required": 1, "unavailable": 1}
        assert report["by_class"] == {
            "archery": {"present": 1, "clips": 1},
            "drinking": {"present": 1, "clips": 2},
            "tying tie": {"present": 0, "clips": 1},
        }
        assert report["by_split"]["train"] == {"present": 0, "clips": 1}
        assert report["by_subset"]["all"] == {"present": 2, "clips": 4}
        assert {m["reason"]: m["link"] for m in report["missing"]} == {
            "login_required": "blocked_us",
            "unavailable": "unknown",
        }
        kept = load_release("k@1.0.0", space)
        present = ids.read_text().splitlines()
        expected = release_digest(
            [c for c in kept.classes if c.name != "tying tie"],
            [(c.clip_id, row_hash(c), c.split) for c in kept.clips if c.clip_id in present],
        )
        assert report["present_digest"] == expected
        assert "2 of 4 clips of k@1.0.0 are here" in again.stderr
        assert requests > 0
        assert "k@1.0.0: 2 of 4 clips" in html.read_text()

    def test_an_exported_release_needs_no_import(
        self, run: Callable[..., Result], root: Path, tmp_path: Path
    ) -> None:
        bundle = tmp_path / "m.zip"
        run("export", "m@1.0.0", "--format", "bundle", "--out", bundle, "-w", root)
        space = tmp_path / "new"
        report = _json(run("rehydrate", bundle, "--report-only", "-w", space, "--json", expect=3))
        assert report["by_reason"] == {"not_tried": 4}

    def test_an_old_export_brings_nothing_back(
        self, run: Callable[..., Result], root: Path, tmp_path: Path
    ) -> None:
        bundle = tmp_path / "m.zip"
        run("export", "m@1.0.0", "--format", "bundle", "--out", bundle, "-w", root)
        gone = CLIPS[0].clip_id
        run("withdraw", "m", "--clip", gone, "--reason", "asked", "--yes", "-w", root)
        with open_workspace(root) as opened:
            edition = load_edition(str(bundle), root)
            wanted = [clip_id(r.video_id, r.start_ms or 0, r.end_ms or 0)
                      for r in clip_requests(opened, edition)]  # fmt: skip
            report = rehydration(opened, edition)
        assert sorted(wanted) == sorted(c.clip_id for c in CLIPS[1:])
        assert report.by_reason == {"not_tried": 3, "withdrawn": 1}


def _report() -> Rehydration:
    missing = [MissingClip("c1", "<b>", "private", "<script>alert(1)</script>", "gone")]
    shares = {"<i>x": Share(1, 2)}
    return Rehydration(
        "m@1.0.0", "d" * 64, "e" * 64, "now", 2, 1, {"private": 1}, shares, shares, shares, missing
    )


def test_the_page_escapes_what_comes_from_elsewhere() -> None:
    page = rehydration_page(_report())
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_looks_right_in_a_browser(tmp_path: Path, chromium: str) -> None:
    """Rendered without errors: the browser's own tree holds the numbers and every section."""
    page = tmp_path / "page.html"
    page.write_text(rehydration_page(_report()), "utf-8")
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for text in ("m@1.0.0: 1 of 2 clips", "50.0 %", "Missing clips", "Subsets"):
        assert text in done.stdout
    assert len(CLASSES) == 3

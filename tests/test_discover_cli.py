"""The command: what it prints, refuses and exits with; the loop from a search to a verdict."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from discovering import judge
from posing import people

from mimecurate.baselines.people_writer import write_people
from mimecurate.commands.discover import say_pause
from mimecurate.commands.root import cli
from mimecurate.curation.classes import ClassEntry, save_classes
from mimecurate.curation.loopback_youtube import KEY, Catalogue, LoopbackYouTube
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.workspace import open_workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.loopback import LoopbackServer

QUERIES = "query,language,class\nmime archery,en,archery\narc invisible,fr,archery\n"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackYouTube]:
    with LoopbackYouTube(catalogue=Catalogue(videos=90, per_query=60)) as running:
        monkeypatch.setenv("MIMECURATE_DISCOVER_API_URL", running.url)
        monkeypatch.setenv("MIMECURATE_FETCH_SLEEP_S", "0")
        monkeypatch.setenv("MIMECURATE_FETCH_RETRIES", "0")
        monkeypatch.setenv("YOUTUBE_API_KEY", KEY)
        yield running


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "q.csv"
    path.write_text(QUERIES, "utf-8")
    return path


def run(tmp_path: Path, *arguments: Any) -> Result:
    words = [*map(str, arguments), "-w", str(tmp_path / "w")]
    return CliRunner().invoke(cli, words)


def search(tmp_path: Path, listed: Path, *more: str) -> Result:
    base = ("discover", "--queries", listed, "--source", "youtube-api")
    return run(tmp_path, *base, *more)


def test_a_dry_run_says_the_days_asks_nobody_and_writes_nothing(
    tmp_path: Path, listed: Path, server: LoopbackYouTube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("YOUTUBE_API_KEY")
    line = ("--dry-run", "--json", "--per-query", "120", "--searches-per-day", "2")
    done = search(tmp_path, listed, *line)
    assert done.exit_code == 0, done.output
    plan = json.loads(done.stdout)
    assert (plan["queries"], plan["searches"], plan["searches_now"], plan["days"]) == (2, 6, 2, 3)
    assert plan["jobs"][0] == {
        "query": "mime archery",
        "language": "en",
        "class": "archery",
        "have": 0,
        "page": 1,
    }
    assert server.asked == []
    assert not (tmp_path / "w").exists()
    monkeypatch.setenv("YOUTUBE_API_KEY", KEY)
    search(tmp_path, listed, "--max-queries", "1")
    again = json.loads(search(tmp_path, listed, "--dry-run", "--json").stdout)
    assert [(job["have"], job["page"]) for job in again["jobs"]] == [(0, 1)]


def test_the_report_as_json_and_the_exit_status(
    tmp_path: Path, listed: Path, server: LoopbackYouTube
) -> None:
    first = search(tmp_path, listed, "--json", "--max-queries", "1")
    assert first.exit_code == 0
    report = json.loads(first.stdout)
    assert (report["searches"], report["found"], report["not_asked"]) == (1, 50, 1)
    assert "--max-queries 1" in report["stopped"]
    server.faults = [(500, "backendError")]
    failed = search(tmp_path, listed, "--json")
    assert failed.exit_code == 3
    assert json.loads(failed.stdout)["by_reason"] == {"network": 1}
    assert search(tmp_path, listed).exit_code == 0


def test_nothing_left_to_ask_is_said_and_classes_are_shortened(
    tmp_path: Path, listed: Path, server: LoopbackYouTube
) -> None:
    listed.write_text(QUERIES + "".join(f"mime archery,en,class {n}\n" for n in range(9)), "utf-8")
    search(tmp_path, listed)
    again = search(tmp_path, listed)
    assert again.exit_code == 0
    assert "nothing is left to ask; --older-than DAYS" in again.stderr
    assert "searching" not in again.stderr
    assert "found" not in again.stderr
    shown = run(tmp_path, "discover", "list", "--class", "class 3", "--limit", "3").stdout
    head, first, *_ = shown.splitlines()
    assert head.split() == ["video_id", "state", "queries", "best_rank", "class", "title"]
    assert "class 3 +9 more" in first
    (row, *_) = json.loads(run(tmp_path, "discover", "list", "--json").stdout)
    assert "labels" in row


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "less than 1 s"), (12.4, "12 s")])
def test_a_pause_is_never_told_as_0_s(
    capsys: pytest.CaptureFixture[str], seconds: float, words: str
) -> None:
    say_pause("x.org", seconds)
    assert capsys.readouterr().err == f"x.org asks to slow down: waiting {words}\n"


def test_only_the_languages_asked_for(
    tmp_path: Path, listed: Path, server: LoopbackYouTube
) -> None:
    assert search(tmp_path, listed, "--languages", "fr").exit_code == 0
    assert [a.parameters["q"] for a in server.asked] == ["arc invisible"]
    wrong = search(tmp_path, listed, "--languages", "fr,de")
    assert wrong.exit_code == 2
    assert "the file has en, fr" in wrong.stderr


def test_what_is_refused(
    tmp_path: Path, listed: Path, server: LoopbackYouTube, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, "discover").exit_code == 2
    assert run(tmp_path, "discover", "--queries", listed, "--source", "files").exit_code == 2
    assert search(tmp_path, listed, "--files", str(tmp_path)).exit_code == 2
    assert search(tmp_path, listed, "--max-queries", "0").exit_code == 2
    empty = tmp_path / "empty.csv"
    empty.touch()
    nothing = search(tmp_path, empty)
    assert nothing.exit_code == 1
    assert "has no query" in nothing.stderr
    monkeypatch.delenv("YOUTUBE_API_KEY")
    keyless = search(tmp_path, listed)
    assert keyless.exit_code == 1
    assert "YOUTUBE_API_KEY" in keyless.stderr
    wrong = "wrong-key-12345678"
    monkeypatch.setenv("YOUTUBE_API_KEY", wrong)
    refused = search(tmp_path, listed)
    assert refused.exit_code == 1
    assert "refuses the key" in refused.stderr
    assert wrong not in refused.output


def test_numbers_beyond_any_use_are_refused(tmp_path: Path, listed: Path) -> None:
    huge = str(10**30)
    for arguments in (
        ["discover", "--queries", listed, "--older-than", huge, "--dry-run"],
        ["discover", "--queries", listed, "--languages", ",", "--dry-run"],
        ["discover", "list", "--limit", huge],
        ["discover", "export", "--limit", huge],
        ["discover", "next", "--thompson", "-1"],
        ["classes", "list", "--version", huge],
        ["classes", "diff", huge],
    ):
        assert run(tmp_path, *arguments).exit_code == 2, arguments


def test_the_key_is_in_no_file_of_the_workspace(
    tmp_path: Path, listed: Path, server: LoopbackYouTube, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = tmp_path / "key.txt"
    key_file.write_text(KEY)
    monkeypatch.delenv("YOUTUBE_API_KEY")
    done = search(tmp_path, listed, "--api-key-file", str(key_file), "--verbose")
    assert done.exit_code == 0, done.output
    assert KEY not in done.output
    held = [
        p for p in (tmp_path / "w").rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()
    ]
    assert held == []
    shown = CliRunner().invoke(cli, ["config", "-w", str(tmp_path / "w"), "--json"])
    assert KEY not in shown.output


def test_from_a_search_to_a_verdict(
    tmp_path: Path, loopback: LoopbackServer, sample: SampleMaker
) -> None:
    film = sample(VideoSpec(seconds=12, fps=10, width=64, height=48, gop=10))
    (loopback.root / "a.mp4").write_bytes(film.path.read_bytes())
    titles = tmp_path / "titles.csv"
    url = loopback.url("a.mp4")
    titles.write_text(
        f"url,title,video_id\n{url},Mime archery <b>!,film-a\n{url}?x,Bowling,film-b\n"
    )
    listed = tmp_path / "q.csv"
    listed.write_text(QUERIES)
    base = ("discover", "--queries", listed, "--source", "files", "--files", titles)
    assert json.loads(run(tmp_path, *base, "--json").stdout)["new"] == 1
    exported = run(tmp_path, "discover", "export", "--class", "archery").stdout
    assert exported.splitlines()[1:] == [f"{url},,,archery,film-a"]
    urls = tmp_path / "urls.csv"
    urls.write_text(exported)
    fetched = run(tmp_path, "fetch", "--urls", urls, "--json")
    assert json.loads(fetched.stdout)["fetched"] == 1, fetched.output
    windows = run(tmp_path, "discover", "windows").stdout
    assert windows.splitlines()[1:] == [
        f"{url},0,6,archery,film-a",
        f"{url},6,12,archery,film-a",
    ]
    (row,) = json.loads(run(tmp_path, "discover", "list", "--state", "fetched", "--json").stdout)
    assert row["video_id"] == "film-a"
    with open_workspace(tmp_path / "w") as space:
        judge(space.db, "film-a", "yes", "archery")
    (economy,) = json.loads(run(tmp_path, "discover", "economics", "--json").stdout)
    assert (economy["fetched"], economy["yes"], economy["new"]) == (1, 1, 1)


def test_the_plan_of_a_dry_run_is_what_the_run_would_ask(
    tmp_path: Path, listed: Path, server: LoopbackYouTube
) -> None:
    assert "1 day at this pace" in search(tmp_path, listed, "--dry-run").stderr
    search(tmp_path, listed)
    with open_workspace(tmp_path / "w") as space:
        save_classes(space.db, [ClassEntry("archery"), ClassEntry("bowling")])
        for n in range(15):
            judge(space.db, f"other-{n:05}", "yes", "archery")
    more = tmp_path / "more.csv"
    more.write_text(QUERIES + "mime archer,en,archery\nbowling mime,en,bowling\nnovel,en,archery\n")
    line = ("--per-query", "60", "--order", "best", "--json")
    plan = search(tmp_path, more, *line, "--dry-run")
    assert "4 left out by --order best" in plan.stderr
    told = json.loads(plan.stdout)
    assert ([job["query"] for job in told["jobs"]], told["left_out"]) == (["bowling mime"], 4)
    server.asked.clear()
    ran = json.loads(search(tmp_path, more, *line).stdout)
    assert ran["searches"] == told["searches"] == len(server.asked) == 2
    assert {asked.parameters["q"] for asked in server.asked} == {"bowling mime"}


def test_a_class_that_is_in_no_list_is_pointed_out(
    tmp_path: Path, listed: Path, server: LoopbackYouTube
) -> None:
    assert "note" not in search(tmp_path, listed, "--dry-run").stderr
    with open_workspace(tmp_path / "w") as space:
        save_classes(space.db, [ClassEntry("bowling")])
    for more in ((), ("--dry-run",)):
        said = search(tmp_path, listed, *more).stderr
        assert "note: not in the list of classes: 'archery'" in said
    added = run(tmp_path, "discover", "add", "https://youtu.be/0zFbEjoGlhc")
    assert "note: it counts for no class; give one with --class" in added.stderr
    link = ("discover", "add", "https://youtu.be/0zFbEjoGlhc?t=9")
    assert "must come after the link's 9 s" in run(tmp_path, *link, "--until", "5").stderr
    link = ("discover", "add", "https://youtu.be/0zFbEjoGlhc")
    assert "--until 5 needs --at, or a link" in run(tmp_path, *link, "--until", "5").stderr


def test_windows_say_why_there_are_none(tmp_path: Path, sample: SampleMaker) -> None:
    film = sample(VideoSpec(seconds=12, fps=10, width=64, height=48, gop=10))
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "archery.mp4").write_bytes(film.path.read_bytes())
    listed = tmp_path / "q.csv"
    listed.write_text("query,language,class\narchery,en,archery\n")
    base = ("discover", "--queries", listed, "--source", "files", "--files", tmp_path / "films")
    run(tmp_path, *base)
    assert "no file is here" in run(tmp_path, "discover", "windows").stderr
    exported = run(tmp_path, "discover", "export")
    assert "fetch needs --allow-files" in exported.stderr
    (tmp_path / "urls.csv").write_text(exported.stdout)
    run(tmp_path, "fetch", "--urls", tmp_path / "urls.csv", "--allow-files")
    with open_workspace(tmp_path / "w") as space:
        save_classes(space.db, [ClassEntry("archery"), ClassEntry("bowling")])
    run(tmp_path, "classes", "rename", "archery", "shooting a bow")
    for name in ("archery", "shooting a bow"):
        found = run(tmp_path, "discover", "windows", "--class", name)
        assert found.stdout.count("shooting a bow") == 2, found.stderr
    wrong = run(tmp_path, "discover", "windows", "--class", "shooting a bo")
    assert "did you mean 'shooting a bow'" in wrong.stderr
    tubes = tmp_path / "tubes.csv"
    tubes.write_text("video_id,start,end\nnobody,0,5\n")
    nobody = run(tmp_path, "discover", "windows", "--tubes", tubes)
    assert "no shot of 1 s or more shows people by --tubes" in nobody.stderr
    (row,) = json.loads(run(tmp_path, "discover", "list", "--all", "--json").stdout)
    run(tmp_path, "discover", "reject", row["video_id"], "--why", "a real bow")
    assert "files left out: 1 of rejected videos" in run(tmp_path, "discover", "windows").stderr


def test_windows_are_where_a_people_file_shows_people(
    tmp_path: Path, loopback: LoopbackServer, sample: SampleMaker
) -> None:
    film = sample(VideoSpec(seconds=12, fps=10, width=64, height=48, gop=10))
    for name in ("a.mp4", "b.mp4"):
        (loopback.root / name).write_bytes(film.path.read_bytes())
    urls = tmp_path / "urls.csv"
    rows = "".join(f"{loopback.url(n)},{n},0,12\n" for n in ("a.mp4", "b.mp4"))
    urls.write_text(f"url,video_id,start,end\n{rows}")
    run(tmp_path, "fetch", "--urls", urls)
    with open_workspace(tmp_path / "w", read_only=True) as space:
        ids = dict(space.db.execute("SELECT video_id, clip_id FROM clips").fetchall())
    path = tmp_path / "people.parquet"
    write_people(path, [people((20, 45), (80, 84), clip_id=ids["a.mp4"], frames=120)])
    found = run(tmp_path, "discover", "windows", "--tubes", path)
    assert [line.split(",")[1:3] for line in found.stdout.splitlines()[1:]] == [["2", "4.5"]]
    assert "no people were looked for in 1 file: left out" in found.stderr
    assert "a second" not in found.stderr
    other = tmp_path / "other.parquet"
    write_people(other, [people((20, 45), clip_id=ids["a.mp4"], frames=60, fps=5.0)])
    said = run(tmp_path, "discover", "windows", "a.mp4", "--tubes", other).stderr
    words = "the people file is of 60 frames at 5 a second, the video here has 120 at 10"
    assert f"{ids['a.mp4']}: {words}" in said
    for name, data in (("junk.parquet", b"junk"), ("junk", b"\0\0")):
        (tmp_path / name).write_bytes(data)
        junk = run(tmp_path, "discover", "windows", "--tubes", tmp_path / name)
        assert junk.exit_code == 1
        assert f"{name}: is no people file; `baseline people" in junk.stderr
    path.write_bytes(path.read_bytes()[:-9])
    broken = run(tmp_path, "discover", "windows", "--tubes", path)
    assert broken.exit_code == 1
    assert str(path) in broken.stderr
    assert "Traceback" not in broken.output

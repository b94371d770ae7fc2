"""5,000 candidates in ten languages, killed again and again: nothing is lost or asked twice."""

from __future__ import annotations

import random
import sys
import time
from typing import TYPE_CHECKING

import pytest
from killing import run_until_done

from mimecurate.curation.loopback_youtube import Asked, Catalogue, LoopbackYouTube
from mimecurate.curation.query_sets import build_queries, query_rows, shipped_set
from mimecurate.curation.workspace import open_workspace

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES = ["en", "fr", "es", "pt", "it", "de", "tr", "ru", "ja", "zh"]
CLASSES = ["archery", "bowling", "drinking", "juggling balls", "playing guitar", "writing"]


@pytest.mark.parametrize(
    ("classes", "videos", "kills"),
    [
        pytest.param(CLASSES[:1], 600, 1, id="600 candidates"),
        pytest.param(CLASSES, 5_400, 3, id="5,000 candidates", marks=pytest.mark.slow),
    ],
)
def test_a_search_survives_kill_9(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: list[str], videos: int, kills: int
) -> None:
    queries = list(build_queries(*shipped_set("mimetics"), languages=LANGUAGES, classes=classes))
    texts = {(q.text, q.language) for q in queries}
    listed = tmp_path / "q.csv"
    rows = [",".join(f'"{cell}"' for cell in row) for row in query_rows(queries)]
    listed.write_text("\n".join(["query,language,class,template,phrase", *rows]), "utf-8")
    catalogue = Catalogue(videos=videos, per_query=50)
    with LoopbackYouTube(catalogue=catalogue) as server:
        monkeypatch.setenv("YOUTUBE_API_KEY", server.key)
        monkeypatch.setenv("MIMECURATE_DISCOVER_API_URL", server.url)
        monkeypatch.setenv("MIMECURATE_FETCH_SLEEP_S", "0")
        draw = random.Random(7)

        def after(searches: int) -> bool:
            if server.count("search") < searches:
                return False
            time.sleep(draw.uniform(0, 0.02))
            return True

        moments = [lambda n=n: after(n) for n in range(25, 25 + 90 * kills, 90)]
        command = [sys.executable, "-m", "mimecurate", "discover", "--queries", str(listed)]
        command += ["--source", "youtube-api", "-w", str(tmp_path / "w"), "--per-query", "50"]
        command += ["--searches-per-day", "9999"]
        runs = run_until_done(command, moments, timeout_s=120)
        assert [run.struck for run in runs] == [True] * kills + [False]
        assert runs[-1].returncode == 0, runs[-1].stderr
        sent = server.count("search")
    expected = {
        (text, language, catalogue.video_id(n), rank)
        for text, language in texts
        for rank, n in enumerate(catalogue.find(text), 1)
    }
    with open_workspace(tmp_path / "w", read_only=True) as space:
        found = set(
            space.db.execute(
                "SELECT text, language, video_id, rank FROM finds JOIN candidates USING "
                "(candidate_id) JOIN searches USING (search_id) JOIN queries USING (query_id)"
            ).fetchall()
        )
        spent = space.db.execute("SELECT count(*) FROM spendings").fetchone()[0]
        candidates = space.db.execute("SELECT count(*) FROM candidates").fetchone()[0]
    assert found == expected
    assert candidates == len({video_id for _, _, video_id, _ in expected}) >= 0.9 * videos
    assert len(texts) <= sent <= len(texts) + kills, "only what was under way is lost"
    assert sent <= spent <= sent + kills, "every request was written down before it went"


def test_the_budget_holds_in_every_killed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = tmp_path / "q.txt"
    listed.write_text("\n".join(f"mime {n}" for n in range(40)))
    asked: list[Asked] = []
    with LoopbackYouTube(catalogue=Catalogue(videos=500, per_query=50)) as server:
        server.on_request = asked.append
        monkeypatch.setenv("YOUTUBE_API_KEY", server.key)
        monkeypatch.setenv("MIMECURATE_DISCOVER_API_URL", server.url)
        command = [sys.executable, "-m", "mimecurate", "discover", "--queries", str(listed)]
        command += ["--source", "youtube-api", "-w", str(tmp_path / "w"), "--max-queries", "9"]
        runs = run_until_done(command, [lambda: len(asked) >= 5], timeout_s=60)
        assert [run.struck for run in runs] == [True, False]
        assert 5 + 9 <= len(asked) <= 9 + 9

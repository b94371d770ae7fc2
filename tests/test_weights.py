from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mimecurate.baselines.cards_rgb import RGB_CARDS
from mimecurate.baselines.registry import Weights, find_card
from mimecurate.baselines.weights import (
    fetch_weights,
    find_weights,
    place_in_cache,
    weights_folder,
)
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.loopback import LoopbackServer

CONTENT = bytes(range(256)) * 12_000
"""Three megabytes: three chunks and a part of one."""
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def official(loopback: LoopbackServer) -> Weights:
    (loopback.root / "w.pth").write_bytes(CONTENT)
    return Weights(loopback.url("w.pth"), SHA256[:8], "MIT", name="W")


def fetch(weights: Weights, folder: Path, retries: int = 3) -> Path:
    return fetch_weights(weights, folder, retries=retries, backoff_s=0.01, timeout_s=1)


def left_over(folder: Path) -> set[str]:
    return {p.name for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


def test_a_file_comes_once(official: Weights, loopback: LoopbackServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    for _ in range(2):
        path = fetch_weights(
            official, tmp_path / "c", on_bytes=lambda done, whole: seen.append((done, whole))
        )
        assert path.read_bytes() == CONTENT
    assert path == place_in_cache(official, tmp_path / "c")
    assert loopback.stats().requests == 1
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert left_over(tmp_path / "c") == {"w.pth"}


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("truncate", {"after_bytes": 1_500_000}),
        ("truncate", {"after_bytes": 0}),
        ("reset", {"after_bytes": 2_000_000}),
        ("stall", {"after_bytes": 1_200_000, "seconds": 5}),
        ("length", {"delta": 100}),
        ("503", {}),
        ("429", {"retry_after": 0}),
    ],
)
def test_what_breaks_off_goes_on(
    official: Weights, loopback: LoopbackServer, tmp_path: Path, fault: str, options: dict[str, int]
) -> None:
    loopback.misbehave("w.pth", fault, times=2, **options)
    assert fetch(official, tmp_path).read_bytes() == CONTENT
    assert loopback.stats().requests >= 2
    if options.get("after_bytes"):
        assert loopback.stats().bytes_sent < 1.6 * len(CONTENT)


def test_a_server_without_ranges_sends_all_again(
    official: Weights, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("w.pth", "truncate", times=1, after_bytes=2_000_000)
    loopback.misbehave("w.pth", "no_range", skip=1)
    assert fetch(official, tmp_path).read_bytes() == CONTENT


def test_a_range_that_lies_is_not_believed(
    official: Weights, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("w.pth", "truncate", times=1, after_bytes=2_000_000)
    loopback.misbehave("w.pth", "lying_range", skip=1, times=1)
    assert fetch(official, tmp_path).read_bytes() == CONTENT


def test_an_earlier_run_is_taken_up(
    official: Weights, loopback: LoopbackServer, tmp_path: Path
) -> None:
    cache = tmp_path / "c"
    loopback.misbehave("w.pth", "truncate", times=1, after_bytes=2_000_000)
    with pytest.raises(MimecurateError, match=r"ended after|the connection broke"):
        fetch(official, cache, retries=0)
    assert left_over(cache) == {"w.pth.part"}
    assert fetch(official, cache).read_bytes() == CONTENT
    second = loopback.requests("w.pth")[1]
    assert second.range is not None
    assert second.range[0] is not None
    assert second.range[0] >= 1 << 20


@pytest.mark.parametrize("part", [b"of another file", CONTENT + b"and more"])
def test_a_wrong_part_is_read_anew(official: Weights, tmp_path: Path, part: bytes) -> None:
    path = place_in_cache(official, tmp_path)
    path.parent.mkdir(parents=True)
    path.with_name("w.pth.part").write_bytes(part)
    assert fetch(official, tmp_path).read_bytes() == CONTENT


def test_a_file_that_changes_on_the_way_is_read_anew(
    official: Weights, loopback: LoopbackServer, tmp_path: Path
) -> None:
    file = loopback.root / "w.pth"
    file.write_bytes(CONTENT[::-1])
    loopback.misbehave("w.pth", "truncate", times=1, after_bytes=2_000_000)
    first = threading.Event()

    def swap(_done: int, _whole: int | None) -> None:
        if not first.is_set():
            first.set()
            file.write_bytes(CONTENT)

    path = fetch_weights(official, tmp_path, backoff_s=0.01, on_bytes=swap)
    assert path.read_bytes() == CONTENT


def test_other_bytes_than_the_publishers_are_not_kept(official: Weights, tmp_path: Path) -> None:
    wrong = replace(official, sha256="00000000")
    with pytest.raises(MimecurateError, match=f"begins {SHA256[:16]}, .* says 00000000"):
        fetch(wrong, tmp_path / "c")
    assert left_over(tmp_path / "c") == set()


def test_a_damaged_file_in_the_cache_is_replaced(official: Weights, tmp_path: Path) -> None:
    path = fetch(official, tmp_path)
    path.write_bytes(CONTENT[:-1])
    assert fetch(official, tmp_path).read_bytes() == CONTENT


def test_without_a_published_sha256_the_file_is_taken_as_it_comes(
    official: Weights, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("w.pth", "truncate", times=1, after_bytes=2_000_000)
    unchecked = replace(official, sha256=None)
    with pytest.raises(MimecurateError):
        fetch(unchecked, tmp_path, retries=0)
    assert fetch(unchecked, tmp_path).read_bytes() == CONTENT
    assert loopback.requests("w.pth")[1].range is None  # nothing tells that the part is of it


@pytest.mark.parametrize(
    ("fault", "words"),
    [("404", "status 404"), ("403", "status 403"), ("html", "a web page came"), ("500", "500")],
)
def test_what_cannot_be_had_says_what_to_do(
    official: Weights, loopback: LoopbackServer, tmp_path: Path, fault: str, words: str
) -> None:
    loopback.misbehave("w.pth", fault)
    with pytest.raises(MimecurateError, match=words) as caught:
        fetch(official, tmp_path, retries=1)
    message = str(caught.value)
    assert message.startswith(official.url or "")
    assert f"give --weights FILE or put it at {place_in_cache(official, tmp_path)}" in message
    assert "\n" not in message
    assert loopback.stats().requests == (2 if fault == "500" else 1)


def test_nobody_there_is_said_in_one_line(tmp_path: Path) -> None:
    weights = Weights("http://127.0.0.1:9/w.pth", None, "MIT", where="it from https://drive.test/x")
    with pytest.raises(MimecurateError, match="can't be reached; get it from https://drive") as it:
        fetch(weights, tmp_path, retries=1)
    assert "\n" not in str(it.value)


def test_several_at_a_time_download_once(
    official: Weights, loopback: LoopbackServer, tmp_path: Path
) -> None:
    loopback.misbehave("w.pth", "slow", rate=8e6)
    threads = [threading.Thread(target=fetch, args=(official, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loopback.stats().requests == 1
    assert place_in_cache(official, tmp_path).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_written_is_said(official: Weights, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MimecurateError, match="can't be kept: "):
        fetch(official, tmp_path / "file")


def test_weights_that_only_a_person_can_get(tmp_path: Path) -> None:
    card = find_card("resnext101_rgb_16f")
    place = tmp_path / "resnext-101-kinetics.pth"
    with pytest.raises(MimecurateError, match=r"drive\.google\.com.* with a browser") as caught:
        find_weights(card, folder=tmp_path)
    assert str(place) in str(caught.value)
    place.write_bytes(b"by hand")
    assert find_weights(card, folder=tmp_path) == place


def test_weights_are_a_file_or_a_published_name(official: Weights, tmp_path: Path) -> None:
    card = replace(
        find_card("swin3d_b"), weights=(replace(official, url=None, name="A", where="a"), official)
    )
    file = tmp_path / "mine.pth"
    file.write_bytes(b"mine")
    assert find_weights(card, str(file)) == file
    assert find_weights(card, "W", folder=tmp_path).read_bytes() == CONTENT
    with pytest.raises(MimecurateError, match=r"--weights X: no such file; .* A, W$"):
        find_weights(card, "X", folder=tmp_path)
    unpublished = replace(card, weights=())
    with pytest.raises(MimecurateError, match="no published weights; give --weights FILE"):
        find_weights(unpublished, folder=tmp_path)


def test_the_cache_is_where_the_setting_or_the_user_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pathlib import Path as PathHere

    assert weights_folder(tmp_path) == PathHere.home() / ".cache/mimecurate/weights"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert weights_folder(tmp_path) == tmp_path / "x/mimecurate/weights"
    (tmp_path / "mimecurate.toml").write_text("[baseline]\nweights_dir = '/w'\n")
    assert weights_folder(tmp_path) == PathHere("/w")
    monkeypatch.setenv("MIMECURATE_BASELINE_WEIGHTS_DIR", "~/mine")
    assert weights_folder(tmp_path) == PathHere.home() / "mine"


def test_files_in_the_cache_never_share_a_place(tmp_path: Path) -> None:
    places = [place_in_cache(w, tmp_path) for card in RGB_CARDS for w in card.weights]
    assert len(set(places)) == len(places)
    escaping = Weights("https://x.test/../../etc/w.pth", None, "")
    assert place_in_cache(escaping, tmp_path) == tmp_path / "x.test/etc/w.pth"

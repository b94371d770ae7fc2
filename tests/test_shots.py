"""Shots and windows: cuts in real encodings, pans that are none, 1 to 10 s, people's tubes."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from mimecurate.commands.root import cli
from mimecurate.curation.discover_windows import (
    MAX_WINDOW_MS,
    MIN_WINDOW_MS,
    read_tubes,
    windows,
)
from mimecurate.curation.shots import find_shots
from mimecurate.curation.url_list import ClipRequest, read_url_list
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import ClipError, InvalidInputError
from mimecurate.schemas.database import now

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

FPS = 10


def scene(seed: int) -> NDArray[np.uint8]:
    """Blocks of colour, 160 by 90."""
    blocks = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), np.uint8)
    return np.repeat(np.repeat(blocks, 10, 0), 10, 1)


def film(path: Path, frames: list[NDArray[np.uint8]]) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "20", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def test_cuts_are_found_where_they_are(tmp_path: Path) -> None:
    frames = [scene(seed) for seed, count in ((1, 23), (2, 40), (3, 17)) for _ in range(count)]
    assert find_shots(film(tmp_path / "a.mp4", frames)) == [(0, 2300), (2300, 6300), (6300, 8000)]


def test_a_pan_is_no_cut(tmp_path: Path) -> None:
    wide = np.concatenate([scene(seed) for seed in range(4)], axis=1)
    frames = [np.ascontiguousarray(wide[:, 12 * i : 12 * i + 160]) for i in range(40)]
    assert find_shots(film(tmp_path / "a.mp4", frames)) == [(0, 4000)]


def test_a_flash_makes_no_shot_of_its_own(tmp_path: Path) -> None:
    white = np.full((90, 160, 3), 255, np.uint8)
    frames = [scene(1)] * 20 + [white] + [scene(1)] * 20
    assert len(find_shots(film(tmp_path / "a.mp4", frames))) <= 2


@pytest.mark.parametrize("data", [b"", b"not a film", b"\x00\x00\x00\x18ftypisom" + b"\0" * 40])
def test_what_is_no_film_is_said_to_be_corrupt(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    with pytest.raises(ClipError):
        find_shots(path)


lengths = st.lists(st.integers(1, 60_000), min_size=1, max_size=8)
spans = st.tuples(st.integers(0, 90_000), st.integers(1, 30_000)).map(lambda s: (s[0], s[0] + s[1]))


@given(lengths, st.none() | st.lists(spans, max_size=5))
def test_windows_are_short_apart_and_inside_shots_and_tubes(
    parts: list[int], tubes: list[tuple[int, int]] | None
) -> None:
    ends = [sum(parts[: i + 1]) for i in range(len(parts))]
    shots = list(zip([0, *ends[:-1]], ends, strict=True))
    found = windows(shots, tubes)
    assert all(
        MIN_WINDOW_MS <= b - a <= MAX_WINDOW_MS and a % 100 == b % 100 == 0 for a, b in found
    )
    assert all(b <= c for (_, b), (c, _) in pairwise(found))
    assert all(any(s <= a and b <= e for s, e in shots) for a, b in found)
    if tubes is None:
        kept = sum(b - a for a, b in found)
        usable = sum(e - s for s, e in shots if e - s >= 1_200)
        assert kept >= usable - 200 * len(shots), "a tenth at each end of a shot"
    else:
        assert all(any(s < b and a < e for s, e in tubes) for a, b in found)


def test_windows_of_a_long_shot_leave_nothing_between_them() -> None:
    assert windows([(0, 10_010)]) == [(0, 5_000), (5_000, 10_000)]
    assert windows([(50, 20_050)]) == [(100, 10_000), (10_000, 20_000)]


def test_wrong_tubes_name_every_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("video_id,start,end\nv,0,5\nv,9,4\nv,x,4\n,1,2\n")
    with pytest.raises(InvalidInputError) as caught:
        read_tubes(path)
    assert sorted(p.line or 0 for p in caught.value.problems) == [3, 4, 5]


def test_the_command_proposes_a_list_that_fetch_reads(tmp_path: Path) -> None:
    frames = [scene(seed) for seed, count in ((1, 60), (2, 90)) for _ in range(count)]
    folder = tmp_path / "w"
    with open_workspace(folder) as space:
        (space.clips_dir / "vi").mkdir()
        film(space.clips_dir / "vi/a.mp4", frames)
        (space.clips_dir / "vi/b.mp4").write_bytes(b"broken")
        for name, length in (("a", 15_000), ("b", 15_000), ("c", 9_000)):
            with space.db.atomic():
                space.db.execute(
                    "INSERT INTO videos (video_id, url, added_at) VALUES (?, ?, ?)",
                    [f"video-{name}", f"https://example.org/{name}", now()],
                )
                space.db.execute(
                    "INSERT INTO clips (clip_id, video_id, start_ms, end_ms, label, added_at) "
                    "VALUES (?, ?, 20000, 35000, 'archery', ?)",
                    [name, f"video-{name}", now()],
                )
                space.db.execute(
                    "INSERT INTO media VALUES (?,?,'0',1,?,16,16,30.0,30,'h264',NULL,"
                    "'smart',0,NULL,'',x'00','x','x')",
                    [name, f"clips/vi/{name}.mp4", length],
                )
    line = ["discover", "windows", "--class", "archery", "-w", str(folder)]
    done = CliRunner().invoke(cli, line)
    assert done.exit_code == 3, done.output
    assert "b: " in done.stderr
    requests = list(read_url_list(io.BytesIO(done.stdout.encode()), name="x"))
    assert [
        (r.video_id, r.start_ms, r.end_ms, r.label) for r in requests if isinstance(r, ClipRequest)
    ] == [("video-a", 20_000, 26_000, "archery"), ("video-a", 26_000, 35_000, "archery")]
    tubes = tmp_path / "t.csv"
    tubes.write_text("video_id,start,end\nvideo-a,24,28.5\n")
    done = CliRunner().invoke(cli, [*line, "video-a", "--tubes", str(tubes)])
    assert done.stdout.splitlines()[1:] == [
        "https://example.org/a,24,26,archery,video-a",
        "https://example.org/a,26,28.5,archery,video-a",
    ]

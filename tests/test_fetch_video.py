"""One worker's job: a clip that does not hold is made again, or fails with its reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fetching import counters

from mimecurate.curation import fetch_video as module
from mimecurate.curation.cut import cut_clip
from mimecurate.curation.fetch_plan import ClipJob, VideoJob
from mimecurate.curation.fetch_video import FetchOptions, fetch_video
from mimecurate.curation.samples import Sample, VideoSpec
from mimecurate.curation.sources import SourceOptions, make_pacer
from mimecurate.errors import Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.cut import Cut
    from mimecurate.curation.fetch_video import ClipResult


def _fetch(source: Sample, tmp_path: Path, *clips: tuple[int, int]) -> list[ClipResult]:
    options = FetchOptions(
        tmp_path / "clips", SourceOptions(allow_files=True), "smart", None, 600_000
    )
    asked = tuple(ClipJob(f"{start}", start, end) for start, end in clips)
    return list(
        fetch_video(
            VideoJob("v", str(source.path), asked),
            options=options,
            pacer=make_pacer(options.source),
            check_stopped=lambda: None,
        )
    )


@pytest.fixture
def source(sample: SampleMaker) -> Sample:
    return sample(VideoSpec(seconds=6, width=96, height=96, gop=15))


def _damage(times: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Cut the end off the first so many files that are made; return the modes asked for."""
    whole = cut_clip
    modes: list[str] = []

    def cut_short(*arguments: Any, **options: Any) -> Cut:
        cut = whole(*arguments, **options)
        modes.append(options["mode"])
        if len(modes) <= times:
            out: Path = arguments[4]
            out.write_bytes(out.read_bytes()[:-2000])
        return cut

    monkeypatch.setattr(module, "cut_clip", cut_short)
    return modes


def test_a_smart_cut_that_does_not_hold_is_reencoded_whole(
    source: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = _damage(1, monkeypatch)
    (result,) = _fetch(source, tmp_path, (1100, 4100))
    assert modes == ["smart", "encode"]
    assert result.fetched is not None
    assert result.fetched.cut.mode == "encode"
    assert result.fetched.notes[0].startswith("re-encoded whole: ")
    path = tmp_path / "clips/v_/v_000001.100_000004.100.mp4"
    assert counters(path) == source.numbers_between(1100, 4100)


def test_a_clip_that_never_holds_is_corrupt_and_leaves_nothing(
    source: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _damage(2, monkeypatch)
    bad, good = _fetch(source, tmp_path, (1100, 4100), (0, 1000))
    assert (bad.reason, good.reason) == (Reason.CORRUPT, None)
    assert [p.name for p in (tmp_path / "clips").rglob("*.mp4")] == ["v_000000_000001.mp4"]


def test_every_clip_of_a_job_has_one_result(source: Sample, tmp_path: Path) -> None:
    results = _fetch(source, tmp_path, (0, 1000), (5000, 9000), (60_000, 61_000))
    assert [r.reason for r in results] == [None, Reason.INTERVAL_OUTSIDE, Reason.INTERVAL_OUTSIDE]
    gone = _fetch(replace(source, path=tmp_path / "none.mp4"), tmp_path, (0, 1000), (1000, 2000))
    assert [r.asked for r in gone] == ["0", "1000"]
    assert all(r.reason is not None and r.message for r in gone)

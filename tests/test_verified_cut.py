from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import av
import pytest
from cut_checks import check_frames, opened

from mimecurate.curation.cut import cut_clip
from mimecurate.curation.cut_smart import Seams, find_seams
from mimecurate.curation.samples import VideoSpec
from mimecurate.curation.verified_cut import cut_verified
from mimecurate.curation.verify import verify_clip
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

    from mimecurate.curation.cut_plan import Plan

SPEC = VideoSpec(seconds=4, bframes=0, grain=4)


def cut(path: Path, out: Path, mode: Any) -> Any:
    with opened(path) as source:
        return cut_verified(
            source, None, 500, 2500, out, mode=mode, max_height=None, check_stopped=lambda: None
        )


def damaged(path: Path, target: Path, packet: int) -> Path:
    """Overwrite the middle of one coded picture."""
    with av.open(path) as container:
        hit = [p.pos for p in container.demux(video=0) if p.size][packet]
    assert hit is not None
    data = bytearray(path.read_bytes())
    data[hit + 10 : hit + 250] = bytes(240)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("mode", ["smart", "encode", "copy"])
def test_a_clip_that_holds_is_made_once(mode: Any, sample: SampleMaker, tmp_path: Path) -> None:
    made, facts = cut(sample(SPEC).path, tmp_path / "clip.mp4", mode)
    assert (made.mode, made.notes) == (mode, ())
    assert facts == verify_clip(tmp_path / "clip.mp4", made)


@pytest.mark.parametrize("mode", ["smart", "copy"])
def test_damage_that_was_copied_is_found(mode: Any, sample: SampleMaker, tmp_path: Path) -> None:
    path = damaged(sample(SPEC).path, tmp_path / "damaged.mp4", 45)
    with opened(path) as source:  # the cutter alone does not see it
        cut_clip(source, None, 500, 2500, tmp_path / "clip.mp4", mode=mode)
    with pytest.raises(ClipError, match="the source's frame") as caught:
        cut(path, tmp_path / "clip.mp4", mode)
    assert caught.value.reason is Reason.CORRUPT


def test_a_clip_that_does_not_hold_is_encoded_whole(
    sample: SampleMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if a source looked like one that can be cut smartly, and were not."""
    video = sample(SPEC)

    def one_frame_short(plan: Plan) -> Seams:
        seams = find_seams(plan)
        assert isinstance(seams, Seams)
        return replace(seams, copy_stop=seams.copy_stop - 1)

    monkeypatch.setattr("mimecurate.curation.cut.find_seams", one_frame_short)
    made, facts = cut(video.path, tmp_path / "clip.mp4", "smart")
    assert made.mode == "encode"
    (note,) = made.notes
    assert note == "re-encoded whole: the clip is not whole: it holds 59 frames, not 60"
    assert facts.frames == 60
    check_frames(video, 500, 2500, tmp_path / "clip.mp4", made)

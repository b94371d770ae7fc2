from __future__ import annotations

import json
from typing import TYPE_CHECKING

import need_torch  # noqa: F401
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from tiny_baseline import PROTOCOL, Tiny, add_tiny

from mimecurate.baselines import cards_rgb, clip_views, view_scores
from mimecurate.baselines.clip_views import ClipViews, in_order, video_views
from mimecurate.baselines.run_bench import bench
from mimecurate.baselines.view_scores import largest_batch, score_views
from mimecurate.commands.root import cli
from mimecurate.curation.samples import VideoSpec
from mimecurate.errors import ClipError, MimecurateError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from testbed import SampleMaker

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cards_rgb, "RGB_CARDS", cards_rgb.RGB_CARDS)
    add_tiny(wait_s=0.01)


def test_every_way_is_measured(sample: SampleMaker, tmp_path: Path) -> None:
    media = [sample(VideoSpec(seconds=1, fps=25)).path]
    steps: list[int] = []
    found = bench(
        *("tiny", tmp_path),
        media=media,
        clips=3,
        rounds=2,
        device="cpu",
        plain_loop=True,
        on_step=lambda: steps.append(1),
    )
    assert len(steps) == 8
    assert found.views == 9
    assert found.plain_loop is not None
    assert min(found.from_memory, found.end_to_end, found.decoding, found.plain_loop) > 0
    assert 0 < found.ratio < 3


def test_the_command_prints_what_was_measured(sample: SampleMaker, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(sample(VideoSpec(seconds=1, fps=25)).path)
    words = ["baseline", "bench", "tiny", "--clips", str(tmp_path), "--count", "2", "--rounds", "1"]
    done = CliRunner().invoke(cli, [*words, "--device", "cpu", "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["model"] == "tiny"
    shown = CliRunner().invoke(cli, [*words, "--device", "cpu"], catch_exceptions=False)
    assert "end to end" in shown.stdout
    refused = CliRunner().invoke(cli, ["baseline", "bench", "sipnet"])
    assert refused.exit_code == 1
    assert "models of RGB frames are measured" in refused.stderr


def test_the_batch_is_what_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Tiny().eval()
    assert largest_batch(model, PROTOCOL, channels=3, device=CPU, amp=None) == 4
    peaks = iter([0, 1000])
    monkeypatch.setattr(view_scores, "_peak_bytes", lambda device: next(peaks))
    monkeypatch.setattr(view_scores, "_free_bytes", lambda device: 2500)
    assert largest_batch(model, PROTOCOL, channels=3, device=CPU, amp=None) == 2
    monkeypatch.setattr(view_scores, "_try", lambda *_: None)
    with pytest.raises(MimecurateError, match="one view does not fit"):
        largest_batch(model, PROTOCOL, channels=3, device=CPU, amp=None)


def test_bfloat16_is_near(sample: SampleMaker) -> None:
    torch.manual_seed(0)
    model = Tiny().eval()
    path = sample(VideoSpec(seconds=1, fps=25)).path
    views = video_views(path, PROTOCOL, device=CPU)

    def scores(amp: str | None) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        found = score_views([("a", views)], model, PROTOCOL, device=CPU, batch_size=4, amp=amp)
        [(_, row)] = [one for part in found for one in part]
        assert not isinstance(row, ClipError)
        return row

    assert np.abs(scores("bf16") - scores(None)).max() < 0.02


def test_scores_that_are_no_numbers_are_an_error_of_the_clip() -> None:
    class Broken(torch.nn.Module):
        def forward(self, views: torch.Tensor) -> torch.Tensor:
            return torch.full((len(views), 5), torch.nan)

    frames = torch.zeros((3, 8, 3, 24, 24), dtype=torch.uint8)
    clips: list[tuple[str, ClipViews | ClipError]] = [
        ("a", ClipViews(frames, torch.arange(8)[None])),
        ("b", ClipError(Reason.OTHER, "x")),
    ]
    found = score_views(clips, Broken(), PROTOCOL, device=CPU, batch_size=2)
    results = dict(one for part in found for one in part)
    assert "not finite" in str(results["a"])
    assert str(results["b"]) == "x"


def test_a_video_whose_views_fill_the_memory_is_refused(
    sample: SampleMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_views, "_MAX_BYTES", 1000)
    with pytest.raises(ClipError, match="cut a shorter clip") as caught:
        video_views(sample(VideoSpec(seconds=1, fps=25)).path, PROTOCOL, device=CPU)
    assert caught.value.reason is Reason.UNSUPPORTED


def test_large_frames_are_read_in_parts(
    sample: SampleMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sample(VideoSpec(seconds=1, fps=25)).path
    whole = video_views(path, PROTOCOL, device=CPU)
    monkeypatch.setattr(clip_views, "_CHUNK_BYTES", 3 * 160 * 120 * 2)
    parts = video_views(path, PROTOCOL, device=CPU)
    assert torch.equal(whole.frames, parts.frames)


def test_an_error_that_is_not_the_clip_s_ends_the_work() -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ZeroDivisionError
        return item

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, range(10), workers=2))

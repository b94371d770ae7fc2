"""From files to scores against the model alone, and against a plain loop.

    python benchmarks/baseline.py                       # on a GPU where there is one
    python benchmarks/baseline.py --device cpu --clips 6

Asked for: r2plus1d_18 at 16x112x112 reaches 0.9 of the same model fed from memory on a GPU with 16
cores, 0.8 on 2 CPU cores; and on a GPU 5 times the straightforward loop (OpenCV, a clip at a time,
float32, eager). All ways take turns in one process. Then memory: what the process holds after N
clips and after ten times as many, of a model so small that the pipeline is all there is.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from mimecurate.baselines.clip_views import in_order, video_views
from mimecurate.baselines.protocol import Protocol
from mimecurate.baselines.run_bench import Bench, bench
from mimecurate.baselines.view_scores import score_views
from mimecurate.curation.samples import VideoSpec, make_video


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="r2plus1d_18")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, default=0, help="of a round; default: by device")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-clips", type=int, default=1000)
    options = parser.parse_args()
    on_gpu = options.device != "cpu"
    print(f"torch {torch.__version__}, {torch.get_num_threads()} CPU threads, {options.device}")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for views in (1, 5):
            found = bench(
                options.model,
                Path(folder),
                clips=options.clips or (512 if on_gpu else 8),
                rounds=options.rounds,
                views=views,
                device=options.device,
                amp="bf16" if on_gpu else None,
                plain_loop=True,
            )
            failed |= not report(found, on_gpu=on_gpu)
        failed |= not memory(Path(folder), options.memory_clips)
    return int(failed)


def report(found: Bench, *, on_gpu: bool) -> bool:
    least = 0.9 if on_gpu else 0.8
    assert found.plain_loop is not None
    faster = found.end_to_end / found.plain_loop
    print(
        f"{found.model}, {found.views} views, batch {found.batch_size}, {found.workers} workers, "
        f"{found.decoder}, {found.device}\n"
        f"  from memory {found.from_memory:.2f} clips/s, end to end {found.end_to_end:.2f}, "
        f"decoding alone {found.decoding:.2f}, plain loop {found.plain_loop:.2f}\n"
        f"  end to end / from memory {found.ratio:.3f} (asked: {least}), in CPU time "
        f"{found.cpu_ratio:.3f}\n"
        f"  end to end / plain loop {faster:.2f} "
        + ("(asked: 5)" if on_gpu else "(5 is asked on a GPU: not measured)")
    )
    return found.ratio >= least and (faster >= 5 or not on_gpu)


class Small(nn.Module):
    """A model that costs nothing."""

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        """Average."""
        return views.mean((2, 3, 4))


def memory(folder: Path, clips: int) -> bool:
    """Score ``clips`` clips, then nine times as many, and compare what the process holds."""
    path = make_video(folder / "small.mp4", VideoSpec(seconds=1, fps=25)).path
    protocol = Protocol(
        *(16, 1, (112, 112), (0.4, 0.4, 0.4), (0.2, 0.2, 0.2)), views=1, short_side=112
    )
    cpu = torch.device("cpu")

    def score(count: int) -> None:
        found = in_order(lambda _: video_views(path, protocol, device=cpu), range(count), workers=2)
        views = ((str(i), clip) for i, clip in found)
        for _ in score_views(views, Small(), protocol, device=cpu, batch_size=8):
            pass

    score(clips)
    before = resident()
    score(9 * clips)
    grown = resident() - before
    print(f"memory: {before:.0f} MiB after {clips} clips, {grown:+.1f} after {10 * clips}")
    return grown < 0.05 * before


def resident() -> float:
    """Return the resident size of this process in MiB."""
    with open("/proc/self/status", encoding="ascii") as file:
        fields = dict(line.split(":", 1) for line in file)
    return int(fields["VmRSS"].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())

"""Measure a model on this machine: from decoding to scores, against frames that are in memory."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

import torch

from mimecurate import baselines
from mimecurate.baselines.clip_views import ClipViews, in_order, video_views
from mimecurate.baselines.decode import open_video
from mimecurate.baselines.devices import device_name, find_device
from mimecurate.baselines.registry import find_card
from mimecurate.baselines.run_clips import default_workers
from mimecurate.baselines.sampling import view_frames
from mimecurate.baselines.transforms import crop, normalise, resize
from mimecurate.baselines.view_scores import largest_batch, score_views
from mimecurate.curation.samples import VideoSpec, make_video
from mimecurate.errors import ClipError, MimecurateError
from mimecurate.evaluation.report_media import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from torch import nn

    from mimecurate.baselines.decode import Decoder
    from mimecurate.baselines.protocol import Protocol

_SAMPLE = VideoSpec(seconds=10, fps=30, width=340, height=256, gop=48, grain=6)
"""As large as the clips that Kinetics is passed on as, and as hard to decode."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What was measured, in clips per second; the median of the rounds.

    Attributes:
        model: its name.
        device: as its maker names it.
        batch_size: views at once.
        workers: threads that decode.
        views: of one clip, crops counted.
        decoder: that gave the frames.
        from_memory: the model fed with frames that lie in memory.
        end_to_end: from the files to scores.
        decoding: from the files to frames, without a model.
        plain_loop: OpenCV, a clip at a time, float32, eager; ``None`` where it was not asked for.
        ratio: ``end_to_end`` to ``from_memory``, the median over rounds.
        cpu_ratio: the same in this process's CPU time, which other programs disturb less.
    """

    model: str
    device: str
    batch_size: int
    workers: int
    views: int
    decoder: str
    from_memory: float
    end_to_end: float
    decoding: float
    plain_loop: float | None
    ratio: float
    cpu_ratio: float


def bench(
    model: str,
    folder: Path,
    *,
    media: Sequence[Path] = (),
    clips: int = 16,
    rounds: int = 3,
    views: int | None = None,
    device: str | None = None,
    amp: str | None = None,
    compile: bool = False,
    batch_size: int | str = "auto",
    workers: int | None = None,
    decoder: Decoder = "auto",
    plain_loop: bool = False,
    on_step: Callable[[], object] | None = None,
) -> Bench:
    """Measure a model of frames with random weights; both ways of feeding it take turns.

    Args:
        model: as `mimecurate baseline list` has it; of RGB frames.
        folder: where a video to decode may be made.
        media: files to decode instead, each as often as need be.
        clips: to score in each round.
        rounds: of each way.
        views: of a clip, over the protocol's.
        device: as `run` takes it, and so are the rest.
        amp: see there.
        compile: see there.
        batch_size: see there.
        workers: see there.
        decoder: see there.
        plain_loop: measure the straightforward way as well.
        on_step: called after each round of each way.

    Raises:
        MimecurateError: there is no such model or device, or the media can't be decoded.
    """
    card = find_card(model)
    if card.protocol is None or card.modality != "rgb":
        raise MimecurateError(f"{model} reads {card.modality}; models of RGB frames are measured")
    protocol = card.protocol if views is None else replace(card.protocol, views=views)
    place = find_device(device)
    torch.manual_seed(0)
    built: Any = baselines.build(model).to(place).eval()
    if batch_size == "auto":
        batch_size = largest_batch(built, protocol, channels=3, device=place, amp=amp)
    built = torch.compile(built) if compile else built
    files = list(media) or [make_video(folder / "bench.mp4", _SAMPLE).path]
    way = _Ways(built, protocol, files, place, int(batch_size), amp, decoder, workers, clips)
    step = on_step or _nothing
    way.from_memory()  # the first pass compiles, allocates and warms up
    cpu_times: dict[str, list[float]] = {"memory": [], "end": [], "decoding": [], "plain": []}
    times: dict[str, list[float]] = {"memory": [], "end": [], "decoding": [], "plain": []}
    for _ in range(rounds):
        for name, measure in (
            ("memory", way.from_memory),
            ("end", way.end_to_end),
            ("decoding", way.decoding),
            ("plain", way.plain_loop if plain_loop else _nothing),
        ):
            wall_s, cpu_s = _seconds(measure, place)
            times[name].append(wall_s)
            cpu_times[name].append(cpu_s)
            step()
    rate = {name: clips / statistics.median(found) for name, found in times.items()}
    return Bench(
        model=model,
        device=device_name(place),
        batch_size=int(batch_size),
        workers=way.workers,
        views=len(way.ready[0]),
        decoder=way.decoder_used(),
        from_memory=rate["memory"],
        end_to_end=rate["end"],
        decoding=rate["decoding"],
        plain_loop=rate["plain"] if plain_loop else None,
        ratio=_median_ratio(times["memory"], times["end"]),
        cpu_ratio=_median_ratio(cpu_times["memory"], cpu_times["end"]),
    )


def find_files(folder: Path) -> list[Path]:
    """List the videos under a folder.

    Raises:
        MimecurateError: there is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not files:
        raise MimecurateError(f"{folder}: no video there")
    return files


class _Ways:
    """The ways of scoring the same clips."""

    def __init__(
        self,
        model: nn.Module,
        protocol: Protocol,
        files: Sequence[Path],
        device: torch.device,
        batch_size: int,
        amp: str | None,
        decoder: Decoder,
        workers: int | None,
        clips: int,
    ) -> None:
        self.workers = workers or default_workers()
        self._files = list(islice(cycle(files), clips))
        self._decode = partial(video_views, protocol=protocol, device=device, decoder=decoder)
        self._score = partial(
            score_views,
            model=model,
            protocol=protocol,
            device=device,
            batch_size=batch_size,
            amp=amp,
        )
        self._model, self._protocol, self._device = model, protocol, device
        self._decoder: Decoder = decoder
        self.ready = [self._decode(file) for file in dict.fromkeys(self._files)]

    def from_memory(self) -> None:
        views = islice(cycle(self.ready), len(self._files))
        self._take((str(i), view) for i, view in enumerate(views))

    def end_to_end(self) -> None:
        found = in_order(self._decode, self._files, workers=self.workers)
        self._take((str(path), views) for path, views in found)

    def decoding(self) -> None:
        for _, views in in_order(self._decode, self._files, workers=self.workers):
            _check(views)

    def plain_loop(self) -> None:
        """Score as a first script would: every frame decoded by OpenCV, clip by clip."""
        import cv2

        for path in self._files:
            capture, frames = cv2.VideoCapture(str(path)), []
            fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
            while True:
                there, picture = capture.read()
                if not there:
                    break
                frames.append(torch.from_numpy(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
            capture.release()
            if not frames:
                raise MimecurateError(f"{path}: OpenCV can't decode it")
            video = torch.stack(frames).permute(0, 3, 1, 2)
            small = crop(resize(video, self._protocol), self._protocol)
            for places in view_frames(self._protocol, len(frames), fps):
                for crop_of in small:
                    view = normalise(crop_of[torch.from_numpy(places)][None], self._protocol)
                    with torch.inference_mode():
                        self._model(view.to(self._device)).softmax(1).cpu()

    def decoder_used(self) -> str:
        with open_video(self._files[0], decoder=self._decoder) as video:
            return video.decoder

    def _take(self, clips: Iterator[tuple[str, ClipViews | ClipError]]) -> None:
        for scored in self._score(clips):
            for _, scores in scored:
                _check(scores)


def _check(found: object) -> None:
    if isinstance(found, ClipError):
        raise found


def _median_ratio(first: list[float], second: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(first, second, strict=True))


def _seconds(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Measure seconds of the clock, and of the CPU in all threads."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return max(time.perf_counter() - began, 1e-9), max(time.process_time() - cpu, 1e-9)


def _nothing() -> None:
    """Do nothing."""

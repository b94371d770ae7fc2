"""The demo's source: small films served over loopback, and a list that has all that goes wrong."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.curation.sample_actions import ACTIONS
from mimecurate.curation.sample_files import truncated
from mimecurate.curation.sample_scenes import PEOPLE, SceneSpec, make_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mimecurate.curation.loopback import LoopbackServer

INTERVALS = (("0.5", "2.5"), ("3", "5.5"))
"""Two clips of each film, in seconds."""


KINDS = {"": False, "_again": False, "_mime": True}
"""What a film's name ends in, and whether it is mimed: on a stage, without object or scene."""


@dataclass(frozen=True, slots=True)
class Film:
    """One film of the demo, and what is true of it."""

    name: str
    label: str
    is_mime: bool
    """Played on a stage, with neither the object nor the scene of the action."""
    split: str
    """``train``: what the demo's baseline has seen; ``test``: the rest."""


def make_films(folder: Path, on_progress: Callable[[], None] = lambda: None) -> tuple[Film, ...]:
    """Draw each action by two people in its usual place with its object, and mimed on a stage.

    A film that is there already is not drawn again.
    """
    folder.mkdir(parents=True, exist_ok=True)
    films = []
    for index, action in enumerate(ACTIONS):
        for place, (ending, is_mime) in enumerate(KINDS.items()):
            name = f"{action.split(' (')[0].replace(' ', '_')}{ending}.mp4"
            spec = SceneSpec(
                action=action,
                person=(index + 2 * place) % len(PEOPLE),
                is_mime=is_mime,
                with_object=not is_mime,
                with_scene=not is_mime,
            )
            if not (folder / name).exists():
                make_scene(folder / name, spec)
            films.append(Film(name, action, is_mime, "test" if ending else "train"))
            on_progress()
    return tuple(films)


def write_list(
    path: Path, films: tuple[Film, ...], server: LoopbackServer, real_clips: tuple[Path, ...] = ()
) -> int:
    """Write a list of good, dead, rate-limited, broken and malformed entries.

    Args:
        path: the CSV to write.
        films: what `make_films` made, in ``server.root``.
        server: serves them.
        real_clips: more videos, linked into the server's folder; their names are their classes.

    Returns:
        The number of entries.
    """
    rows = [
        (server.url(film.name), start, end, film.label, video_id_of(film), film.split)
        for film in films
        for start, end in INTERVALS
    ]
    for clip in real_clips:
        link = server.root / clip.name
        if not link.exists():
            link.symlink_to(clip.resolve())
        rows.append((server.url(clip.name), "2", "7", clip.stem, clip.stem, ""))
    rows += ((*trouble, "") for trouble in _troubles(films[0], server))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("url", "start", "end", "label", "video_id", "split"))
        writer.writerows(rows)
    return len(rows)


def video_id_of(film: Film) -> str:
    """Name a film's video."""
    return film.name.removesuffix(".mp4")


def _troubles(film: Film, server: LoopbackServer) -> Iterator[tuple[str, str, str, str, str]]:
    """Yield entries that go wrong, each in its way."""
    cut_off = server.root / "cut_off.mp4"
    truncated(server.root / film.name, cut_off)
    for name, fault, options in (
        ("deleted", "404", {}),
        ("removed", "410", {}),
        ("busy", "429", {"retry_after": 2, "times": 2}),
        ("overrun", "429", {"retry_after": 1}),
        ("flaky", "reset", {"after_bytes": 20_000, "times": 2}),
        ("sign_in", "html", {}),
    ):
        server.misbehave(f"{name}.mp4", fault, **options)
        link = server.root / f"{name}.mp4"
        if not link.exists():
            link.symlink_to((server.root / film.name).resolve())
        yield server.url(link.name), "1", "3", film.label, name
    yield server.url(cut_off.name), "4", "5.5", film.label, "cut_off"
    yield server.url(film.name), "40", "45", film.label, video_id_of(film)
    yield "file:///etc/passwd", "1", "3", film.label, "not_a_link"
    yield server.url(film.name), "9", "4", film.label, "backwards"

r"""The digest of a release: what a paper cites, the same on every machine.

A clip's row is hashed on its own (`row_hash`); the digest is the SHA-256 of the release's classes
and of (clip id, row hash, split) of its clips, sorted by name and by clip id. It can therefore be
verified when the row itself had to be withdrawn. Name, version, dates, links and licence are not in
it: a release that only repackages another has the same digest.

Everything is hashed as UTF-8 lines of JSON without blanks and without ``\u`` escapes, each ended
by a line feed. docs/reference/bundle.md gives an example to check another implementation against.
"""

from __future__ import annotations

import hashlib
from json.encoder import encode_basestring as _quoted
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mimecurate.schemas.release import ReleasedClass, ReleasedClip

DIGEST_FORMAT = 1
_FLAGS: dict[str | None, str] = {None: "null", "yes": '"yes"', "no": '"no"', "unsure": '"unsure"'}


def row_hash(clip: ReleasedClip) -> bytes:
    """Hash what a release says of one clip: 32 bytes.

    >>> from mimecurate.schemas.release import Flag, ReleasedClip
    >>> clip = ReleasedClip("v_000001_000003", "v", 1000, 3000, "archery", "test", Flag.NO)
    >>> row_hash(clip).hex()[:16]
    '7e4092d7933ab954'
    """
    return hash_fields(
        clip.clip_id,
        clip.video_id,
        clip.start_ms,
        clip.end_ms,
        clip.label,
        clip.mime_artist,
        clip.object_relevant,
        clip.scene_relevant,
    )


def hash_fields(
    clip_id: str,
    video_id: str,
    start_ms: int,
    end_ms: int,
    label: str,
    mime_artist: str | None,
    object_relevant: str | None,
    scene_relevant: str | None,
) -> bytes:
    """Hash the fields of a row, as the database holds them."""
    names = f"{_quoted(clip_id)},{_quoted(video_id)},{start_ms},{end_ms},{_quoted(label)}"
    flags = f"{_FLAGS[mime_artist]},{_FLAGS[object_relevant]},{_FLAGS[scene_relevant]}"
    return hashlib.sha256(f"[{names},{flags}]".encode()).digest()


def release_digest(
    classes: Iterable[ReleasedClass], entries: Iterable[tuple[str, bytes, str]]
) -> str:
    """Return the digest of a release as 64 hexadecimal digits.

    Args:
        classes: sorted by name.
        entries: clip id, row hash and split of each clip, sorted by clip id.

    Raises:
        ValueError: not sorted, or something is there twice.

    >>> release_digest([], [])[:16]
    'f79a6ed433f1487b'
    """
    sha256 = hashlib.sha256(f'["mimecurate release",{DIGEST_FORMAT}]\n'.encode())
    last = ""
    for released in classes:
        if released.name <= last:
            raise ValueError(f"class {released.name!r} is not after {last!r}")
        last = released.name
        size = "null" if released.object_size is None else f'"{released.object_size}"'
        scene = {None: "null", True: "true", False: "false"}[released.scene]
        sha256.update(f'["class",{_quoted(last)},{size},{scene}]\n'.encode())
    last = ""
    for clip_id, hashed, split in entries:
        if clip_id <= last:
            raise ValueError(f"clip {clip_id!r} is not after {last!r}")
        last = clip_id
        sha256.update(f'["clip",{_quoted(clip_id)},"{hashed.hex()}",{_quoted(split)}]\n'.encode())
    return sha256.hexdigest()

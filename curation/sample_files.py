"""Files that are not what they should be, and a playlist of segments, made from a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

Disguise = Literal["empty", "garbage", "html", "m3u8", "ffconcat"]


def truncated(source: Path, target: Path, *, keep: float = 0.6) -> Path:
    """Copy the first part of a file, as a broken download leaves it.

    Args:
        source: a whole file.
        target: where the part goes.
        keep: how much of it, from 0 to 1.
    """
    data = source.read_bytes()
    target.write_bytes(data[: int(len(data) * keep)])
    return target


def scrambled(source: Path, target: Path) -> Path:
    """Copy a file with 1 KiB of noise in every 16 KiB of its second half, as a bad disk has it.

    In a .mp4 with its index in front only the coded pictures and sound are hit.
    """
    data = bytearray(source.read_bytes())
    rng = np.random.default_rng(len(data))
    for start in range(len(data) // 2, len(data) - 1024, 16 * 1024):
        data[start : start + 1024] = rng.bytes(1024)
    target.write_bytes(data)
    return target


def disguised(path: Path, kind: Disguise, *, refers_to: str = "file:///etc/passwd") -> Path:
    """Write something that is no video, whatever the name says.

    Args:
        path: the file to write.
        kind: a playlist (``m3u8``, ``ffconcat``) makes a careless reader open ``refers_to``.
        refers_to: a URL or path.
    """
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{refers_to}\n#EXT-X-ENDLIST\n"
    contents: dict[Disguise, bytes] = {
        "empty": b"",
        "garbage": np.random.default_rng(0).bytes(50_000),
        "html": b"<!doctype html>\n<title>Sign in</title>\n<p>Sign in to see this video.</p>\n",
        "m3u8": playlist.encode(),
        "ffconcat": f"ffconcat version 1.0\nfile '{refers_to}'\n".encode(),
    }
    path.write_bytes(contents[kind])
    return path


def make_hls(source: Path, folder: Path, *, segment_s: float = 2) -> Path:
    """Split a video into MPEG-TS segments and a playlist, without re-encoding.

    Args:
        source: H.264 video with or without AAC sound.
        folder: where ``index.m3u8`` and ``segment000.ts``, … go; made if missing.
        segment_s: least duration of a segment; each starts with a key frame.

    Returns:
        The playlist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    playlist = folder / "index.m3u8"
    options = {
        "hls_time": str(segment_s),
        "hls_playlist_type": "vod",
        "hls_segment_filename": str(folder / "segment%03d.ts"),
    }
    with (
        av.open(source) as given,
        av.open(playlist, "w", format="hls", options=options) as output,
    ):
        streams = {s.index: output.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                output.mux(packet)
    return playlist

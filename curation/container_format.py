"""Which demuxer a media file is for, by its first bytes.

libav would also take playlists, scripts and session descriptions for media, and open what they
name; so the demuxer is chosen here, among those that read one file and nothing else.
"""

from __future__ import annotations

from mimecurate.errors import ClipError, Reason

SNIFF_BYTES = 1024

_MP4_BOXES = frozenset(
    {b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"uuid"}
)
_MAGIC = (
    (b"\x1a\x45\xdf\xa3", "matroska"),
    (b"FLV\x01", "flv"),
    (b"OggS", "ogg"),
    (b"\x00\x00\x01\xba", "mpeg"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
)
_TS_PACKET_BYTES = 188
_PLAYLISTS = (b"#extm3u", b"ffconcat", b"<?xml", b"<mpd", b"[playlist]", b"v=0")


def container_format(head: bytes, *, name: str) -> str:
    """Tell the libav demuxer for a file.

    Args:
        head: its first `SNIFF_BYTES`, all of it if it is shorter.
        name: what to call it in an error.

    Raises:
        ClipError: ``NO_VIDEO``: it is empty, text, a web page or something unknown;
            ``UNSUPPORTED``: a playlist.

    >>> container_format(bytes.fromhex("00000018 66747970 69736f6d"), name="a.mp4")
    'mp4'
    """
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    for magic, demuxer in _MAGIC:
        if head.startswith(magic):
            return demuxer
    packets = head[::_TS_PACKET_BYTES][:5]
    if len(packets) >= 3 and set(packets) == {0x47}:
        return "mpegts"
    if not head:
        raise ClipError(Reason.NO_VIDEO, f"{name}: the file is empty")
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(_PLAYLISTS):
        raise ClipError(Reason.UNSUPPORTED, f"{name}: a playlist, not a video")
    if text.startswith((b"<!doctype", b"<html")):
        raise ClipError(Reason.NO_VIDEO, f"{name}: a web page, not a video")
    raise ClipError(Reason.NO_VIDEO, f"{name}: not a video of a known kind")

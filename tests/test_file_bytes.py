from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from mimecurate.curation.file_bytes import FileBytes
from mimecurate.errors import ClipError, Reason

if TYPE_CHECKING:
    from pathlib import Path

    from mimecurate.curation.byte_reader import ByteReader


def test_it_reads_what_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(range(200)))
    reader: ByteReader = FileBytes(path)
    assert reader.size == 200
    assert reader.read(10, 20) == bytes(range(10, 20))
    assert reader.read(190, 500) == bytes(range(190, 200))
    assert reader.read(200, 300) == b""
    assert reader.bytes_read == 20


def test_a_file_that_shrinks_or_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(bytes(200))
    reader = FileBytes(path)
    os.truncate(path, 100)
    with pytest.raises(ClipError, match="shorter") as caught:
        reader.read(50, 150)
    assert caught.value.reason is Reason.CORRUPT
    path.unlink()
    with pytest.raises(ClipError, match="No such file"):
        reader.read(0, 1)


def test_only_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ValueError, match="not a regular file"):
            FileBytes(path)
    with pytest.raises(FileNotFoundError):
        FileBytes(tmp_path / "none")

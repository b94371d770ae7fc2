from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mimecurate.baselines.clip_files import find_clip_files
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from pathlib import Path


def test_all_media_of_a_folder_are_clips_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "archery").mkdir()
    files = {"b": tmp_path / "b.mp4", "a.000": tmp_path / "archery" / "a.000.MKV"}
    for path in (*files.values(), tmp_path / "notes.txt"):
        path.touch()
    assert find_clip_files(None, tmp_path, tmp_path) == files


def test_two_files_of_one_name_are_both_named(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.webm"):
        (tmp_path / name).touch()
    with pytest.raises(MimecurateError, match=r"holds a\.mp4 and a\.webm"):
        find_clip_files(None, tmp_path, tmp_path)


def test_a_folder_without_media_is_said(tmp_path: Path) -> None:
    with pytest.raises(MimecurateError, match="holds no media"):
        find_clip_files(None, tmp_path, tmp_path)
    with pytest.raises(MimecurateError, match="no such folder"):
        find_clip_files(None, tmp_path / "no", tmp_path)

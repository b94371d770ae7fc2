"""The workspace: made when missing, locked by one process, unlocked when that dies."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mimecurate.curation.media_store import media_path, publish, remove_unfinished, unfinished_path
from mimecurate.curation.workspace import open_workspace
from mimecurate.errors import WorkspaceBusyError, WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import sys, time
from mimecurate.curation.workspace import open_workspace
with open_workspace(sys.argv[1]) as space, space.lock("fetch", "a test"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_what_is_missing_is_made(tmp_path: Path) -> None:
    with open_workspace(tmp_path / "deep/er") as space:
        assert space.clips_dir.is_dir()
        assert (tmp_path / "deep/er/mimecurate.db").is_file()


def test_a_file_is_no_workspace(tmp_path: Path) -> None:
    (tmp_path / "w").write_text("in the way")
    with pytest.raises(WorkspaceError, match="can't be a workspace"):
        open_workspace(tmp_path / "w")


def test_the_lock_is_held_by_one_process_and_ends_with_it(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with open_workspace(tmp_path) as space:
        with (
            pytest.raises(WorkspaceBusyError, match=f"a test, process {holder.pid}"),
            space.lock("fetch", "another"),
        ):
            pass
        holder.kill()
        holder.communicate()
        with space.lock("fetch", "another"):
            pass


def test_a_file_gets_its_name_whole(tmp_path: Path) -> None:
    unfinished = unfinished_path(tmp_path / "unfinished")
    unfinished.write_bytes(b"clip")
    final = tmp_path / media_path("ab_000000_000001")
    publish(unfinished, final)
    assert final.read_bytes() == b"clip"
    assert not unfinished.exists()


def test_what_dead_runs_left_is_removed(tmp_path: Path) -> None:
    unfinished_path(tmp_path / "u").write_bytes(b"half")
    (tmp_path / "u" / "folder").mkdir()
    (tmp_path / "u" / "folder" / "half").write_bytes(b"half")
    assert remove_unfinished(tmp_path / "u") == 2
    assert os.listdir(tmp_path / "u") == []
    assert remove_unfinished(tmp_path / "none") == 0

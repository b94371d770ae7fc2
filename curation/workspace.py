"""The workspace: a folder with one database, the clips and the settings.

mimecurate.db       SQLite: the one source of truth
clips/              media, named by clip id
mimecurate.toml     settings, optional
.mimecurate/        caches, the log; safe to delete but for the server's data
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import WorkspaceBusyError, WorkspaceError
from mimecurate.schemas.closing import Closing
from mimecurate.schemas.database import open_database, open_database_read_only

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlite_utils import Database

DATABASE = "mimecurate.db"


@dataclass(frozen=True)
class Workspace(Closing):
    """An open workspace; close it, or use it in a ``with`` statement."""

    root: Path
    db: Database

    @property
    def clips_dir(self) -> Path:
        """Where the media are."""
        return self.root / "clips"

    @property
    def state_dir(self) -> Path:
        """Caches, locks and the log."""
        return self.root / ".mimecurate"

    @property
    def unfinished_dir(self) -> Path:
        """Where clips are written before they get their name, on the clips' own file system."""
        return self.clips_dir / ".unfinished"

    @contextlib.contextmanager
    def lock(self, name: str, doing: str) -> Iterator[None]:
        """Hold the workspace for one kind of work, e.g. ``"fetch"``.

        The lock is the operating system's: it ends with the process, however that ends.

        Raises:
            WorkspaceBusyError: another process holds it; the message says which.
        """
        from filelock import FileLock, Timeout

        self.state_dir.mkdir(exist_ok=True)
        path = self.state_dir / f"{name}.lock"
        holder = self.state_dir / f"{name}.holder"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            with contextlib.suppress(OSError):
                doing = holder.read_text("utf-8")
            raise WorkspaceBusyError(
                f"{self.root}: another run is busy here ({doing}); wait for it, or stop it"
            ) from error
        try:
            holder.write_text(f"{doing}, process {os.getpid()}", "utf-8")
            yield
        finally:
            lock.release()

    def close(self) -> None:
        """Close the database."""
        self.db.close()


def open_workspace(path: Path | str = ".", *, read_only: bool = False) -> Workspace:
    """Open the workspace in a folder, making what is missing.

    Args:
        path: the workspace's folder.
        read_only: only read the database; it must exist. Never waits for a writer.

    Raises:
        WorkspaceError: the folder can't be used, or the database is not ours.
    """
    from pathlib import Path

    root = Path(path)
    if read_only:
        return Workspace(root, open_database_read_only(root / DATABASE))
    try:
        root.mkdir(parents=True, exist_ok=True)
        workspace = Workspace(root, open_database(root / DATABASE))
        workspace.clips_dir.mkdir(exist_ok=True)
        workspace.state_dir.mkdir(exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"{root}: can't be a workspace: {error.strerror}") from error
    return workspace

"""Delete the media of withdrawn clips: begun by the withdrawal, finished whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimecurate.curation.workspace import Workspace


def finish_purges(workspace: Workspace) -> int:
    """Delete the media of withdrawn clips that are still there; return how many files that were."""
    removed = 0
    for path, *_ in workspace.db.execute("SELECT path FROM purges").fetchall():
        file = workspace.root / path
        removed += file.is_file()
        file.unlink(missing_ok=True)
        workspace.db.execute("DELETE FROM purges WHERE path = ?", [path])
    return removed

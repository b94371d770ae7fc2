"""Who may log in at the workspace's own Label Studio: made once, in a file of mode 0600."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mimecurate.errors import WorkspaceError

if TYPE_CHECKING:
    from pathlib import Path

FIRST_USER = "lead@localhost"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of the lead, who holds the server."""

    username: str
    password: str
    api_key: str

    def __repr__(self) -> str:
        """Say who, and keep the secrets."""
        return f"Credentials({self.username!r})"


def another_user() -> str:
    """Name a user for a database whose users we no longer know.

    Label Studio makes the user it is started with, unless it is there.
    """
    return f"lead-{secrets.token_hex(3)}@localhost"


def read_credentials(path: Path) -> Credentials | None:
    """Read the file; None where there is none.

    Raises:
        WorkspaceError: it can't be read, or isn't what `make_credentials` wrote.
    """
    try:
        written = json.loads(path.read_text("utf-8"))
        return Credentials(**{name: str(written[name]) for name in Credentials.__slots__})
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkspaceError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise WorkspaceError(
            f"{path}: no longer what mimecurate wrote; remove it, and a new user is made"
        ) from error


def make_credentials(path: Path, *, username: str = FIRST_USER) -> Credentials:
    """Make a password and a token, and write them where only the user may read (mode 0600)."""
    made = Credentials(username, secrets.token_urlsafe(12), secrets.token_hex(20))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(made), file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    return made

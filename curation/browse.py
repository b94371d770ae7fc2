"""Look at a workspace in the browser with Datasette: its metadata file.

python -m mimecurate.curation.browse > metadata.yaml
datasette mimecurate.db --metadata metadata.yaml
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

METADATA = "metadata.yaml"


def datasette_metadata() -> str:
    """Return the metadata: titles, facets and canned queries for a workspace's database."""
    return files("mimecurate.schemas").joinpath("datasette.yaml").read_text("utf-8")


def write_datasette_metadata(root: Path) -> bool:
    """Write ``metadata.yaml`` into a workspace's folder unless one is there; say whether it was."""
    path = root / METADATA
    if path.exists():
        return False
    path.write_text(datasette_metadata(), "utf-8", newline="\n")
    return True


if __name__ == "__main__":
    print(datasette_metadata(), end="")

"""`python -m mimecurate`."""

from __future__ import annotations

from mimecurate.cli import main

if __name__ == "__main__":
    main()

"""Collect what is wrong with files that a release is read from, however much that is."""

from __future__ import annotations

from mimecurate.errors import InvalidInputError, Problem

_KEPT = 100


class Problems:
    """The first hundred problems, and how many there are."""

    def __init__(self) -> None:
        """Start with none."""
        self.kept: list[Problem] = []
        self.count = 0

    def add(self, problem: Problem, *, file: str = "") -> None:
        """Add one; ``file`` tells where it is when several files are read."""
        self.count += 1
        if len(self.kept) < _KEPT:
            self.kept.append(Problem(f"{file}: {problem}") if file else problem)

    def raise_if_any(self, name: str, hint: str = "") -> None:
        """Raise what was collected of the thing called ``name``.

        Raises:
            InvalidInputError: there are problems.
        """
        if self.count == 0:
            return
        more = self.count - len(self.kept)
        rest = [Problem(f"and {more:,} more")] if more else []
        raise InvalidInputError(name, [*self.kept, *rest], hint)

"""The verbs of `import mimecurate`."""

from __future__ import annotations

import subprocess
import sys

import pytest

import mimecurate


@pytest.mark.parametrize("name", mimecurate.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(mimecurate, name)
    assert isinstance(value, str) or value.__doc__


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        mimecurate.nonsense  # noqa: B018


def test_importing_it_loads_nothing_else() -> None:
    code = "import sys, mimecurate; print([m for m in sys.modules if m.startswith('mimecurate.')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

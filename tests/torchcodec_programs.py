"""Runs a program where torchcodec finds FFmpeg's libraries: the system's, or else PyAV's own.

Libraries are looked for when a process starts, so what needs torchcodec runs in one of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import av
from testbed import need


def run_with_torchcodec(program: str, *arguments: str | Path, folder: Path) -> str:
    """Run Python code that uses torchcodec, and return what it prints.

    Args:
        program: the code.
        arguments: its ``sys.argv[1:]``.
        folder: where links to libraries may be kept.
    """
    command = [sys.executable, "-c", _PROBE + program, *map(str, arguments)]
    for environment in (dict(os.environ), _with_own_libraries(folder)):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        if done.returncode != _NOT_HERE:
            assert done.returncode == 0, done.stderr
            return done.stdout
    need("torchcodec", None, "it finds no FFmpeg libraries, neither the system's nor PyAV's")
    raise AssertionError


_NOT_HERE = 77
_PROBE = f"""import sys
from mimecurate.baselines.decode import torchcodec_problem
if torchcodec_problem(): sys.exit({_NOT_HERE})
"""


def _with_own_libraries(folder: Path) -> dict[str, str]:
    """Give PyAV's libraries the names that others look for."""
    libraries = Path(av.__file__).parents[1] / "av.libs"
    links = folder / "libraries"
    links.mkdir(exist_ok=True)
    for path in sorted(libraries.glob("lib*.so*")):
        name = re.sub(r"-[0-9a-f]{8}\.so\.(\d+).*", r".so.\1", path.name)
        if not (links / name).exists():
            (links / name).symlink_to(path)
    return {**os.environ, "LD_LIBRARY_PATH": f"{links}:{libraries}"}

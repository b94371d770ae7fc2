from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import testbed and killing

from testbed import REPOSITORY, SampleMaker, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mimecurate.curation.loopback import LoopbackServer
    from mimecurate.curation.samples import Sample, VideoSpec

_CHROMIUM_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome-headless-shell",
)
_PROXY_NAMES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep the machine's settings, proxies, tokens and home folder out of every test."""
    for name in list(os.environ):
        ours = name.startswith(("MIMECURATE_", "LABEL_STUDIO_")) and name != "MIMECURATE_REQUIRE"
        if ours or name.lower() in _PROXY_NAMES or name.startswith("XDG_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> SampleMaker:
    """Makes sample videos, each once a session (and once a worker under xdist)."""
    from mimecurate.curation.samples import make_video

    folder = tmp_path_factory.mktemp("samples")
    made: dict[tuple[VideoSpec, str], Sample] = {}

    def make(spec: VideoSpec, suffix: str = ".mp4") -> Sample:
        if (spec, suffix) not in made:
            path = folder / f"sample{len(made):03d}{suffix}"
            made[spec, suffix] = make_video(path, spec)
            path.chmod(0o444)
        return made[spec, suffix]

    return make


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder ``shared`` beside the repository: real clips, the Mimetics release, papers."""
    folder = REPOSITORY.parent / "shared"
    need("shared", folder.is_dir(), "there is no folder 'shared' beside the repository")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium or Chrome."""
    path = next(filter(None, map(shutil.which, _CHROMIUM_NAMES)), None)
    need("chromium", path, f"none of {', '.join(_CHROMIUM_NAMES)} is on PATH")
    assert path is not None
    return path


@pytest.fixture
def loopback(tmp_path: Path) -> Iterator[LoopbackServer]:
    """A running server whose folder, ``loopback.root``, is empty."""
    from mimecurate.curation.loopback import LoopbackServer

    root = tmp_path / "served"
    root.mkdir()
    with LoopbackServer(root) as server:
        yield server

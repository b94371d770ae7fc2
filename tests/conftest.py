from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import testbed and killing

from testbed import REPOSITORY, SampleMaker, need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import LabelStudio

    from mimecurate.curation.loopback import LoopbackServer
    from mimecurate.curation.samples import Sample, VideoSpec

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as of jobs in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile("any machine", deadline=None)  # these machines are noisy
hypothesis.settings.load_profile("any machine")

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
    """Keep the machine's settings, proxies, tokens, screen and home folder out of every test."""
    for name in list(os.environ):
        ours = name.startswith(("MIMECURATE_", "LABEL_STUDIO_")) and name != "MIMECURATE_REQUIRE"
        screen = name in {"COLUMNS", "LINES"}
        if ours or screen or name.lower() in _PROXY_NAMES or name.startswith("XDG_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.getbasetemp() / "home"
    home.mkdir(exist_ok=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute with one thread: what is small is slower with several, above all under load."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.fixture(scope="session")
def label_studio_template(pytestconfig: pytest.Config) -> Path:
    """A workspace whose Label Studio ran once and has stopped: a start from a copy is quick.

    Kept in pytest's cache, for the version that is installed: a first start takes half a minute.
    """
    from importlib.metadata import version

    from filelock import FileLock
    from label_studio import running_label_studio

    from mimecurate.annotation.server_process import find_program
    from mimecurate.errors import MissingExtraError

    try:
        find_program()
    except MissingExtraError as error:
        need("label-studio", False, str(error))
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir(f"label-studio-{version('label-studio')}").absolute()
    template = folder / "workspace"
    with FileLock(folder / "lock"):
        if not (folder / "done").exists():
            shutil.rmtree(template, ignore_errors=True)
            with running_label_studio(template):
                pass
            (folder / "done").touch()
    return template


@pytest.fixture(scope="session")
def label_studio(
    label_studio_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LabelStudio]:
    """A running Label Studio; tests share it, so each makes projects of its own."""
    from label_studio import running_label_studio

    root = tmp_path_factory.mktemp("label-studio")
    with running_label_studio(root, label_studio_template) as server:
        yield server

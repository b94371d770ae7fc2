from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from testbed import REPOSITORY, need


def test_a_missing_part_skips_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMECURATE_REQUIRE", "gpu,ray")
    need("warp-drive", True, "")
    with pytest.raises(pytest.skip.Exception, match="warp-drive: none on this ship"):
        need("warp-drive", False, "none on this ship")


def test_a_missing_part_that_was_promised_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIMECURATE_REQUIRE", "gpu, warp-drive")
    with pytest.raises(pytest.fail.Exception, match="warp-drive is required"):
        need("warp-drive", None, "none on this ship")


def test_environment_is_clean(tmp_path: Path) -> None:
    dirty = {"http_proxy", "HTTPS_PROXY", "MIMECURATE_WORKSPACE", "LABEL_STUDIO_API_KEY"}
    assert not dirty & set(os.environ)
    assert tmp_path.parent in Path.home().parents or Path.home().parent == tmp_path.parent


def test_a_dirty_environment_is_cleaned() -> None:
    dirty = {
        "http_proxy": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "MIMECURATE_WORKSPACE": "/nowhere",
        "LABEL_STUDIO_API_KEY": "secret",
        "HOME": "/nowhere",
    }
    test = f"{Path(__file__).name}::{test_environment_is_clean.__name__}"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{test}"],
        cwd=REPOSITORY,
        env={**os.environ, **dirty},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout

"""The folders, pyproject.toml, the links under src/ and the wheel must agree."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]
MAPPED: dict[str, str] = SETUPTOOLS["package-dir"]
LINKED = {name: folder for name, folder in MAPPED.items() if not folder.startswith("src/")}


def test_every_package_folder_is_listed() -> None:
    found = set()
    for name, folder in MAPPED.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join([name, *parts]))
    assert found == set(SETUPTOOLS["packages"])


@pytest.mark.parametrize(("name", "folder"), LINKED.items())
def test_links_point_at_the_folders(name: str, folder: str) -> None:
    links = {n: ROOT / "src" / n.replace(".", "/") for n in LINKED}
    if not any(link.is_symlink() for link in links.values()):
        pytest.skip("a checkout without symbolic links")
    assert links[name].resolve() == ROOT / folder


def test_the_wheel_holds_every_module_and_nothing_else(tmp_path: Path) -> None:
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # modules that are no more stay in there
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = {n for n in archive.namelist() if ".dist-info/" not in n}
    expected = {"mimecurate/py.typed"}
    for name, folder in MAPPED.items():
        for path in (ROOT / folder).iterdir():
            if path.is_file():
                expected.add(f"{name.replace('.', '/')}/{path.name}")
    assert packed == expected

"""The files of an exported release, in a folder or in a zip that may be hostile.

Nothing is ever unpacked by the names in a zip: its members are read in place, and a bundle that
names anything outside itself, or unpacks to far more than it should, is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast

from mimecurate.errors import InvalidInputError, Problem, plain_words

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST = "release.json"
MAX_FILES = 10_000
_CHUNK_BYTES = 1 << 20
MAX_BYTES = 8 << 30
_FREE_BYTES, _MAX_RATIO = 64 << 20, 200
"""A zip may unpack to 64 MiB whatever its size, beyond that to 200 times its size."""
_READ_ERRORS = (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


class BundleFiles(Protocol):
    """Regular files by their relative path, with ``/``."""

    @property
    def sizes(self) -> dict[str, int]:
        """The size of every file in bytes."""
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file for reading from its start."""
        ...


@contextlib.contextmanager
def open_bundle(path: Path) -> Iterator[BundleFiles]:
    """Open the folder or zip of an exported release.

    Raises:
        InvalidInputError: it is neither, names something outside itself, is too large, or turns
            out to be damaged while it is read.
    """
    try:
        if path.is_dir():
            yield _Folder(path)
        else:
            with zipfile.ZipFile(path) as archive:
                yield _Zip(archive, path.stat().st_size)
    except _Refused as error:
        raise InvalidInputError(str(path), error.problems) from error
    except _READ_ERRORS as error:
        hint = "give the folder or the .zip of an exported release"
        raise InvalidInputError(
            str(path), [Problem(f"can't be read: {plain_words(error)}")], hint
        ) from error


class _Refused(Exception):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__(str(problems[0]))
        self.problems = problems


class _Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.sizes: dict[str, int] = {}
        problems = []
        for path in root.rglob("*"):
            name = path.relative_to(root).as_posix()
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                self.sizes[name] = status.st_size
            elif not stat.S_ISDIR(status.st_mode):
                problems.append(Problem(f"{name}: is no ordinary file; links are not followed"))
            if len(self.sizes) > MAX_FILES:
                raise _Refused([Problem(f"has over {MAX_FILES} files; is this a release?")])
        if problems:
            raise _Refused(problems)

    def open(self, name: str) -> BinaryIO:
        return (self._root / name).open("rb")


class _Zip:
    def __init__(self, archive: zipfile.ZipFile, packed_bytes: int) -> None:
        self._archive = archive
        members = [info for info in archive.infolist() if not info.is_dir()]
        problems = [*filter(None, map(_member_problem, members)), *_total_problems(members)]
        unpacked = sum(info.file_size for info in members)
        if unpacked > max(_FREE_BYTES, _MAX_RATIO * packed_bytes) or unpacked > MAX_BYTES:
            problems.append(Problem(f"unpacks from {packed_bytes:,} to {unpacked:,} bytes"))
        if problems:
            raise _Refused(problems[:100])
        self._prefix = _common_folder([info.filename for info in members])
        self.sizes = {info.filename.removeprefix(self._prefix): info.file_size for info in members}

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", self._archive.open(self._prefix + name))


def _member_problem(info: zipfile.ZipInfo) -> Problem | None:
    name = info.filename
    shown = repr(name[:120])
    if name != info.orig_filename or not is_inside(name):
        return Problem(f"{shown}: is outside the bundle")
    if stat.S_ISLNK(info.external_attr >> 16):
        return Problem(f"{shown}: is a link; links are not followed")
    if info.flag_bits & 0x1:
        return Problem(f"{shown}: is encrypted")
    return None


def _total_problems(members: list[zipfile.ZipInfo]) -> list[Problem]:
    names = [info.filename for info in members]
    problems = []
    if len(names) > MAX_FILES:
        problems.append(Problem(f"has {len(names):,} files, over {MAX_FILES}; is this a release?"))
    if len(set(names)) < len(names):
        problems.append(Problem("holds two files of one name"))
    return problems


def _common_folder(names: list[str]) -> str:
    """Return ``folder/`` if the zip is of one folder with the release in it, else nothing."""
    folders = {name.partition("/")[0] + "/" for name in names if "/" in name}
    inside = len(folders) == 1 and all("/" in name for name in names)
    return folders.pop() if inside and MANIFEST not in names else ""


def stream_sha256(bundle: BundleFiles, name: str) -> str:
    """Return the SHA-256 of a file of the bundle, as 64 hexadecimal digits."""
    sha256 = hashlib.sha256()
    with bundle.open(name) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            sha256.update(chunk)
    return sha256.hexdigest()


def is_inside(name: str) -> bool:
    r"""Say whether a relative path with ``/`` stays in its folder, on every system.

    >>> is_inside("data/test.parquet"), is_inside("../x"), is_inside("/x"), is_inside("C:\\x")
    (True, False, False, False)
    """
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts:
        return False
    return not any(c in "\\:" or ord(c) < 32 for c in name)

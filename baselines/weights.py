"""Published weights: from their official address into a cache folder, checked on the way.

A download goes on where it broke off, and becomes the file only when whole and, where its publisher
gives a SHA-256, right. What only a person can get (Google Drive), or what this machine can't reach,
is asked for in words that say from where and to where.
"""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests
from filelock import FileLock

from mimecurate.errors import MimecurateError, plain_words
from mimecurate.schemas.settings import choose

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from mimecurate.baselines.registry import ModelCard, Weights

CHUNK_BYTES = 128 << 10
"""What is lost of an attempt that breaks off, at most."""
MAX_BYTES = 8 << 30
MAX_WAIT_S = 60.0
"""Longest wait between two attempts, whatever the server asks for."""
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class _AskAgain(Exception):
    """An attempt broke off; what came is kept."""

    def __init__(self, words: str, retry_after_s: float = 0.0) -> None:
        super().__init__(words)
        self.retry_after_s = retry_after_s


def weights_folder(workspace: Path = Path()) -> Path:
    """Tell where published weights are kept: a setting, else the user's cache folder.

    ``baseline.weights_dir``, else ``$XDG_CACHE_HOME/mimecurate/weights``, else
    ``~/.cache/mimecurate/weights``.

    Raises:
        SettingError: the workspace's settings can't be read.
    """
    chosen = choose(workspace)["baseline.weights_dir"].value
    if chosen:
        return Path(str(chosen)).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache"
    return home / "mimecurate" / "weights"


def find_weights(
    card: ModelCard,
    given: str | None = None,
    *,
    folder: Path | None = None,
    on_bytes: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Settle which file of weights a model is to have, and get it if need be.

    Args:
        card: of the model.
        given: a file, or the name of published weights; ``None``: the first published.
        folder: the cache; ``None``: as `weights_folder` says.
        on_bytes: called with the bytes that came and the whole number, if known.

    Returns:
        The file.

    Raises:
        MimecurateError: there is no such file, or it can't be had; says what would do.
    """
    if given is not None and Path(given).is_file():
        return Path(given)
    names = [weights.name for weights in card.weights]
    if given is not None and given not in names:
        published = f"published are {', '.join(names)}" if names else "none are published"
        raise MimecurateError(f"--weights {given}: no such file; of {card.name}, {published}")
    if not card.weights:
        raise MimecurateError(f"{card.name} has no published weights; give --weights FILE")
    weights = card.weights[names.index(given) if given is not None else 0]
    return fetch_weights(weights, folder or weights_folder(), on_bytes=on_bytes)


def fetch_weights(
    weights: Weights,
    folder: Path,
    *,
    retries: int = 3,
    backoff_s: float = 1.0,
    timeout_s: float = 20.0,
    on_bytes: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Give the file in the cache; download it if it isn't there.

    Args:
        weights: which.
        folder: the cache; made if need be. Several processes may ask at the same time.
        retries: attempts after the first that brought nothing.
        backoff_s: wait before the first of these; doubled each time.
        timeout_s: seconds without a byte before an attempt is dropped.
        on_bytes: called with the bytes that came and the whole number, if known.

    Raises:
        MimecurateError: it can't be had, or is not what its publisher says.
    """
    path = place_in_cache(weights, folder)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            if path.is_file() and _is_right(path, weights.sha256):
                return path
            if weights.url is None:
                raise MimecurateError(
                    f"a program can't download it: get {weights.where} with a browser, then give "
                    f"--weights FILE or put it at {path}"
                )
            _Download(weights.url, weights, path, timeout_s, on_bytes).run(retries, backoff_s)
    except OSError as error:
        raise MimecurateError(f"{path}: can't be kept: {plain_words(error)}") from error
    return path


def place_in_cache(weights: Weights, folder: Path) -> Path:
    """Tell where in the cache a file belongs: by its address, for names such as j.pth repeat.

    >>> from mimecurate.baselines.registry import Weights
    >>> url = "https://download.pytorch.org/models/r3d_18-b3b3357e.pth"
    >>> place_in_cache(Weights(url, "b3b3357e", ""), Path("cache")).as_posix()
    'cache/download.pytorch.org/models/r3d_18-b3b3357e.pth'
    """
    if weights.url is None:
        return folder / weights.name
    address = urlsplit(weights.url)
    parts = [part for part in address.path.split("/") if part not in {"", ".", ".."}]
    return folder.joinpath((address.hostname or "").replace(":", "_"), *parts)


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_right(path: Path, sha256: str | None) -> bool:
    return sha256 is None or file_sha256(path).startswith(sha256)


class _Download:
    """One file on its way."""

    def __init__(
        self,
        url: str,
        weights: Weights,
        path: Path,
        timeout_s: float,
        on_bytes: Callable[[int, int | None], None] | None,
    ) -> None:
        self._url, self._sha256, self._path = url, weights.sha256, path
        self._elsewhere = weights.where or "it elsewhere"
        self._part = path.with_name(path.name + ".part")
        self._timeout_s = timeout_s
        self._on_bytes = on_bytes
        self._hash = hashlib.sha256()
        self._have = 0
        self._validator: str | None = None

    def run(self, retries: int, backoff_s: float) -> None:
        resumed = self._take_up()
        try:
            self._read_all(retries, backoff_s)
            if resumed and not self._is_right():  # what was there may be of another file
                self._start_over()
                self._read_all(retries, backoff_s)
        except _AskAgain as error:
            raise self._unreachable(str(error)) from error
        if not self._is_right():
            self._part.unlink(missing_ok=True)
            raise MimecurateError(
                f"{self._url}: SHA-256 begins {self._hash.hexdigest()[:16]}, its publisher says "
                f"{(self._sha256 or '')[:16]}: changed or altered on the way; nothing was kept"
            )
        self._part.replace(self._path)

    def _is_right(self) -> bool:
        return self._sha256 is None or self._hash.hexdigest().startswith(self._sha256)

    def _take_up(self) -> bool:
        """Go on with what an earlier run left, if its end can be checked."""
        if self._sha256 is None or not self._part.is_file():
            self._start_over()
            return False
        with self._part.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self._hash.update(chunk)
                self._have += len(chunk)
        return self._have > 0

    def _start_over(self) -> None:
        self._part.write_bytes(b"")
        self._hash, self._have, self._validator = hashlib.sha256(), 0, None

    def _read_all(self, retries: int, backoff_s: float) -> None:
        failures = 0
        while True:
            before = self._have
            try:
                return self._read()
            except _AskAgain as error:
                failures = 1 if self._have > before else failures + 1
                if failures > retries:
                    raise
                wait_s = max(backoff_s * 2.0 ** (failures - 1), error.retry_after_s)
                time.sleep(min(wait_s, MAX_WAIT_S))

    def _read(self) -> None:
        """Make one attempt to read the rest.

        Raises:
            _AskAgain: it broke off.
            MimecurateError: asking again won't help.
        """
        headers = {"Accept-Encoding": "identity"}
        if self._have:
            headers["Range"] = f"bytes={self._have}-"
            if self._validator:
                headers["If-Range"] = self._validator
        try:
            with requests.get(
                self._url, headers=headers, stream=True, timeout=self._timeout_s
            ) as response:
                whole = self._check(response)
                with self._part.open("ab") as file:
                    self._append(response, file, whole)
        except requests.RequestException as error:
            raise _AskAgain(_reason(error)) from error
        if whole is not None and self._have < whole:
            raise _AskAgain(f"ended after {self._have:,} of {whole:,} bytes")

    def _append(self, response: requests.Response, file: BinaryIO, whole: int | None) -> None:
        for chunk in response.iter_content(CHUNK_BYTES):
            self._have += len(chunk)
            if self._have > MAX_BYTES:
                raise self._unreachable(f"longer than {MAX_BYTES:,} bytes")
            file.write(chunk)
            self._hash.update(chunk)
            if self._on_bytes is not None:
                self._on_bytes(self._have, whole)

    def _check(self, response: requests.Response) -> int | None:
        """Look at the answer's head; return the length of the whole file, if it says it."""
        status = response.status_code
        if status in _PASSING:
            raise _AskAgain(f"status {status}", _seconds(response.headers.get("Retry-After")))
        if status == 416:
            self._start_over()
            raise _AskAgain("what was there already is longer than the file")
        if status not in {200, 206}:
            raise self._unreachable(f"status {status}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise self._unreachable("a web page came instead of the file")
        length = response.headers.get("Content-Length", "")
        rest = int(length) if length.isdecimal() else None
        tag = response.headers.get("ETag")
        if status == 200 and self._have:
            self._start_over()
        elif status == 206:
            start = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
            if start != str(self._have) or self._validator not in {None, tag}:
                self._start_over()
                raise _AskAgain("a part came that is not of this place, or of another file")
        self._validator = tag if tag and not tag.startswith("W/") else None
        return None if rest is None else self._have + rest

    def _unreachable(self, words: str) -> MimecurateError:
        return MimecurateError(
            f"{self._url}: {words}; get {self._elsewhere}, then give --weights FILE or put it "
            f"at {self._path}"
        )


def _seconds(text: str | None) -> float:
    """Read a Retry-After in seconds; a date counts as nothing said."""
    return float(text) if text and text.isdecimal() else 0.0


def _reason(error: requests.RequestException) -> str:
    """Say in a few words why there is no answer."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke"
    if isinstance(error, requests.ConnectionError):
        return "can't be reached"
    return str(error)[:160]

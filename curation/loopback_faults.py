"""The ways in which the loopback server misbehaves on demand.

An honest `Answer` is made first; each `Fault` that strikes then changes it.
"""

from __future__ import annotations

import re
import time
from dataclasses import asdict, dataclass, field, fields, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_MIB = 1 << 20
_SIGN_IN_PAGE = b"<!doctype html><title>Sign in</title><p>Sign in to see this video.\n"


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The bytes ``[start, stop)`` of a file."""

    path: Path
    start: int
    stop: int

    def __len__(self) -> int:
        """How many bytes."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response before it is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | FileSlice = b""
    declared_length: int | None = None
    """Content-Length where it is a lie."""
    rate: float | None = None
    """Bytes a second."""
    break_after: int | None = None
    """Bytes of the body after which ``break_with`` happens."""
    break_with: Literal["close", "reset", "stall"] = "close"
    stall_s: float = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to misbehave, and when.

    ``name`` is a status code or a key of `FAULTS`. The other fields have the meaning that the
    fault's function in this module tells; each is also an option of `LoopbackServer.url`.
    """

    name: str
    skip: int = 0
    """Requests for the path that are served well first."""
    times: int | None = None
    """Requests after these that go wrong; the rest are served well. None: all."""
    retry_after: float | None = None
    """Seconds that a status asks the client to wait."""
    date: bool = False
    """Whether Retry-After is an HTTP date, else a number of seconds."""
    after_bytes: int | None = None
    """Bytes of the body after which it breaks."""
    seconds: float = 60
    """Length of a stall."""
    delta: int = 1000
    """Bytes by which a length or a range is wrong; may be negative."""
    rate: float = 32 * 1024
    """Bytes a second."""
    location: str = ""
    """Where a redirect leads, verbatim."""
    cookie: str = ""
    """``name=value`` that a request must bring."""

    def __post_init__(self) -> None:
        """Refuse a name that nothing stands for."""
        if self.name not in FAULTS and not re.fullmatch(r"[2-5]\d\d", self.name):
            known = ", ".join(FAULTS)
            raise ValueError(f"fault {self.name!r} must be a status code or one of: {known}")

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Self | None:
        """Read the fault that a URL's query asks for; parameters of no fault are ignored.

        Raises:
            ValueError: no such fault, or a number that is none.
        """
        if "fault" not in query:
            return None
        convert: dict[str, Callable[[str], object]] = {
            "skip": int,
            "times": int,
            "retry_after": float,
            "date": lambda text: text == "1",
            "after_bytes": int,
            "seconds": float,
            "delta": int,
            "rate": float,
            "location": str,
            "cookie": str,
        }
        options = {name: read(query[name]) for name, read in convert.items() if name in query}
        return cls(name=query["fault"], **options)  # type: ignore[arg-type]

    def to_query(self) -> dict[str, str]:
        """Write the fault as a URL's query, leaving out what is at its default."""
        defaults = {f.name: f.default for f in fields(self)}
        changed = {n: v for n, v in asdict(self).items() if n != "name" and v != defaults[n]}
        text = {n: str(int(v)) if isinstance(v, bool) else str(v) for n, v in changed.items()}
        return {"fault": self.name} | text

    def strikes(self, earlier: int) -> bool:
        """Whether it strikes a request before which there were ``earlier`` for the same path."""
        last = float("inf") if self.times is None else self.skip + self.times
        return self.skip <= earlier < last

    def apply(self, answer: Answer, request_headers: Mapping[str, str]) -> Answer:
        """Spoil an answer. ``request_headers`` has lower-case names."""
        change = FAULTS.get(self.name, _status)
        return change(self, answer, request_headers)


def _status(fault: Fault, _answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Answer with the status that is the fault's name, after ``retry_after`` if given."""
    headers = {"Content-Type": "text/plain"}
    if fault.retry_after is not None:
        if fault.date:
            headers["Retry-After"] = formatdate(time.time() + fault.retry_after, usegmt=True)
        else:
            headers["Retry-After"] = f"{fault.retry_after:g}"
    return Answer(status=int(fault.name), headers=headers, body=f"{fault.name}\n".encode())


def _reset(fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Reset the connection (RST) after ``after_bytes``; before any header without it."""
    return replace(answer, break_after=fault.after_bytes or 0, break_with="reset")


def _truncate(fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Close the connection after ``after_bytes``, else half of the body."""
    stop = len(answer.body) // 2 if fault.after_bytes is None else fault.after_bytes
    return replace(answer, break_after=stop, break_with="close")


def _stall(fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Send nothing for ``seconds`` after ``after_bytes``, else before the body; then go on."""
    stop = fault.after_bytes or 0
    return replace(answer, break_after=stop, break_with="stall", stall_s=fault.seconds)


def _length(fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Declare ``delta`` bytes more (or, if negative, less) than are sent, then close."""
    return replace(answer, declared_length=max(0, len(answer.body) + fault.delta))


def _no_range(_fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Send the whole file whatever range was asked."""
    if not isinstance(answer.body, FileSlice):
        return answer
    headers = {k: v for k, v in answer.headers.items() if k != "Content-Range"}
    whole = FileSlice(answer.body.path, 0, answer.body.path.stat().st_size)
    return replace(answer, status=200, headers=headers | {"Accept-Ranges": "none"}, body=whole)


def _lying_range(fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Name a range in Content-Range that starts ``delta`` bytes beside the one that is sent."""
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    if match is None:
        return answer
    first, last, size = map(int, match.groups())
    lie = f"bytes {first + fault.delta}-{last + fault.delta}/{size}"
    return replace(answer, headers={**answer.headers, "Content-Range": lie})


def _slow(fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Send ``rate`` bytes a second."""
    return replace(answer, rate=fault.rate)


def _throttle(fault: Fault, answer: Answer, request: Mapping[str, str]) -> Answer:
    """Send responses over ``after_bytes``, else 10 MiB, at ``rate``, as YouTube does."""
    limit = 10 * _MIB if fault.after_bytes is None else fault.after_bytes
    return _slow(fault, answer, request) if len(answer.body) > limit else answer


def _redirect(fault: Fault, _answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Redirect (302) to ``location``, which may be anything."""
    return Answer(status=302, headers={"Location": fault.location})


def _html(_fault: Fault, _answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Send a web page, with status 200, where a video should be."""
    return Answer(status=200, headers={"Content-Type": "text/html"}, body=_SIGN_IN_PAGE)


def _empty(_fault: Fault, answer: Answer, _request: Mapping[str, str]) -> Answer:
    """Send status 200 and no body."""
    return replace(answer, status=200, body=b"")


def _cookie(fault: Fault, answer: Answer, request: Mapping[str, str]) -> Answer:
    """Refuse (403) a request that does not bring ``cookie``."""
    brought = (pair.strip() for pair in request.get("cookie", "").split(";"))
    return answer if fault.cookie in brought else Answer(status=403, body=b"sign in\n")


FAULTS: Mapping[str, Callable[[Fault, Answer, Mapping[str, str]], Answer]] = {
    "reset": _reset,
    "truncate": _truncate,
    "stall": _stall,
    "length": _length,
    "no_range": _no_range,
    "lying_range": _lying_range,
    "slow": _slow,
    "throttle": _throttle,
    "redirect": _redirect,
    "html": _html,
    "empty": _empty,
    "cookie": _cookie,
}
"""What each fault does to an answer, by its name; a status code is one too."""

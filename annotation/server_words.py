"""What a Label Studio that fails or refuses has to say, in words for people."""

from __future__ import annotations

import httpx

LONGEST_DETAIL = 300


def refusal(response: httpx.Response) -> str:
    """Say what the server refused, and what would do."""
    status = response.status_code
    if response.is_redirect:
        place = _short(response.headers.get("location", "?"))
        return f"redirected to {place}; give the final address"
    detail = _detail(response)
    advice = {
        401: "the token is not accepted; copy a current one from Label Studio's Account & Settings",
        403: "this user may not do that",
        404: "no such thing there; was it deleted?",
        413: "too much at once for that server or the proxy before it",
        429: "too many requests; try later",
    }.get(status, "the server failed; its log says why" if status >= 500 else "refused")
    return f"{status}: {advice}" + (f" ({detail})" if detail else "")


def _detail(response: httpx.Response) -> str:
    """Find the server's own words, on one line and not too many."""
    try:
        answer = response.json()
    except ValueError:
        return f"answered {kind_of(response)}" if response.content else ""
    if not isinstance(answer, dict):
        return _short(str(answer))
    words = [str(answer["detail"])] if isinstance(answer.get("detail"), str) else []
    errors = answer.get("validation_errors")
    if isinstance(errors, dict):
        words += [
            f"{field}: {'; '.join(map(str, said)) if isinstance(said, list) else said}"
            for field, said in errors.items()
        ]
    elif errors:
        words.append(str(errors))
    return _short(": ".join(words) if words else str(answer))


def _short(text: str) -> str:
    """Make one line of a stranger's text, safe for a terminal."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 1] + "…"


def kind_of(response: httpx.Response) -> str:
    """Say what kind of document an answer is."""
    kind = str(response.headers.get("content-type", "")).partition(";")[0].strip()
    return {"text/html": "a web page", "": "something unnamed"}.get(kind) or _short(kind)


def network_words(error: httpx.TransportError) -> str:
    """Say how a connection failed."""
    return {
        httpx.RemoteProtocolError: "the connection ended without an answer",
        httpx.ReadError: "the connection broke off",
        httpx.WriteError: "the connection broke off",
    }.get(type(error)) or (_short(str(error)) or type(error).__name__)


def time_limit_s(request: httpx.Request, error: httpx.TimeoutException) -> float:
    """Return the limit that a request ran into."""
    what = "connect" if isinstance(error, httpx.ConnectTimeout) else "read"
    return float(request.extensions.get("timeout", {}).get(what) or 0)

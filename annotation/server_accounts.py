"""Accounts of a Label Studio, made as a person does who got the team's sign-up link."""

from __future__ import annotations

import re

import httpx

from mimecurate.annotation.connection import ServerError

_TIMEOUT_S = 60


def sign_up(sign_up_url: str, email: str, password: str) -> str:
    """Make an account, and return its legacy token.

    Args:
        sign_up_url: the team's link; nobody can make an account without one.
        email: of the new user.
        password: of the new user.

    Raises:
        ServerError: the server makes no such account, e.g. because it is there.
    """
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        form = {
            "csrfmiddlewaretoken": form_token(client.get(sign_up_url)),
            "email": email,
            "password": password,
            "allow_newsletters": "false",
        }
        answer = client.post(sign_up_url, data=form)
        if answer.status_code != httpx.codes.FOUND:
            raise ServerError(f"{email}: no account was made ({answer.status_code})")
        answer = client.get(httpx.URL(sign_up_url).join("/api/current-user/token"))
        return str(answer.raise_for_status().json()["token"])


def form_token(page: httpx.Response) -> str:
    """Return the token that a form of this page must send back.

    Raises:
        ServerError: the page has no form.
    """
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
    if found is None:
        raise ServerError(f"{page.url.host}: the page {page.url.path} has no form")
    return found[1]

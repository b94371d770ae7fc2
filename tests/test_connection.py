"""Talking to a Label Studio: who we are, pages, both kinds of token, and every way it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from label_studio import LabelStudio


def test_who_we_are(label_studio: LabelStudio) -> None:
    with label_studio.connect() as connection:
        assert connection.whoami == "lead@localhost"
        assert connection.version.startswith("1.")
    bob, carol = label_studio.annotators(2)
    with label_studio.connect(bob) as connection:
        assert (connection.whoami, connection.user_id) == (bob.username, bob.user_id)
    assert bob.user_id != carol.user_id

"""HTML elements for the report page; text and attributes are escaped when they are written.

Names come from files that strangers made. `visible` writes characters that can't be seen (controls,
marks that turn the direction of writing) as escapes, and `bdi` keeps a name that is written
right to left from reordering what stands around it.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, tostring

if TYPE_CHECKING:
    from collections.abc import Iterable

Child = Element | str


def element(tag: str, *children: Child, **attributes: object) -> Element:
    """Make an element.

    Args:
        tag: its name.
        children: elements and texts, in order.
        attributes: ``_`` stands for ``-``, and one at the end is dropped; None and False leave
            the attribute out, True gives it no value.

    >>> markup(element("p", "a < b ", element("b", "!"), class_="x", data_n=1, hidden=True))
    '<p class="x" data-n="1" hidden="">a &lt; b <b>!</b></p>'
    """
    made = Element(tag)
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.rstrip("_").replace("_", "-")
            made.set(key, "" if value is True else visible(str(value)))
    append(made, *children)
    return made


def append(parent: Element, *children: Child) -> None:
    """Add elements and texts at the end of an element."""
    for child in children:
        if isinstance(child, Element):
            parent.append(child)
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + visible(child)
        else:
            parent.text = (parent.text or "") + visible(child)


def bdi(name: str) -> Element:
    """Show a name on its own, whichever way it is written."""
    return element("bdi", name)


def markup(*elements: Child) -> str:
    """Write elements and texts as HTML."""
    holder = element("div", *elements)
    return tostring(holder, encoding="unicode", method="html")[len("<div>") : -len("</div>")]


def policy_hash(text: str) -> str:
    """Write the hash by which a Content-Security-Policy lets a style or script in.

    >>> policy_hash("")
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"
    """
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def spread(parts: Iterable[Child], separator: str) -> list[Child]:
    """Put a separator between parts."""
    found: list[Child] = []
    for part in parts:
        found += [separator, part] if found else [part]
    return found


def visible(text: str) -> str:
    r"""Write what can't be seen as an escape.

    >>> visible("a\u202egpj.exe\x00 נ")
    'a\\u202egpj.exe\\x00 נ'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)

"""One setting, and how its value is read from text or TOML."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from mimecurate.errors import SettingError

Value = str | int | float | bool | None
Kind = Literal["integer", "number", "text", "path", "size", "switch"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMG]?)i?B?", re.IGNORECASE)
_SWITCH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting and what it may be."""

    name: str
    """``section.key``."""
    kind: Kind
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    at_least: float = 0
    """Smallest number that is allowed."""
    at_most: float = 1e6
    """Largest number that is allowed; sizes have none."""
    is_personal: bool = False
    """Whether no workspace's file may set it: whoever made the workspace may be a stranger."""

    @property
    def variable(self) -> str:
        """The environment variable: ``MIMECURATE_FETCH_WORKERS``."""
        return "MIMECURATE_" + self.name.replace(".", "_").upper()

    @property
    def option(self) -> str:
        """The command line's option: ``--workers``."""
        return "--" + self.name.split(".")[1].removesuffix("_s").replace("_", "-")

    @property
    def default_text(self) -> str:
        """The default as it may be written; nothing where there is none."""
        if self.kind == "size" and isinstance(self.default, int):
            return size_text(self.default)
        return "" if self.default is None else str(self.default)


def parse_size(text: str) -> int:
    """Read a number of bytes such as ``500K`` or ``2.5M`` (powers of 1,024).

    >>> parse_size("2M"), parse_size("1.5KiB"), parse_size("300")
    (2097152, 1536, 300)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size; write bytes, or a number with K, M or G")
    power = " KMG".index(match[2].upper() or " ")
    return int(float(match[1]) * 1024**power)


def size_text(num_bytes: int) -> str:
    """Write a number of bytes as `parse_size` reads it.

    >>> size_text(8 << 30), size_text(4096), size_text(1500)
    ('8G', '4K', '1500')
    """
    for power, unit in ((30, "G"), (20, "M"), (10, "K")):
        if num_bytes and num_bytes % (1 << power) == 0:
            return f"{num_bytes >> power}{unit}"
    return str(num_bytes)


def convert(setting: Setting, raw: object, where: str) -> Value:
    """Turn what was written into the setting's value.

    Args:
        setting: the setting.
        raw: text (environment, option) or a TOML value.
        where: where it was written, for the error.

    Raises:
        SettingError: it can't be that; the message says what it may be.
    """
    try:
        value = _READERS[setting.kind](raw)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise SettingError(
            f"{where}: {setting.name} = {raw!r}: must be {_wanted(setting)}"
        ) from error
    if setting.choices and value not in setting.choices:
        raise SettingError(f"{where}: {setting.name} = {raw!r}: must be {_wanted(setting)}")
    is_number = isinstance(value, int | float) and setting.kind in {"integer", "number"}
    if is_number and not setting.at_least <= float(value or 0) <= setting.at_most:
        raise SettingError(f"{where}: {setting.name} = {raw!r}: must be {_wanted(setting)}")
    return value


def _wanted(setting: Setting) -> str:
    if setting.choices:
        return "one of " + ", ".join(setting.choices)
    kind = {
        "integer": "a whole number",
        "number": "a number",
        "text": "text",
        "path": "a path",
        "size": "bytes, or a number with K, M or G",
        "switch": "true or false",
    }[setting.kind]
    if setting.kind not in {"integer", "number"}:
        return kind
    return f"{kind} from {setting.at_least:g} to {setting.at_most:g}"


def _integer(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise TypeError
    return int(raw)


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError
    value = float(raw)
    if value != value or value in {float("inf"), float("-inf")}:
        raise ValueError
    return value


def _text(raw: object) -> str | None:
    if not isinstance(raw, str):
        raise TypeError
    return raw or None


def _size(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise TypeError
    value = parse_size(str(raw))
    if value < 1:
        raise ValueError
    return value


def _switch(raw: object) -> bool:
    return raw if isinstance(raw, bool) else _SWITCH[str(raw).lower()]


_READERS = {
    "integer": _integer,
    "number": _number,
    "text": _text,
    "path": _text,
    "size": _size,
    "switch": _switch,
}

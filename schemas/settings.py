"""Every setting once: its default, what it may be, what it does.

The settings file, the environment, the command line's options and their help, `mimecurate config`
and the reference page are all made from `SETTINGS`. A value is taken from the option, else from the
environment (`MIMECURATE_FETCH_WORKERS`), else from `mimecurate.toml` (`[fetch]`, `workers = 4`),
else the default.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mimecurate.errors import SettingError, plain_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Value = str | int | float | bool | None
Kind = Literal["integer", "number", "text", "path", "size", "switch"]
Origin = Literal["option", "environment", "file", "default"]

SETTINGS_FILE = "mimecurate.toml"
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


@dataclass(frozen=True, slots=True)
class Chosen:
    """The value in force, and where it came from."""

    setting: Setting
    value: Value
    origin: Origin


def _default_workers() -> int:
    return min(4, max(2, os.cpu_count() or 2))


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "fetch.workers", "integer", _default_workers(), "Videos at a time.", at_least=1, at_most=256
    ),
    Setting(
        "fetch.cut",
        "text",
        "smart",
        "How to cut: copy whole groups of pictures and re-encode the edges, re-encode all, or keep "
        "to keyframes.",
        choices=("smart", "encode", "copy"),
    ),
    Setting(
        "fetch.engine",
        "text",
        "local",
        "Where the work is done: on this machine, or on the Ray cluster it belongs to.",
        choices=("local", "ray"),
    ),
    Setting("fetch.cookies", "path", None, "Cookies file in Netscape format, for yt-dlp."),
    Setting("fetch.proxy", "text", None, "Proxy for every request, e.g. socks5://127.0.0.1:1080."),
    Setting("fetch.limit_rate", "size", None, "Bytes per second for the whole run, e.g. 2M."),
    Setting(
        "fetch.sleep_s",
        "number",
        None,
        "Seconds between two videos of one site; unset: 0.75 for YouTube, 0 elsewhere.",
        at_least=0,
    ),
    Setting(
        "fetch.retries",
        "integer",
        5,
        "Retries of what may pass: 429, 5xx, resets, stalls.",
        at_least=0,
    ),
    Setting(
        "fetch.backoff_s",
        "number",
        1.0,
        "First wait before a retry; doubled each time.",
        at_least=0,
    ),
    Setting("fetch.backoff_max_s", "number", 60.0, "Longest wait between two retries.", at_least=0),
    Setting(
        "fetch.timeout_s",
        "number",
        20.0,
        "Seconds without a byte before a request is dropped.",
        at_least=0.1,
        at_most=3600,
    ),
    Setting(
        "fetch.min_rate",
        "size",
        4 << 10,
        "Slowest server: one that sends fewer bytes per second, for --timeout, is dropped.",
    ),
    Setting(
        "fetch.clip_timeout_s",
        "number",
        3600.0,
        "Seconds that one clip may take at the most.",
        at_least=1,
    ),
    Setting("fetch.max_bytes", "size", 8 << 30, "Bytes that are read of one file at the most."),
    Setting(
        "fetch.max_wait_s",
        "number",
        10_800.0,
        "Seconds to wait for sites that want a pause, once nothing else is left, without a clip in "
        "between.",
        at_least=0,
    ),
    Setting(
        "fetch.give_up_after",
        "integer",
        20,
        "Videos in a row that a site does not answer for before its others are left for the next "
        "run.",
        at_least=1,
    ),
    Setting(
        "fetch.max_height",
        "integer",
        None,
        "Lines at the most; the smallest source that has them is taken.",
        at_least=16,
    ),
    Setting(
        "fetch.max_duration_s",
        "integer",
        600,
        "Longest whole video, for links without times.",
        at_least=1,
    ),
    Setting(
        "fetch.player_client", "text", None, "YouTube player clients for yt-dlp, e.g. default,-tv."
    ),
    Setting(
        "discover.per_query",
        "integer",
        50,
        "Videos wanted of each query, in whole pages.",
        at_least=1,
        at_most=500,
    ),
    Setting(
        "discover.searches_per_day",
        "integer",
        100,
        "Searches a day that the YouTube Data API grants your project.",
        at_least=1,
    ),
    Setting(
        "discover.api_key_file",
        "path",
        None,
        "File with your key for the YouTube Data API; else YOUTUBE_API_KEY is read.",
    ),
    Setting(
        "discover.api_url",
        "text",
        "https://www.googleapis.com/youtube/v3",
        "Where the YouTube Data API is.",
    ),
    Setting(
        "baseline.weights_dir",
        "path",
        None,
        "Folder of published weights; unset: mimecurate/weights in your cache folder.",
    ),
)
"""All settings, in the order in which they are shown."""

_BY_NAME = {s.name: s for s in SETTINGS}


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


def choose(
    root: Path,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> dict[str, Chosen]:
    """Settle every setting for the workspace at ``root``.

    Args:
        root: the workspace's folder; its settings file may be absent.
        options: values given on the command line by setting name; None means not given.
        environment: variables; the process's own if None.

    Raises:
        SettingError: a value can't be, or the file has a name that is no setting.
    """
    environment = os.environ if environment is None else environment
    written = _read_file(root / SETTINGS_FILE)
    chosen: dict[str, Chosen] = {}
    for setting in SETTINGS:
        given = (options or {}).get(setting.name)
        if given is not None:
            chosen[setting.name] = Chosen(
                setting, convert(setting, given, setting.option), "option"
            )
        elif environment.get(setting.variable):
            raw = environment[setting.variable]
            chosen[setting.name] = Chosen(
                setting, convert(setting, raw, setting.variable), "environment"
            )
        elif setting.name in written:
            raw_value = written[setting.name]
            chosen[setting.name] = Chosen(
                setting, convert(setting, raw_value, SETTINGS_FILE), "file"
            )
        else:
            chosen[setting.name] = Chosen(setting, setting.default, "default")
    return chosen


def yt_dlp_section(root: Path) -> dict[str, object]:
    """Return the section ``[yt_dlp]`` of the settings file: options for yt-dlp's library."""
    section = _load(root / SETTINGS_FILE).get("yt_dlp", {})
    return dict(section) if isinstance(section, dict) else {}


def settings_file_text() -> str:
    """Write a settings file with every setting at its default, commented out."""
    lines = ["# Settings of this workspace. Remove the '#' before a line to change it."]
    section = ""
    for setting in SETTINGS:
        head, key = setting.name.split(".")
        if head != section:
            section = head
            lines += ["", f"[{section}]"]
        lines += [f"# {setting.help}", f"# {key} = {_toml(setting)}"]
    return "\n".join(lines) + "\n"


def _toml(setting: Setting) -> str:
    if setting.default is None:
        return {"integer": "480", "number": "1.0", "size": '"2M"', "switch": "false"}.get(
            setting.kind, '""'
        )
    is_text = isinstance(setting.default, str) or setting.kind == "size"
    return f'"{setting.default_text}"' if is_text else setting.default_text


def _load(path: Path) -> dict[str, object]:
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: can't be read: {plain_words(error)}") from error
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingError(f"{path}: {error}") from error


def _read_file(path: Path) -> dict[str, object]:
    written: dict[str, object] = {}
    for section, entries in _load(path).items():
        if not isinstance(entries, dict):
            raise SettingError(f"{path}: {section!r} is outside a section such as [fetch]")
        if section == "yt_dlp":
            continue
        for key, value in entries.items():
            name = f"{section}.{key}"
            if name not in _BY_NAME:
                raise SettingError(f"{path}: {name} is no setting; see `mimecurate config`")
            written[name] = value
    return written


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

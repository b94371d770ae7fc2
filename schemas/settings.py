"""Every setting once: its default, what it may be, what it does.

The settings file, the environment, the command line's options and their help, `mimecurate config`
and the reference page are all made from `SETTINGS`. A value is taken from the option, else from the
environment (`MIMECURATE_FETCH_WORKERS`), else from `mimecurate.toml` (`[fetch]`, `workers = 4`),
else the default. A personal setting is taken from no file: a workspace may be a stranger's.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mimecurate.errors import SettingError, plain_words
from mimecurate.schemas.setting_values import Setting, Value, convert

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Origin = Literal["option", "environment", "file", "default"]

SETTINGS_FILE = "mimecurate.toml"


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
        "Where the YouTube Data API is; no workspace's file sets it: your key goes there.",
        is_personal=True,
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
        SettingError: a value can't be, or the file has a name that is no setting or a personal one.
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
    """Write a settings file with what it may set, each at its default, commented out."""
    lines = ["# Settings of this workspace. Remove the '#' before a line to change it."]
    section = ""
    for setting in (s for s in SETTINGS if not s.is_personal):
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
            if _BY_NAME[name].is_personal:
                raise SettingError(
                    f"{path}: {name} is taken from no workspace, which may be a stranger's: remove "
                    f"the line; use {_BY_NAME[name].option} or {_BY_NAME[name].variable}"
                )
            written[name] = value
    return written

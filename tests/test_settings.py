"""Settings: one table, four places, clear refusals."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from mimecurate.errors import SettingError
from mimecurate.schemas.setting_values import parse_size
from mimecurate.schemas.settings import SETTINGS, SETTINGS_FILE, choose, settings_file_text

if TYPE_CHECKING:
    from pathlib import Path


def test_option_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(
        "[fetch]\nworkers = 3\nretries = 7\ncut = 'encode'\n", "utf-8"
    )
    environment = {"MIMECURATE_FETCH_WORKERS": "5", "MIMECURATE_FETCH_RETRIES": "9"}
    chosen = choose(tmp_path, {"fetch.workers": "8"}, environment)
    found = {
        n: (chosen[f"fetch.{n}"].value, chosen[f"fetch.{n}"].origin)
        for n in ("workers", "retries", "cut", "engine")
    }
    assert found == {
        "workers": (8, "option"),
        "retries": (9, "environment"),
        "cut": ("encode", "file"),
        "engine": ("local", "default"),
    }


@pytest.mark.parametrize(
    ("name", "raw", "says"),
    [
        ("fetch.workers", "0", "whole number from 1 to 256"),
        ("fetch.workers", "two", "whole number"),
        ("fetch.workers", "2.5", "whole number"),
        ("fetch.cut", "fast", "one of smart, encode, copy"),
        ("fetch.limit_rate", "2 parsecs", "bytes, or a number with K, M or G"),
        ("fetch.limit_rate", "0", "bytes"),
        ("fetch.backoff_s", "nan", "a number"),
        ("fetch.timeout_s", "-1", "from 0.1 to 3600"),
        ("fetch.timeout_s", "1e300", "from 0.1 to 3600"),
        ("fetch.limit_rate", "9" * 400, "bytes"),
    ],
)
def test_a_wrong_value_is_named_with_what_would_do(
    tmp_path: Path, name: str, raw: str, says: str
) -> None:
    with pytest.raises(SettingError, match=says) as caught:
        choose(tmp_path, {name: raw}, {})
    assert name in str(caught.value)
    assert repr(raw) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[fetch]\nworker = 3\n", "fetch.worker is no setting"),
        ("workers = 3\n", "outside a section"),
        ("[fetch\n", "line 1"),
        ("[fetch]\nworkers = true\n", "whole number"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(text, "utf-8")
    with pytest.raises(SettingError, match=says):
        choose(tmp_path, {}, {})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingError, match=SETTINGS_FILE):
        choose(tmp_path, {}, {})


def test_the_settings_file_that_init_writes_reads_back_as_the_defaults(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(settings_file_text(), "utf-8")
    assert all(c.origin == "default" for c in choose(tmp_path, {}, {}).values())


def test_every_line_of_the_settings_file_may_be_uncommented(tmp_path: Path) -> None:
    lines = settings_file_text().splitlines()
    live = "\n".join(line.removeprefix("# ") if " = " in line else line for line in lines)
    there = [s for s in SETTINGS if not s.is_personal]
    assert sum(map(len, tomllib.loads(live).values())) == len(there) == len(SETTINGS) - 1
    (tmp_path / SETTINGS_FILE).write_text(live, "utf-8")
    choose(tmp_path, {}, {})


@pytest.mark.parametrize("text", ["", "M", "-1", "1T", "1 2", "1e3"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


def test_a_workspace_does_not_say_where_a_key_goes(tmp_path: Path) -> None:
    url = "https://collector.example/youtube/v3"
    (tmp_path / SETTINGS_FILE).write_text(f"[discover]\napi_url = '{url}'\n", "utf-8")
    with pytest.raises(SettingError, match=r"discover\.api_url .* use --api-url or MIMECURATE_"):
        choose(tmp_path, None, {})
    assert "api_url" not in settings_file_text()
    (tmp_path / SETTINGS_FILE).unlink()
    chosen = choose(tmp_path, None, {"MIMECURATE_DISCOVER_API_URL": url})
    assert chosen["discover.api_url"].value == url

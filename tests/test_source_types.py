from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from mimecurate.curation.source_types import YT_DLP_OPTIONS, SourceOptions
from mimecurate.errors import SettingError


@pytest.mark.parametrize(
    "name",
    [
        "exec_cmd",
        "postprocessors",
        "external_downloader",
        "external_downloader_args",
        "ffmpeg_location",
        "plugin_dirs",
        "netrc_cmd",
        "outtmpl",
        "paths",
        "cachedir",
        "cookiefile",
        "cookiesfrombrowser",
        "enable_file_urls",
        "remote_components",
        "js_runtimes",
        "default_search",
        "noplaylist",
        "logger",
        "writeinfojson",
        "download_archive",
        "ratelimit",
        "no-such-option",
    ],
)
def test_what_could_do_harm_is_not_passed_through(name: str) -> None:
    with pytest.raises(SettingError, match=name):
        SourceOptions(yt_dlp_options={name: "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("geo_bypass", "yes"),
        ("age_limit", True),
        ("extractor_args", ["youtube:player_client=web"]),
        ("format", "-"),
        ("format_sort", "res"),
    ],
)
def test_values_of_the_wrong_kind(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=name):
        SourceOptions(yt_dlp_options={name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("extractor_args", {"youtube": "player_client=web"}),
        ("extractor_args", {"youtube": ["web"]}),
        ("extractor_args", {"youtube": {"player_client": 5}}),
        ("extractor_args", {"youtube": {"player_client": ["web", 5]}}),
        ("http_headers", {"Referer": 1}),
        ("http_headers", {"X-Secret\r\nHost": "other.example"}),
        ("http_headers", {"Referer": "a\r\nHost: b"}),
        ("format_sort", [1]),
        ("allowed_extractors", [None]),
    ],
)
def test_values_of_the_wrong_shape_are_refused_with_what_would_do(name: str, value: object) -> None:
    with pytest.raises(SettingError, match=f"{name}.* such as"):
        SourceOptions(yt_dlp_options={name: value})


def test_values_of_the_right_shape() -> None:
    arguments = {"youtube": {"player_client": "tv,web", "lang": ["en", "fr"]}}
    headers = {"Referer": "https://example.org/"}
    SourceOptions(yt_dlp_options={"extractor_args": arguments, "http_headers": headers})


def test_yt_dlp_knows_every_option_that_is_passed_through() -> None:
    from yt_dlp import YoutubeDL

    documented = YoutubeDL.__doc__ or ""
    missing = [name for name in YT_DLP_OPTIONS if name not in documented]
    assert missing == []


@pytest.mark.parametrize(
    "values",
    [
        {"retries": -1},
        {"backoff_s": -0.1},
        {"backoff_max_s": -1},
        {"timeout_s": 0},
        {"max_height": 0},
        {"limit_rate": -5},
    ],
)
def test_numbers_out_of_range(values: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match=next(iter(values))):
        SourceOptions(**values)


def test_options_cross_to_other_processes() -> None:
    options = SourceOptions(
        360,
        cookies=Path("c.txt"),
        yt_dlp_options={"extractor_args": {"youtube": {"lang": ["fr"]}}},
    )
    assert pickle.loads(pickle.dumps(options)) == options

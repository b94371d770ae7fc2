"""Made-up answers of YouTube's player, for the real extractor. None was recorded from YouTube.

The field names and the shape are those that yt-dlp's extractor reads; the wording of the reasons is
YouTube's as reports of its users and yt-dlp's source quote it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from yt_dlp.extractor.youtube import YoutubeIE

from mimecurate.errors import Reason

if TYPE_CHECKING:
    import pytest

URL = "https://www.youtube.com/watch?v=aaaaaaaaaaa"

NO_PAGE: dict[str, Any] = {
    "youtube": {
        "player_client": ["visionos"],
        "player_skip": ["webpage", "configs", "js", "initial_data"],
    }
}
"""Extractor arguments with which the player's answer is all that YouTube is asked for."""


def refusal(
    reason: str, subreason: str | None = None, *, status: str = "ERROR", **more: Any
) -> dict[str, Any]:
    """Make the answer for a video that does not play."""
    playability: dict[str, Any] = {"status": status, "reason": reason, **more}
    if subreason is not None:
        playability["errorScreen"] = {
            "playerErrorMessageRenderer": {
                "reason": {"simpleText": reason},
                "subreason": {"simpleText": subreason},
            }
        }
    return answer(playability)


def answer(playability: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make an answer; ``videoDetails`` may be added to, the rest of ``more`` is put beside it."""
    details = {"videoId": "aaaaaaaaaaa", "title": "Mime", "lengthSeconds": "600"}
    details |= more.pop("videoDetails", {})
    return {"playabilityStatus": playability, "videoDetails": details, **more}


def stream(itag: int, mime: str, height: int | None = None, url: str = "") -> dict[str, Any]:
    """Make an entry of ``formats`` or ``adaptiveFormats``."""
    made: dict[str, Any] = {
        "itag": itag,
        "url": url or f"https://rr1.googlevideo.com/videoplayback?itag={itag}",
        "mimeType": mime,
        "contentLength": "1000000",
        "bitrate": 1000 * itag,
        "approxDurationMs": "600000",
    }
    if height is not None:
        made |= {"height": height, "width": height * 16 // 9, "fps": 30}
    return made


PLAYABLE = answer(
    {"status": "OK"},
    streamingData={
        "formats": [stream(18, 'video/mp4; codecs="avc1.42001E, mp4a.40.2"', 360)],
        "adaptiveFormats": [
            stream(137, 'video/mp4; codecs="avc1.640028"', 1080),
            stream(136, 'video/mp4; codecs="avc1.4d401f"', 720),
            stream(134, 'video/mp4; codecs="avc1.4d401e"', 360),
            stream(160, 'video/mp4; codecs="avc1.4d400c"', 144),
            stream(313, 'video/webm; codecs="vp9"', 2160),
            stream(248, 'video/webm; codecs="vp9"', 1080),
            stream(243, 'video/webm; codecs="vp9"', 360),
            stream(140, 'audio/mp4; codecs="mp4a.40.2"'),
            stream(251, 'audio/webm; codecs="opus"'),
        ],
    },
)


REFUSALS: dict[str, tuple[dict[str, Any], Reason]] = {
    "removed": (
        refusal("Video unavailable", "This video has been removed by the uploader"),
        Reason.REMOVED,
    ),
    "unavailable": (refusal("This video is unavailable"), Reason.UNAVAILABLE),
    "terminated": (
        refusal(
            "Video unavailable",
            "This video is no longer available because the YouTube account associated with this "
            "video has been terminated.",
        ),
        Reason.REMOVED,
    ),
    "copyright": (
        refusal(
            "Video unavailable",
            "This video contains content from X, who has blocked it on copyright grounds",
            status="UNPLAYABLE",
        ),
        Reason.REMOVED,
    ),
    "private": (
        refusal(
            "Private video",
            "Sign in if you've been granted access to this video",
            status="LOGIN_REQUIRED",
        ),
        Reason.PRIVATE,
    ),
    "age": (
        refusal(
            "Sign in to confirm your age",
            "This video may be inappropriate for some users.",
            status="LOGIN_REQUIRED",
        ),
        Reason.AGE_RESTRICTED,
    ),
    "bot": (
        refusal(
            "Sign in to confirm you\u2019re not a bot",
            "This helps protect our community. Learn more",
            status="LOGIN_REQUIRED",
        ),
        Reason.LOGIN_REQUIRED,
    ),
    "captcha": (
        answer(
            {
                "status": "UNPLAYABLE",
                "reason": "Please verify",
                "errorScreen": {"playerCaptchaViewModel": {"x": 1}},
            }
        ),
        Reason.LOGIN_REQUIRED,
    ),
    "rate": (
        refusal("This content isn't available, try again later.", status="UNPLAYABLE"),
        Reason.RATE_LIMITED,
    ),
    "members": (
        refusal(
            "Join this channel to get access to members-only content like this video, and other "
            "exclusive perks.",
            status="UNPLAYABLE",
        ),
        Reason.MEMBERS_ONLY,
    ),
    "geo": (
        refusal(
            "Video unavailable",
            "The uploader has not made this video available in your country",
            status="UNPLAYABLE",
        ),
        Reason.GEO_BLOCKED,
    ),
    "premiere": (
        answer(
            {"status": "LIVE_STREAM_OFFLINE", "reason": "Premieres in 3 hours"},
            videoDetails={"isUpcoming": True, "isLiveContent": True},
        ),
        Reason.LIVE,
    ),
    "live": (
        answer(
            {"status": "OK"},
            videoDetails={"isLive": True, "isLiveContent": True},
            streamingData={"formats": [], "adaptiveFormats": []},
        ),
        Reason.LIVE,
    ),
    "drm": (
        answer({"status": "OK"}, streamingData={"licenseInfos": [{"drmFamily": "WIDEVINE"}]}),
        Reason.UNSUPPORTED,
    ),
    "empty": (answer({"status": "OK"}), Reason.NO_VIDEO),
}


def answer_with(monkeypatch: pytest.MonkeyPatch, response: dict[str, Any] | Exception) -> list[str]:
    """Let YouTube's player answer with ``response``; returns the list of videos asked for."""
    asked: list[str] = []

    def extract(self: YoutubeIE, client: str, video_id: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(video_id)
        if isinstance(response, Exception):
            raise response
        return copy.deepcopy(response)

    monkeypatch.setattr(YoutubeIE, "_extract_player_response", extract)
    return asked

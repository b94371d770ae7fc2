"""What extractors of yt-dlp 2026.8.19 say, and what sites say through them, by reason.

The wordings are those of yt-dlp's source, and YouTube's as reports of its users quote them.
"""

from __future__ import annotations

from mimecurate.errors import Reason

LOGIN_HINT = (
    " Use --cookies-from-browser or --cookies for the authentication. See  https://github.com/"
    "yt-dlp/yt-dlp/wiki/FAQ#how-do-i-pass-cookies-to-yt-dlp  for how to manually pass cookies"
)

SAID: list[tuple[Reason, str]] = [
    # YouTube
    (Reason.UNAVAILABLE, "Video unavailable"),
    (Reason.UNAVAILABLE, "This video is unavailable"),
    (Reason.UNAVAILABLE, "Video unavailable. This video is not available"),
    (
        Reason.UNAVAILABLE,
        "Video unavailable. Playback on other websites has been disabled by the video owner",
    ),
    (Reason.UNAVAILABLE, "This live stream recording is not available."),
    (Reason.REMOVED, "Video unavailable. This video has been removed by the uploader"),
    (Reason.REMOVED, "This video isn't available anymore"),
    (
        Reason.REMOVED,
        "This video has been removed for violating YouTube's policy on nudity or sexual content",
    ),
    (
        Reason.REMOVED,
        "Video unavailable. This video is no longer available because the YouTube account "
        "associated with this video has been terminated.",
    ),
    (
        Reason.REMOVED,
        "This video is no longer available because the uploader has closed their YouTube account.",
    ),
    (
        Reason.REMOVED,
        "Video unavailable. This video contains content from SME, who has blocked it on copyright "
        "grounds",
    ),
    (Reason.REMOVED, "This video is no longer available due to a copyright claim by SME"),
    (
        Reason.GEO_BLOCKED,
        "Video unavailable. This video contains content from SME, who has blocked it in your "
        "country on copyright grounds",
    ),
    (
        Reason.PRIVATE,
        "Private video. Sign in if you've been granted access to this video." + LOGIN_HINT,
    ),
    (Reason.PRIVATE, "This video is private." + LOGIN_HINT),
    (
        Reason.AGE_RESTRICTED,
        "Sign in to confirm your age. This video may be inappropriate for some users." + LOGIN_HINT,
    ),
    (Reason.AGE_RESTRICTED, "This video is age-restricted and only available on YouTube"),
    (
        Reason.MEMBERS_ONLY,
        "Join this channel to get access to members-only content like this video, and other "
        "exclusive perks.",
    ),
    (
        Reason.MEMBERS_ONLY,
        "This video is available to this channel's members on level: Pro (or any higher level). "
        "Join this channel to get access to members-only content",
    ),
    (Reason.MEMBERS_ONLY, "This video requires payment to watch"),
    (Reason.MEMBERS_ONLY, "This video is only available to Music Premium members"),
    (
        Reason.GEO_BLOCKED,
        "The uploader has not made this video available in your country",
    ),
    (Reason.LOGIN_REQUIRED, "Sign in to confirm you\u2019re not a bot." + LOGIN_HINT),
    (Reason.LOGIN_REQUIRED, "Sign in to confirm you're not a bot"),
    (
        Reason.LOGIN_REQUIRED,
        "Please verify. YouTube is requiring a captcha challenge before playback",
    ),
    (Reason.LOGIN_REQUIRED, "Please sign in." + LOGIN_HINT),
    (Reason.LOGIN_REQUIRED, "Login details are needed to download this content." + LOGIN_HINT),
    (
        Reason.RATE_LIMITED,
        "Video unavailable. This content isn't available, try again later. The current session has "
        "been rate-limited by YouTube for up to an hour. It is recommended to use `-t sleep`",
    ),
    (
        Reason.RATE_LIMITED,
        "All player responses are invalid. Your IP is likely being blocked by Youtube",
    ),
    (Reason.LIVE, "Premieres in 3 hours"),
    (Reason.LIVE, "Premiere in 20 minutes"),
    (Reason.LIVE, "This live event will begin in 2 days."),
    (Reason.LIVE, "We're processing this video. Check back later."),
    (Reason.UNSUPPORTED, "This video is DRM protected"),
    (Reason.OTHER, "The following content is not available on this app."),
    (Reason.OTHER, "Video unavailable. This content isn\u2019t available."),
    (Reason.NO_VIDEO, "No video formats found!"),
    (Reason.NO_VIDEO, "Requested format is not available. Use --list-formats for a list"),
    (Reason.NETWORK, "Incomplete data received"),
    # Vimeo
    (
        Reason.PRIVATE,
        "This video is protected by a password, use the --video-password option",
    ),
    (
        Reason.UNSUPPORTED,
        "Cannot download embed-only video without embedding URL. Please call yt-dlp with the URL "
        "of the page that embeds this video.",
    ),
    (Reason.PRIVATE, "This event has not been made available to anyone"),
    (Reason.LIVE, "This live event is scheduled for 2026-12-24 20:00:00"),
    (Reason.UNAVAILABLE, "This event video is unavailable"),
    (
        Reason.LOGIN_REQUIRED,
        "Got HTTP Error 403. If you are using a data center IP or VPN/proxy, your IP may be "
        "blocked",
    ),
    # Dailymotion, as the site says it
    (Reason.UNAVAILABLE, "dailymotion said: Content not found"),
    (Reason.REMOVED, "dailymotion said: This video has been removed by the user"),
    (Reason.PRIVATE, "Video is private"),
    # the generic extractor and yt-dlp itself
    (Reason.UNSUPPORTED, "'nonsense' is not a valid URL"),
    (
        Reason.LOGIN_REQUIRED,
        "Got HTTP Error 403 caused by Cloudflare anti-bot challenge; try again with  "
        '--extractor-args "generic:impersonate"',
    ),
    (
        Reason.UNSUPPORTED,
        "The requested site is known to use DRM protection. It will NOT be supported.",
    ),
    (
        Reason.GEO_BLOCKED,
        "Access to this webpage has been blocked by Indian censorship. Use a VPN or proxy server",
    ),
    (
        Reason.GEO_BLOCKED,
        "This video is not available from your location due to geo restriction",
    ),
    (Reason.LOGIN_REQUIRED, "This video is only available for registered users."),
    (Reason.NETWORK, "A network error has occurred."),
    (Reason.OTHER, "Unable to extract uploader id"),
    # others
    (Reason.RATE_LIMITED, "You have exceeded the rate limit. Try again later"),
    (Reason.RATE_LIMITED, "Request is rejected by server (352)"),
    (
        Reason.RATE_LIMITED,
        "Requested content is not available, rate-limit reached or login required",
    ),
    (Reason.PRIVATE, "You are not authorized to view this protected tweet"),
    (Reason.AGE_RESTRICTED, "NSFW tweet requires authentication"),
    (Reason.NO_VIDEO, "No video could be found in this tweet"),
    (Reason.NO_VIDEO, "Media #1 is not a video"),
    (Reason.LOGIN_REQUIRED, "Your IP address is blocked from accessing this post"),
    (Reason.MEMBERS_ONLY, "This video is for premium members only"),
    (Reason.MEMBERS_ONLY, "This video is only available to subscribers"),
    (Reason.UNAVAILABLE, "Video 123 does not exist"),
    (Reason.REMOVED, "This livestream has ended"),
    (Reason.REMOVED, "Content not found; it has most likely expired"),
    (Reason.LIVE, "Twitter Space not started yet"),
    (Reason.PRIVATE, "This VOD is private"),
]

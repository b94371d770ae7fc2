"""Where an annotator's browser gets the clips from: Label Studio itself, a web server, or S3.

On one host Label Studio's local files are the simplest: nothing is copied, and only who is logged
in sees a clip. A storage is made in the project for that, which is the permission alone: it is
never synchronized, since that would make tasks of its own.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import httpx

from mimecurate.annotation.connection import ServerError
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mimecurate.annotation.connection import Connection

LOCAL_FILES = "/data/local-files/?d="
_TITLE = "clips of mimecurate"
_TIMEOUT_S = 20
_PRESIGNED_MINUTES = 60
"""How long an annotator can wind a clip before its page must be loaded again."""
_NO_CORS = (
    "it sends no Access-Control-Allow-Origin, and without it no browser plays a clip in Label "
    "Studio; let the web server allow {origin}, with the header Range"
)


@dataclass(frozen=True, slots=True)
class MediaPlace:
    """Where clips are served from."""

    prefix: str
    """What comes before a clip's path within ``clips/``."""
    warnings: tuple[str, ...] = ()

    def url(self, path: str) -> str:
        """Return the URL of a clip from its path in the workspace.

        >>> MediaPlace("https://media.example.org/v1/").url("clips/-k/-k x_000001_000002.mp4")
        'https://media.example.org/v1/-k/-k%20x_000001_000002.mp4'
        """
        return self.prefix + quote(path.removeprefix("clips/"))


def place_media(
    connection: Connection,
    project_id: int,
    clips_dir: Path,
    example: Mapping[str, object],
    *,
    media_url: str | None = None,
) -> MediaPlace:
    """Let a project's annotators see the clips, and ask for one as a browser would.

    Args:
        connection: to the server.
        project_id: the project that gets the storage, where one is needed.
        clips_dir: the folder of the clips as the server sees it, for local files.
        example: a clip's ``path`` and ``bytes``, to try.
        media_url: where else the content of ``clips/`` is: ``https://…`` or ``s3://bucket/…``.

    Raises:
        MimecurateError: nobody would see the clips; the message says what would do.
    """
    if media_url is None:
        return _place_local_files(connection, project_id, clips_dir, example)
    parts = urlsplit(media_url)
    if parts.query or parts.fragment or parts.username or not parts.netloc:
        raise MimecurateError(
            f"--media-url {media_url!r} must be an address alone, without user, password or '?': "
            "every annotator sees it"
        )
    if parts.scheme == "s3":
        return _place_s3(connection, project_id, parts.netloc, parts.path.strip("/"))
    if parts.scheme not in {"http", "https"}:
        raise MimecurateError(
            f"--media-url {media_url!r} must begin with https://, http:// or s3://"
        )
    return _place_on_web(connection.url, media_url.rstrip("/") + "/", example)


def _place_local_files(
    connection: Connection, project_id: int, clips_dir: Path, example: Mapping[str, object]
) -> MediaPlace:
    there = connection.get("/api/storages/localfiles", project=project_id)
    if not any(storage.get("path") == str(clips_dir) for storage in there):
        body = {
            "project": project_id,
            "path": str(clips_dir),
            "title": _TITLE,
            "use_blob_urls": True,
        }
        try:
            connection.post("/api/storages/localfiles", body)
        except ServerError as error:
            if error.status != 400:
                raise
            raise MimecurateError(f"{error}; {_local_files_hint(clips_dir)}") from error
    for root in clips_dir.parents:  # the document root is one of them; the server doesn't say which
        prefix = LOCAL_FILES + quote(f"{clips_dir.relative_to(root).as_posix()}/")
        place = MediaPlace(prefix)
        try:
            size = connection.size_of(place.url(str(example["path"])))
        except ServerError as error:
            if error.status not in {403, 404}:
                raise
            continue
        if size in {None, example["bytes"]}:
            return place
    raise MimecurateError(
        f"{connection.url} does not show {clips_dir / str(example['path'])[6:]}; "
        f"{_local_files_hint(clips_dir)}"
    )


def _local_files_hint(clips_dir: Path) -> str:
    return (
        "on the same host, start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={clips_dir.parent}; on another, put the clips on "
        "a web server or S3 and say where with --media-url"
    )


def _place_on_web(server: str, prefix: str, example: Mapping[str, object]) -> MediaPlace:
    """Ask the web server for a byte of a clip, as a browser on Label Studio's page does."""
    if server.startswith("https:") and prefix.startswith("http:"):
        raise MimecurateError(f"--media-url {prefix}: browsers play no http media on an https page")
    place = MediaPlace(prefix)
    url = place.url(str(example["path"]))
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(server))
    headers = {"Range": "bytes=0-0", "Origin": origin, "Accept-Encoding": "identity"}
    try:
        with httpx.stream("GET", url, headers=headers, timeout=_TIMEOUT_S) as answer:
            pass
    except httpx.HTTPError as error:
        return MediaPlace(
            prefix, (f"{url} could not be reached from here ({error}): will the annotators?",)
        )
    if not answer.is_success:
        raise MimecurateError(f"{url}: {answer.status_code}; is the content of clips/ there?")
    if answer.headers.get("access-control-allow-origin") not in {"*", origin}:
        raise MimecurateError(f"{url}: {_NO_CORS.format(origin=origin)}")
    if answer.status_code != 206:
        return MediaPlace(
            prefix,
            (f"{url}: the web server ignores Range, so long clips can't be wound to a time",),
        )
    size = answer.headers.get("content-range", "").rpartition("/")[2]
    if size != str(example["bytes"]):
        raise MimecurateError(f"{url} is another file: {size} bytes, not {example['bytes']}")
    return place


def _place_s3(connection: Connection, project_id: int, bucket: str, folder: str) -> MediaPlace:
    prefix = "/".join(filter(None, ("s3:/", bucket, folder))) + "/"
    there = connection.get("/api/storages/s3", project=project_id)
    if any(storage.get("bucket") == bucket for storage in there):
        return MediaPlace(prefix)
    body = {
        "project": project_id,
        "bucket": bucket,
        "prefix": folder,
        "title": _TITLE,
        "use_blob_urls": True,
        "presign": True,
        "presign_ttl": _PRESIGNED_MINUTES,
        "region_name": os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        "s3_endpoint": os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
    }
    try:
        try:
            connection.post("/api/storages/s3", {k: v for k, v in body.items() if v})
        except ServerError as error:
            if error.status != 403 or "reserved network address" not in str(error):
                raise
            del body["s3_endpoint"]  # it takes private ones from its own environment alone
            connection.post("/api/storages/s3", {k: v for k, v in body.items() if v})
    except ServerError as error:
        if error.status not in {400, 403, 500}:
            raise
        raise MimecurateError(
            f"{error}; is the content of clips/ at {prefix}? Label Studio itself must be able to "
            "read it: give its process the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), "
            "and AWS_ENDPOINT_URL_S3 where the store is in a private network, "
            f"or add the bucket by hand: {connection.url}/projects/{project_id}/settings/storage"
        ) from error
    cors = (
        f"{bucket} must allow GET and HEAD from {connection.url} (CORS), and expose Content-Range"
    )
    return MediaPlace(prefix, (cors,))

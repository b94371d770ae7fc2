"""Clips in a bucket: a real Label Studio, and a server that speaks S3, both on this machine."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from label_studio import running_label_studio
from testbed import need

from mimecurate.annotation.media_urls import place_media
from mimecurate.annotation.screen import ScreenClass, build_screen
from mimecurate.annotation.task_data import task_data
from mimecurate.errors import MimecurateError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from label_studio import LabelStudio

    from mimecurate.annotation.connection import Connection

CONTENT = bytes(range(250)) * 4
CLIP = {
    "clip_id": "ab-c_000001_000002", "path": "clips/ab/ab-c_000001_000002.mp4", "bytes": 1000,
    "label": None, "fps": 25.0, "url": None, "start_ms": 1000, "end_ms": 2000,
}  # fmt: skip


@pytest.fixture(scope="module")
def bucket() -> Iterator[pytest.MonkeyPatch]:
    """A bucket ``clips`` with one clip below ``v1``, and what finds it in the environment."""
    need("moto", find_spec("moto"), "the group test has it: moto[s3], flask, flask-cors")
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "key")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client: Any = boto3.client("s3")
        client.create_bucket(Bucket="clips")
        client.put_object(Bucket="clips", Key="v1/ab/ab-c_000001_000002.mp4", Body=CONTENT)
        yield environment
    server.stop()


@pytest.fixture(scope="module")
def server(
    bucket: pytest.MonkeyPatch,
    label_studio_template: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LabelStudio]:
    """A Label Studio that was started with the bucket's credentials."""
    root = tmp_path_factory.mktemp("s3")
    with running_label_studio(root, label_studio_template) as started:
        yield started


@pytest.fixture
def lead(server: LabelStudio) -> Iterator[Connection]:
    with server.connect() as connection:
        yield connection


def make_project(connection: Connection) -> int:
    config = build_screen([ScreenClass("archery")]).config
    body = {"title": "bucket", "label_config": config}
    return int(connection.post("/api/projects", body)["id"])


def test_a_browser_gets_the_clip_that_a_task_names(server: LabelStudio, lead: Connection) -> None:
    project = make_project(lead)
    for _ in range(2):
        place = place_media(lead, project, Path("/x"), CLIP, media_url="s3://clips/v1")
    assert len(lead.get("/api/storages/s3", project=project)) == 1
    tasks = [{"data": task_data(CLIP, video_url=place.url(str(CLIP["path"])))}]
    path = f"/api/projects/{project}/import"
    [task_id] = lead.post(path, tasks, return_task_ids="true")["task_ids"]
    video = lead.get(f"/api/tasks/{task_id}")["data"]["video"]
    token = {"Authorization": f"Token {server.lead.api_key}"}
    redirect = httpx.get(server.url + video, headers=token)
    assert redirect.is_redirect
    answer = httpx.get(redirect.headers["location"], headers={"Range": "bytes=10-19"})
    assert (answer.status_code, answer.content) == (206, CONTENT[10:20])


def test_a_bucket_that_is_not_there(lead: Connection) -> None:
    project = make_project(lead)
    with pytest.raises(MimecurateError, match=r"is the content of clips/ at s3://nowhere/\?"):
        place_media(lead, project, Path("/x"), CLIP, media_url="s3://nowhere")

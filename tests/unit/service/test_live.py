"""Live news of what cannot be told."""

from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import WSCloseCode, WSMsgType
from aiohttp.test_utils import TestClient, TestServer

from scheduler.job import JobId
from service.app import build_app
from service.keys import SCHEDULER
from service.resources import open_resources
from service.settings import Settings


async def test_a_bug_closes_the_socket_and_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(data_dir=tmp_path, image_engine="fake")
    async with open_resources(settings) as parts:
        app = build_app(settings, parts)
        async with TestClient(TestServer(app)) as client:
            answer = await client.post("/api/images/generate", json={"prompt": "[fail hang]"})
            scheduler = app[SCHEDULER]
            job = await scheduler.table.find(JobId((await answer.json())["job_id"]))
            async with client.ws_connect("/api/images/ws") as news:
                await news.receive_json()
                unspeakable = replace(job, spec=replace(job.spec, prompt="\ud800"))
                scheduler.events.publish("status", unspeakable)
                while (told := await news.receive(timeout=60)).type is WSMsgType.TEXT:
                    pass
            await scheduler.cancel(job.id)
    assert (told.type, news.close_code) == (WSMsgType.CLOSE, WSCloseCode.INTERNAL_ERROR)
    assert "surrogates not allowed" in caplog.text

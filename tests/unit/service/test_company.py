"""What runs beside the requests: the log tells what goes wrong there, since no caller is told."""

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from service.app import build_app
from service.resources import open_resources
from service.settings import Settings


async def until_told(caplog: pytest.LogCaptureFixture, words: str, settings: Settings) -> None:
    """Run a service until its log holds these words."""
    async with open_resources(settings) as parts:
        server = TestServer(build_app(settings, parts))
        await server.start_server()
        async with asyncio.timeout(60):  # what is not told is never told
            while words not in caplog.text:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await server.close()


async def test_old_inputs_that_cannot_be_deleted_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "inputs").write_bytes(b"no folder")
    settings = Settings(data_dir=tmp_path, image_engine="fake")
    await until_told(caplog, "old input pictures could not be deleted", settings)


async def test_a_bug_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "warming-up").symlink_to(tmp_path / "nowhere" / "mark")
    settings = Settings(data_dir=tmp_path, image_engine="fake", warm_up=True)
    await until_told(caplog, "a bug has ended what runs beside: warm-up", settings)

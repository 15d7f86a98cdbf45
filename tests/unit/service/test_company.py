"""What runs beside the requests: the log tells what goes wrong there, since no caller is told."""

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from service import lifespan
from service.app import build_app
from service.resources import open_resources
from service.settings import Settings
from service.store.sidecar import pack
from service.store.spool import Spool
from tests.contract.staged import JOB, KEYS, picture


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


async def test_a_store_that_fails_for_a_while_is_tended_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lifespan, "STORE_EVERY_SECONDS", 0.01)
    settings, spool = Settings(data_dir=tmp_path, image_engine="fake"), Spool(tmp_path / "spool")
    await spool.open()
    await spool.keep(pack(JOB, 0, picture(), KEYS))
    in_the_way = settings.bucket_folder / "images"
    in_the_way.parent.mkdir()
    in_the_way.touch()
    async with open_resources(settings) as parts:
        server = TestServer(build_app(settings, parts))
        await server.start_server()
        async with asyncio.timeout(60):  # what is not tried again never succeeds
            while "could not be tended" not in caplog.text:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            in_the_way.unlink()
            while await spool.waiting():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        await server.close()
    assert (settings.bucket_folder / KEYS.png(JOB, 0)).exists()

"""Whatever happens while a picture is on its way to the store: its job lists what is there.

The service runs in this process, so that its store takes a picture only when the test says so.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer
from typing_extensions import override

from engines.base import Picture, Progress, Turn
from engines.errors import OutOfMemoryError
from engines.fake import NAME, FakeEngine
from engines.spec import GenerationSpec
from scheduler.errors import StoreDownError
from scheduler.job import JobId
from service.app import build_app
from service.keys import IMAGES, SCHEDULER
from service.resources import open_resources
from service.settings import Settings
from service.store.files import FileStore
from service.store.images import PictureStore
from service.store.spool import Spool
from tests.journey.running import Client

HALF = "half of it"


class SlowStore(FileStore):
    """A folder that takes a number of objects at once, and the next ones when it is told to."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.at_once = 0
        self.down = False
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()

    @override
    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        if self.at_once:
            self.at_once -= 1
        else:
            self.asked.set()
            await self.go_on.wait()
        if self.down:
            raise StoreDownError("the store is away")
        await super().put(key, data, content_type=content_type)


class Half(FakeEngine):
    """Fails at the second picture of some jobs, once the first is on its way to the store."""

    def __init__(self, store: SlowStore) -> None:
        super().__init__()
        self.store = store
        self.failing = asyncio.Event()

    @override
    async def generate(
        self, spec: GenerationSpec, turn: Turn
    ) -> AsyncGenerator[Progress | Picture]:
        if spec.prompt == HALF and spec.seed:
            await self.store.asked.wait()
            self.failing.set()
            raise OutOfMemoryError
        async with aclosing(super().generate(spec, turn)) as drawing:
            async for update in drawing:
                yield update


class Rig(Client):
    """A service on a slow store, and a client of it."""

    def __init__(self, server: TestServer, session: ClientSession, engine: Half) -> None:
        super().__init__(session)
        self.app, self.engine, self.store = server.app, engine, engine.store

    async def cancelled(self, job_id: str) -> dict[str, Any]:
        """Cancel a job whose picture the store has not taken yet; return it as it ended."""
        ending = asyncio.create_task(self.json("DELETE", f"/api/images/jobs/{job_id}"))
        current = self.app[SCHEDULER]._dispatch._current[JobId(job_id)]
        while not current.task.cancelling():  # noqa: ASYNC110 - nobody tells of a cancel
            await asyncio.sleep(0)
        self.store.go_on.set()
        status, job = await ending
        assert (status, job["state"]) == (200, "cancelled")
        result: dict[str, Any] = job
        return result

    async def catalogue(self) -> list[str]:
        """Return the keys of all pictures that can be found."""
        _, page = await self.json("GET", "/api/images/latest")
        return sorted(item["key"] for item in page["items"])


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    settings = Settings(data_dir=tmp_path, image_engine="fake")
    async with open_resources(settings) as parts:
        store = SlowStore(settings.bucket_folder)
        images = PictureStore(
            objects=store,
            spool=Spool(tmp_path / "spool"),
            catalogue=parts.catalogue,
            keys=parts.keys,
        )
        engine = Half(store)
        engines = {NAME: replace(parts.engines[NAME], engine=engine)}
        slow = replace(parts, objects=store, images=images, engines=engines)
        server = TestServer(build_app(settings, slow))
        await server.start_server()
        async with ClientSession(server.make_url("")) as session:
            yield Rig(server, session, engine)
        await server.close()


def keys_of(job: dict[str, Any]) -> list[str]:
    return sorted(artifact["key"] for artifact in job["artifacts"])


@pytest.mark.parametrize("ahead", [0, 1], ids=["png", "sidecar"])
@pytest.mark.parametrize("count", [1, 3])
async def test_a_cancelled_job_lists_what_is_stored(rig: Rig, count: int, ahead: int) -> None:
    rig.store.at_once = ahead
    job_id = (await rig.submit(count=count))["job_id"]
    await rig.store.asked.wait()
    job = await rig.cancelled(job_id)
    assert keys_of(job)
    assert keys_of(job) == await rig.catalogue()
    assert keys_of(await rig.job(job_id)) == keys_of(job)


async def test_a_failed_job_lists_what_is_stored(rig: Rig) -> None:
    job_id = (await rig.submit(HALF, count=2, seed=0))["job_id"]
    await rig.engine.failing.wait()
    rig.store.go_on.set()
    job = await rig.ended(job_id)
    assert (job["state"], job["error_code"]) == ("failed", "out_of_memory")
    assert len(keys_of(job)) == 1
    assert keys_of(job) == await rig.catalogue()


async def test_a_cancelled_job_lists_what_waits_for_the_store(rig: Rig) -> None:
    rig.store.down = True
    job_id = (await rig.submit())["job_id"]
    await rig.store.asked.wait()
    job = await rig.cancelled(job_id)
    assert await rig.catalogue() == []
    assert len(keys_of(job)) == 1
    rig.store.down = False
    assert await rig.app[IMAGES].sweep() == 1
    assert keys_of(job) == await rig.catalogue()


async def test_a_job_that_is_cancelled_before_its_second_run_lists_the_first_s(rig: Rig) -> None:
    job_id = (await rig.submit(count=2))["job_id"]
    await rig.store.asked.wait()
    first = await rig.cancelled(job_id)
    await rig.json("POST", "/api/images/queue/pause")
    status, _ = await rig.json("POST", f"/api/images/jobs/{job_id}/retry")
    assert status == 202
    _, again = await rig.json("DELETE", f"/api/images/jobs/{job_id}")
    assert again["state"] == "cancelled"
    assert keys_of(again) == keys_of(first) == await rig.catalogue()

"""Leases over REST, of clients that do not stay."""

import asyncio

import pytest
from aiohttp import ClientSession, web
from aiohttp.typedefs import Handler

from scheduler.gpu import Gpu
from scheduler.lease import Tenant
from scheduler.ports import SystemClock
from service import presence
from service.api import gpu as api
from service.keys import CLOCK, GPUS


async def test_a_lease_that_is_granted_to_nobody_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presence, "GONE_SECONDS", 3600.0)  # that it left is seen too late
    asked: list[web.Request] = []

    @web.middleware
    async def noted(request: web.Request, handler: Handler) -> web.StreamResponse:
        asked.append(request)
        return await handler(request)

    gpu, app = Gpu(), web.Application(middlewares=[noted])
    app[GPUS], app[CLOCK] = {"local": gpu}, SystemClock()
    app.add_routes(api.routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    body = {"class": "llm", "holder": "impatient", "ttl_seconds": 3600}
    async with gpu.desk.hold(Tenant.IMAGES, "a renderer"):
        async with ClientSession() as client:
            asking = asyncio.create_task(
                client.post(f"http://{host}:{port}/api/gpu/leases", json=body)
            )
            while not gpu.leases.roll.asks:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            asking.cancel()
        while asked[0].transport is not None:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        assert gpu.leases.roll.asks
    while gpu.leases.roll.asks or gpu.leases.roll.leases:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await runner.cleanup()

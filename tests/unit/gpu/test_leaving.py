"""A client that leaves takes its call to llama.cpp with it, wherever that stands."""

import asyncio

import pytest
from aiohttp import web

from scheduler.lease import Tenant
from service import presence
from tests.unit.gpu.proxied import Rig


async def test_a_client_that_leaves_takes_its_call_with_it(rig: Rig) -> None:
    begun, left = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            left.set()
        raise AssertionError

    rig.answer = answer
    call = asyncio.create_task(rig.client.post("/llm/q4/completion"))
    await begun.wait()
    assert rig.held
    call.cancel()
    await left.wait()
    assert not rig.held


async def test_a_client_that_leaves_while_it_waits_is_forgotten(rig: Rig) -> None:
    async with rig.gpu.desk.hold(Tenant.IMAGES, "a renderer"):
        call = asyncio.create_task(rig.client.post("/llm/q4/completion"))
        while not rig.gpu.leases.roll.asks:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        call.cancel()
        while rig.gpu.leases.roll.asks:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert rig.seen == []


async def test_a_client_that_leaves_between_two_pieces_is_no_bug(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(presence, "GONE_SECONDS", 3600.0)  # the next piece finds it out first
    left = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"data: more\n\n")
                await asyncio.sleep(0.01)
        finally:
            left.set()

    rig.answer = answer
    got = await rig.client.post("/llm/q4/completion")
    await got.content.readany()
    got.close()
    await left.wait()
    assert not rig.held
    assert not caplog.records


async def test_a_client_that_leaves_while_it_sends_is_no_bug(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection(*rig.front.addresses[0])
    writer.write(b"POST /llm/q4/completion HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf")
    server = rig.front.server
    assert server is not None
    while not any(one._current_request for one in server.connections):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    writer.transport.abort()
    while server.connections:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    await rig.front.shutdown()
    assert rig.seen == []
    assert not caplog.records

"""The way to llama.cpp, against a server that a test directs byte by byte."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientPayloadError, web
from yarl import URL

from scheduler.lease import Tenant
from service.llm.proxy import ProxyLimits
from tests.unit.gpu.proxied import Rig


async def test_a_call_passes_as_it_came(rig: Rig) -> None:
    headers = {
        "X-One": "1",
        "Authorization": "Bearer key",
        "Cookie": "secret=1",
        "Connection": "X-Hop",
        "X-Hop": "2",
        "TE": "trailers",
    }
    path = URL("/llm/q4/v1/a%2Fb?x=%20y&z", encoded=True)
    async with rig.client.post(path, data=b"\0body", headers=headers) as answer:
        assert await answer.read() == b"\0body"
    [seen] = rig.seen
    assert seen.raw_path == "/v1/a%2Fb?x=%20y&z"
    assert (seen.headers["X-One"], seen.headers["Authorization"]) == ("1", "Bearer key")
    assert not {"Cookie", "X-Hop", "TE"} & set(seen.headers)
    assert seen.headers["Host"] == f"127.0.0.1:{rig.upstream.port}"


async def test_headers_that_come_twice_pass_twice(rig: Rig) -> None:
    reader, writer = await asyncio.open_connection(*rig.front.addresses[0])
    writer.write(b"GET /llm/q4/x HTTP/1.1\r\nHost: x\r\nX-One: 1\r\nX-One: 2\r\nx-one: 3\r\n\r\n")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    writer.close()
    [seen] = rig.seen
    assert seen.headers.getall("X-One") == ["1", "2", "3"]


async def test_no_reply_goes_on_without_its_reader(rig: Rig) -> None:
    headers = {"X-Conversation-Id": "it would go on for that"}
    async with rig.client.post("/llm/q4/completion", headers=headers) as answer:
        assert answer.status == 200
    [seen] = rig.seen
    assert "X-Conversation-Id" not in seen.headers


async def test_no_call_is_sent_where_the_server_may_be_hanging_up(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        again = rig.seen[-2:-1] and rig.seen[-2].transport is request.transport
        if again and request.transport is not None:
            request.transport.abort()
        return web.Response()

    rig.answer = answer
    for _ in range(2):
        async with rig.client.post("/llm/q4/completion") as got:
            assert got.status == 200


async def test_an_answer_passes_as_it_came(rig: Rig) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {"X-One": "1", "Content-Encoding": "gzip", "Location": "http://127.0.0.1:1/"}
        return web.Response(status=302, body=b"not really gzip", headers=headers)

    rig.answer = answer
    async with rig.client.get("/llm/q4/x", allow_redirects=False, auto_decompress=False) as got:
        assert (got.status, got.headers["X-One"]) == (302, "1")
        assert await got.read() == b"not really gzip"
        assert got.headers["Content-Length"] == "15"


async def test_what_a_server_breaks_off_is_broken_off(rig: Rig) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if "half" in request.path:
            await response.prepare(request)
            await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    rig.answer = answer
    async with rig.client.post("/llm/q4/half") as got:
        with pytest.raises(ClientPayloadError):
            await got.read()
    async with rig.client.post("/llm/q4/nothing") as got:
        assert got.status == 502
        assert (await got.json(content_type=None))["code"] == "llm_down"
    assert not rig.held


async def test_what_a_client_expects_of_us_is_not_expected_of_the_server(rig: Rig) -> None:
    async with rig.client.post("/llm/q4/completion", data=b"x", expect100=True) as answer:
        assert await answer.read() == b"x"
    [seen] = rig.seen
    assert "Expect" not in seen.headers


async def test_every_piece_arrives_before_the_next_is_made(rig: Rig) -> None:
    go_on = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(3):
            await response.write(f"data: {number}\n\n".encode())
            await go_on.wait()
            go_on.clear()
        return response

    rig.answer = answer
    async with rig.client.post("/llm/q4/completion") as got:
        for number in range(3):
            assert await got.content.readany() == f"data: {number}\n\n".encode()
            assert rig.held
            go_on.set()
        assert await got.read() == b""
    assert not rig.held


async def test_a_packed_body_is_told_as_what_it_is_on_arrival(rig: Rig) -> None:
    gzipped, other = ({"Content-Encoding": packing} for packing in ("gzip", "own"))
    async with rig.client.post(
        "/llm/q4/completion", data=gzip.compress(b"x"), headers=gzipped
    ) as answer:
        assert (answer.status, await answer.read()) == (200, b"x")
    async with rig.client.post("/llm/q4/completion", data=b"y", headers=other) as answer:
        assert await answer.read() == b"y"
    async with rig.client.post("/llm/q4/completion", data=b"other", headers=gzipped) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (400, "bad_body")
    assert [seen.headers.get("Content-Encoding") for seen in rig.seen] == [None, "own"]


async def test_a_slow_sender_holds_nothing(rig: Rig) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        begun.set()
        await go_on.wait()
        yield b" and half"

    call = asyncio.create_task(rig.client.post("/llm/q4/completion", data=body()))
    await begun.wait()
    assert not rig.held
    assert rig.seen == []
    go_on.set()
    async with await call as answer:
        assert await answer.read() == b"half and half"


async def test_a_slow_reader_holds_the_gpu_no_longer_than_the_server_works(rig: Rig) -> None:
    size, released = 3 * 2**20, asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(size))

    rig.answer = answer
    rig.gpu.gate.open = released.set  # type: ignore[method-assign]
    async with rig.client.post("/llm/q4/completion") as got:
        await released.wait()
        assert not rig.held
        assert len(await got.read()) == size


@pytest.mark.parametrize("limits", [ProxyLimits(kept_bytes=1000, stall_seconds=0.05)])
async def test_a_reader_that_stalls_is_given_up(rig: Rig) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=bytes(64 * 2**20))

    rig.answer = answer
    released = asyncio.Event()
    rig.gpu.gate.open = released.set  # type: ignore[method-assign]
    async with rig.client.post("/llm/q4/completion") as got:
        await released.wait()
        assert not rig.held
        async with asyncio.timeout(60):  # it reads nothing, so only we can end this
            while rig.front.server and rig.front.server.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        with pytest.raises(Exception, match=r"payload|closed|reset"):
            await got.read()


@pytest.mark.parametrize("limits", [ProxyLimits(body_bytes=10)])
async def test_a_body_that_is_too_large_is_refused(rig: Rig) -> None:
    async with rig.client.post("/llm/q4/completion", data=bytes(11)) as answer:
        assert answer.status == 413
        assert (await answer.json(content_type=None))["code"] == "body_too_large"
    assert rig.seen == []


@pytest.mark.parametrize("limits", [ProxyLimits(silence_seconds=0.05)])
async def test_a_server_that_says_nothing_is_given_up(rig: Rig) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        raise AssertionError

    rig.answer = answer
    async with rig.client.post("/llm/q4/completion") as got:
        assert got.status == 504
        assert (await got.json(content_type=None))["code"] == "llm_timeout"
    assert not rig.held


@pytest.mark.parametrize("limits", [ProxyLimits(wait_seconds=0.05)])
async def test_a_gpu_that_is_not_free_is_not_waited_for_for_ever(rig: Rig) -> None:
    async with rig.gpu.desk.hold(Tenant.IMAGES, "a renderer"):
        async with rig.client.post("/llm/q4/completion") as answer:
            assert answer.status == 504
            assert (await answer.json(content_type=None))["holders"] == ["a renderer"]
        async with rig.client.get("/llm/q4/props") as answer:
            assert answer.status == 200
    assert [seen.path for seen in rig.seen] == ["/props"]


async def test_a_client_s_name_is_shown_as_text(rig: Rig) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.Response()

    rig.answer = answer
    host, port = rig.front.addresses[0]
    reader, writer = await asyncio.open_connection(host, port)
    name = b"t\xc3\xaate\xff\x80-" + b"9" * 1000
    writer.write(b"POST /llm/q4/completion HTTP/1.1\r\nHost: x\r\nX-Client: " + name + b"\r\n\r\n")
    await begun.wait()
    [lease] = rig.gpu.leases.roll.leases
    go_on.set()
    await reader.readline()
    writer.close()
    assert lease.holder == "q4 for tête-" + "9" * 195

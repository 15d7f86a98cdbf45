"""What becomes of a request when the other side misbehaves."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from engines.errors import EngineDownError, EngineProtocolError, EngineTimeoutError
from engines.http import AnswerLostError, NotSentError, Server, translated

Serve = Callable[..., Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Answer every request with a handler, and return the server as an engine sees it."""
    async with AsyncExitStack() as stack:

        async def serve(handler: Callable[..., Awaitable[object]], **options: object) -> Server:
            app = web.Application()
            app.add_routes([web.route("*", "/{path:.*}", handler)])  # type: ignore[arg-type]
            runner = web.AppRunner(app, handler_cancellation=True)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/base/"
            server = Server(base_url=url, **options)  # type: ignore[arg-type]
            stack.push_async_callback(server.aclose)
            return server

        yield serve


async def test_a_request_and_its_answer(serve: Serve) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(
            {
                "method": request.method,
                "path": request.path_qs,
                "type": request.content_type,
                "own": request.headers.get("X-Own"),
                "auth": request.headers.get("Authorization"),
                "body": (await request.read()).decode(),
            },
            status=422,
        )

    server = await serve(echo, auth=("kitty", "meow"))
    answer = await server.send(
        "POST", "/x", json={"a": 1}, query={"q": "ä b"}, headers={"X-Own": "1"}
    )
    assert (answer.status, answer.ok, answer.content_type) == (422, False, "application/json")
    assert answer.json() == {
        "method": "POST",
        "path": "/base/x?q=%C3%A4+b",
        "type": "application/json",
        "own": "1",
        "auth": "Basic a2l0dHk6bWVvdw==",
        "body": '{"a":1}',
    }
    with pytest.raises(EngineProtocolError, match="422"):
        answer.require()


async def test_redirects_are_not_followed(serve: Serve) -> None:
    seen = []

    async def redirect(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response(status=307, headers={"Location": "/base/elsewhere"})

    server = await serve(redirect)
    assert (await server.send("POST", "/x")).status == 307
    assert seen == ["/base/x"]


async def test_no_json_is_the_servers_fault(serve: Serve) -> None:
    async def html(_: web.Request) -> web.Response:
        return web.Response(text="<html>busy</html>")

    answer = await (await serve(html)).send("GET", "/x")
    assert answer.require() is answer
    with pytest.raises(EngineProtocolError, match="busy"):
        answer.json()


@pytest.mark.parametrize("port", [1, 9])
async def test_a_refused_connection_was_surely_not_sent(port: int) -> None:
    server = Server(base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(NotSentError) as caught:
        await server.send("POST", "/x")
    assert caught.value.code == "engine_down"
    await server.aclose()


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1:1", "http://no.invalid"])
async def test_an_address_that_is_none_was_surely_not_sent(url: str) -> None:
    server = Server(base_url=url)
    with pytest.raises(NotSentError):
        await server.send("POST", "/x")
    await server.aclose()


@pytest.mark.parametrize("written", [None, b"", b"abc"])
async def test_a_cut_connection_may_have_been_carried_out(
    serve: Serve, written: bytes | None
) -> None:
    asked = []

    async def cut(request: web.Request) -> web.StreamResponse:
        asked.append(await request.read())
        response = web.StreamResponse(headers={"Content-Length": "100"})
        if written is not None:
            await response.prepare(request)
            await response.write(written)
        assert request.transport is not None
        request.transport.abort()
        return response

    server = await serve(cut)
    with pytest.raises(AnswerLostError) as caught:
        await server.send("POST", "/x", json={})
    assert caught.value.code == "engine_down"
    assert asked == [b"{}"], "the request was sent more than once"


async def test_silence_is_a_timeout(serve: Serve) -> None:
    async def silence(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    server = await serve(silence, answer_seconds=0.01)
    with pytest.raises(EngineTimeoutError):
        await server.send("POST", "/x")
    with pytest.raises(EngineTimeoutError):
        await server.send("POST", "/x", answer_seconds=0.02)


async def test_an_answer_may_be_waited_for_for_ever(serve: Serve) -> None:
    go = asyncio.Event()

    async def late(_: web.Request) -> web.Response:
        await go.wait()
        return web.Response(text="at last")

    server = await serve(late, answer_seconds=0.01)
    waiting = asyncio.create_task(server.send("POST", "/x", answer_seconds=math.inf))
    with pytest.raises(EngineTimeoutError):
        await server.send("GET", "/y")
    go.set()
    assert (await waiting).text == "at last"


async def test_an_endless_answer_is_cut_off(serve: Serve) -> None:
    async def large(_: web.Request) -> web.Response:
        return web.Response(body=b"x" * 1001)

    server = await serve(large, limit_bytes=1000)
    with pytest.raises(EngineProtocolError, match="larger than 1000"):
        await server.send("GET", "/x")
    assert len((await server.send("GET", "/x", limit_bytes=1001)).body) == 1001


async def test_what_is_no_http() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"* OK IMAP4 ready\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as imap:
        server = Server(base_url=f"http://127.0.0.1:{imap.sockets[0].getsockname()[1]}")
        with pytest.raises(EngineProtocolError):
            await server.send("POST", "/x")
        await server.aclose()


async def test_a_password_in_the_address_is_used_and_not_shown(serve: Serve) -> None:
    async def auth(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("Authorization", ""))

    plain = await serve(auth)
    server = Server(base_url=plain.base_url.replace("://", "://kitty:meow@"))
    answer = await server.send("GET", "/x")
    assert answer.text == "Basic a2l0dHk6bWVvdw=="
    assert "meow" not in answer.request + server.base_url
    await server.aclose()


async def test_a_closed_server_asks_nobody(serve: Serve) -> None:
    async def nobody(_: web.Request) -> web.Response:
        raise AssertionError

    server = await serve(nobody)
    await server.aclose()
    await server.aclose()
    with pytest.raises(NotSentError, match="closed"):
        await server.send("GET", "/x")


async def test_websockets(serve: Serve) -> None:
    async def socket(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("refused"):
            return web.Response(status=403)
        response = web.WebSocketResponse()
        await response.prepare(request)
        await response.send_str(request.query["clientId"])
        return response

    server = await serve(socket)
    connection = await server.websocket("/ws", query={"clientId": "kitty"})
    assert (await connection.receive()).data == "kitty"
    await connection.close()
    with pytest.raises(EngineProtocolError, match="403"):
        await server.websocket("/refused")
    gone = Server(base_url="http://127.0.0.1:1")
    with pytest.raises(NotSentError):
        await gone.websocket("/ws")
    await gone.aclose()


@pytest.mark.parametrize(
    ("raised", "becomes"),
    [
        (TimeoutError(), EngineTimeoutError),
        (aiohttp.ServerDisconnectedError(), AnswerLostError),
        (ConnectionResetError(), AnswerLostError),
        (aiohttp.ClientPayloadError("half"), AnswerLostError),
        (aiohttp.ConnectionTimeoutError(), NotSentError),
        (aiohttp.InvalidURL("x"), NotSentError),
    ],
)
def test_translations(raised: Exception, becomes: type[Exception]) -> None:
    with pytest.raises(becomes, match=r"GET http://x: \S") as caught, translated("GET http://x"):
        raise raised
    assert caught.value.__cause__ is raised


def test_both_kinds_of_a_broken_connection_say_that_the_engine_is_down() -> None:
    assert issubclass(NotSentError, EngineDownError)
    assert issubclass(AnswerLostError, EngineDownError)

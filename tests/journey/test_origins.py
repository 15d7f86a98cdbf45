"""Pages of other sites may call and read us if they are listed, and then only."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from multidict import CIMultiDictProxy

from tests.journey.running import Client, Service, client_of

LISTED = "http://studio.local:4173"
STRANGER = "http://evil.example"
FRIEND = {"Authorization": "Bearer secret", "Origin": LISTED}


@pytest.fixture
async def llama() -> AsyncIterator[TestServer]:
    """A server that shows its answers to all pages, as llama.cpp's does."""

    async def answer(request: web.Request) -> web.Response:
        origin = request.headers.get("Origin", "*")
        return web.Response(headers={"Access-Control-Allow-Origin": origin, "Vary": "Accept"})

    server = TestServer(web.Application())
    server.app.router.add_route("*", "/{path:.*}", answer)
    await server.start_server()
    yield server
    await server.close()


@pytest.fixture
async def service(tmp_path: Path, llama: TestServer) -> AsyncIterator[Service]:
    settings = {
        "API_TOKEN": "secret",
        "ALLOWED_ORIGINS": f"http://other.local, {LISTED}/",
        "LLAMA_SERVERS": f"q4={llama.make_url('')}",
    }
    async with Service(tmp_path, **settings) as running:
        yield running


def listed(headers: Mapping[str, str], name: str) -> set[str]:
    """Return a header's comma-separated words."""
    return {word.strip().lower() for word in headers.get(name, "").split(",")}


async def headers_of(
    session: ClientSession, method: str, path: str, status: int, /, **headers: str
) -> CIMultiDictProxy[str]:
    """Make a call and return the headers of the answer, whose status must be this."""
    async with session.request(method, path, headers=headers) as answer:
        assert answer.status == status, await answer.text()
        return answer.headers


@pytest.mark.parametrize(
    "path", ["/api/images/generate", "/api/images/jobs/none", "/llm/q4/v1/chat/completions", "/no"]
)
async def test_a_browser_is_told_what_a_listed_page_may_send(client: Client, path: str) -> None:
    asks = {
        "Origin": LISTED,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,x-stainless-os,no good",
    }
    told = await headers_of(client.session, "OPTIONS", path, 204, **asks)
    assert told["Access-Control-Allow-Origin"] == LISTED
    assert "origin" in listed(told, "Vary")
    assert listed(told, "Access-Control-Allow-Methods") >= {"get", "post", "put", "delete"}
    allowed = listed(told, "Access-Control-Allow-Headers")
    assert {"authorization", "idempotency-key", "content-type", "x-stainless-os"} <= allowed
    assert "no good" not in allowed
    assert int(told["Access-Control-Max-Age"]) > 0


@pytest.mark.parametrize("origin", [STRANGER, "null", LISTED.upper() + "0", f"{LISTED}.evil.com"])
async def test_a_browser_is_told_nothing_for_other_pages(client: Client, origin: str) -> None:
    asks = {"Origin": origin, "Access-Control-Request-Method": "GET"}
    token = {"Authorization": "Bearer secret"}
    for path, status in (("/api/images/latest", 405), ("/llm/q4/props", 200)):
        told = await headers_of(client.session, "OPTIONS", path, status, **asks, **token)
        assert not [name for name in told if name.lower().startswith("access-control")]
        told = await headers_of(client.session, "OPTIONS", path, 401, **asks)
        assert not [name for name in told if name.lower().startswith("access-control")]


async def test_a_listed_page_reads_answers_of_every_kind(service: Service, client: Client) -> None:
    async with client_of(service, **FRIEND) as friend:
        key = (await friend.draw())["artifacts"][0]["key"]
        job = (await friend.json("GET", "/api/images/jobs"))[1]["items"][0]["job_id"]
        for path, status in (
            ("/api/images/latest", 200),
            (f"/api/images/file/{key}", 200),
            (f"/api/images/jobs/{job}/events", 200),
            ("/llm/q4/props", 200),
            ("/api/images/jobs/none", 404),
            ("/no/such/path", 404),
        ):
            told = await headers_of(friend.session, "GET", path, status)
            assert told.getall("Access-Control-Allow-Origin") == [LISTED], path
            assert "etag" in listed(told, "Access-Control-Expose-Headers")
            assert "Origin" in told.getall("Vary"), path
    told = await headers_of(client.session, "GET", "/api/images/latest", 401, Origin=LISTED)
    assert told["Access-Control-Allow-Origin"] == LISTED


async def test_other_pages_and_programs_are_given_no_leave(client: Client) -> None:
    token = {"Authorization": "Bearer secret"}
    for path in ("/api/images/latest", "/llm/q4/props"):
        for origin in ({"Origin": STRANGER}, {}):
            told = await headers_of(client.session, "GET", path, 200, **token, **origin)
            assert "Access-Control-Allow-Origin" not in told
            assert "Origin" in told.getall("Vary")
    for method in ("POST", "PUT"):
        await headers_of(client.session, method, "/api/x", 403, **token, Origin=STRANGER)


async def test_without_the_setting_nothing_is_said(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        asks = {"Origin": LISTED, "Access-Control-Request-Method": "GET"}
        for method, status in (("OPTIONS", 405), ("GET", 200)):
            told = await headers_of(client.session, method, "/api/images/latest", status, **asks)
            assert not [name for name in told if name.lower().startswith("access-control")]
            assert "Vary" not in told

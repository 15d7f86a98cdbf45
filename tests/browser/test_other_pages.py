"""What a browser lets pages of other sites do with us."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from playwright.async_api import Page

from tests.journey.running import Service

pytestmark = pytest.mark.server

_DRAW = """async (base) => {
  const headers = {"Content-Type": "application/json", "Authorization": "Bearer secret",
                   "Idempotency-Key": "one"};
  const body = JSON.stringify({prompt: "a card", width: 64, height: 64});
  try {
    const answer = await fetch(`${base}/api/images/generate`, {method: "POST", headers, body});
    const again = await fetch(`${base}/api/images/latest`, {headers});
    return [answer.status, answer.headers.get("Location") !== null, again.status];
  } catch (error) {
    return error.name;
  }
}"""


@pytest.fixture
async def elsewhere() -> AsyncIterator[str]:
    """The origin of another site's page."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(
            text="<!doctype html><title>elsewhere</title>", content_type="text/html"
        )

    server = TestServer(web.Application())
    server.app.router.add_get("/", page)
    await server.start_server()
    yield str(server.make_url("")).rstrip("/")
    await server.close()


async def test_a_listed_page_draws_and_reads(page: Page, elsewhere: str, tmp_path: Path) -> None:
    settings = {"API_TOKEN": "secret", "ALLOWED_ORIGINS": elsewhere}
    async with Service(tmp_path, **settings) as service:
        await page.goto(elsewhere)
        assert await page.evaluate(_DRAW, service.url) == [202, True, 200]


async def test_another_page_does_neither(page: Page, elsewhere: str, tmp_path: Path) -> None:
    settings = {"API_TOKEN": "secret", "ALLOWED_ORIGINS": "http://studio.local"}
    async with Service(tmp_path, **settings) as service:
        await page.goto(elsewhere)
        assert await page.evaluate(_DRAW, service.url) == "TypeError"

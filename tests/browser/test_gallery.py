"""The gallery as somebody sees it in a browser."""

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.journey.running import Service, client_of

pytestmark = pytest.mark.server

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync")


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a headless browser; whatever a script on it throws fails the test."""
    chromium = shutil.which("chromium")
    if chromium is None:
        reason = "no chromium: install the package chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    async with async_playwright() as browsers:
        browser = await browsers.chromium.launch(executable_path=chromium, args=QUIET)
        thrown: list[object] = []
        opened = await browser.new_page()
        opened.on("pageerror", lambda error: thrown.append(error))  # noqa: PLW0108 - no builtins
        yield opened
        await browser.close()
    assert thrown == []


async def test_a_prompt_becomes_a_picture_on_the_page(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service:
        await page.goto(f"{service.url}/vision")
        await expect(page.get_by_text("No pictures yet")).to_be_visible()
        await page.get_by_label("Prompt").fill("a card & <b>more</b>")
        await page.get_by_role("button", name="Draw").click()
        picture = page.get_by_alt_text("a card & <b>more</b>")
        await expect(picture).to_be_visible()
        assert (
            await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 320
        )
        await page.get_by_label("Search").fill("nowhere")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_text("Nothing matches")).to_be_visible()


async def test_an_error_is_told(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path, IMAGES_ENABLED="false") as service:
        await page.goto(f"{service.url}/vision")
        await page.get_by_label("Prompt").fill("a card")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_role("status")).to_have_text("images are switched off")


async def test_a_token_in_the_address_is_taken_out_of_it(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path, API_TOKEN="secret") as service:
        async with client_of(service, Authorization="Bearer secret") as client:
            await client.draw("a card")
        answer = await page.goto(f"{service.url}/vision")
        assert answer is not None
        assert answer.status == 401
        await page.goto(f"{service.url}/vision?token=secret")
        assert page.url == f"{service.url}/vision"
        await expect(page.get_by_alt_text("a card")).to_be_visible()

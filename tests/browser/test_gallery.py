"""The gallery as somebody sees it in a browser."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.journey.running import Service, client_of

pytestmark = pytest.mark.server


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

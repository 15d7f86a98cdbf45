"""The gallery as somebody sees it in a browser."""

from pathlib import Path

import pytest
from playwright.async_api import Dialog, Page, expect

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
        await page.evaluate("form.prompt.value = 'typed meanwhile'")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_alt_text("typed meanwhile")).to_be_visible()
        await expect(page.get_by_label("Prompt")).to_have_value("typed meanwhile")
        await expect(page.get_by_role("status")).to_have_text("Done.")
        await page.get_by_label("Search").fill("nowhere")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_text("Nothing matches")).to_be_visible()


async def test_work_of_others_is_seen_and_can_be_ended(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        before = await client.submit("[fail hang] before")
        await page.goto(f"{service.url}/vision")
        for job in (before, await client.submit("[fail hang] after")):
            word = "before" if job is before else "after"
            button = page.get_by_role("button", name=f"Cancel [fail hang] {word}")
            await expect(page.get_by_label("In work").get_by_text(word)).to_be_visible()
            await button.click()
            await expect(button).to_have_count(0)
            await expect(page.get_by_role("status")).to_contain_text("ancelled")
            assert (await client.job(job["job_id"]))["state"] == "cancelled"
        await client.draw("a card from elsewhere")
        await expect(page.get_by_alt_text("a card from elsewhere")).to_be_visible()
        await page.get_by_role("link", name="a card from elsewhere").focus()
        await client.draw("another card")
        await expect(page.get_by_alt_text("another card")).to_be_visible()
        await expect(page.get_by_role("link", name="a card from elsewhere")).to_be_focused()


async def test_a_picture_has_a_page_that_leads_on(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        job = await client.draw("a <b>card</b>", seed=77, tags=["mine"])
        await page.goto(f"{service.url}/vision")
        await page.get_by_role("link", name="a <b>card</b>").click()
        assert page.url == f"{service.url}/vision/{job['artifacts'][0]['key']}"
        facts = page.get_by_role("definition")
        for fact in ("a <b>card</b>", "77", "mine", "64x64"):
            await expect(facts.get_by_text(fact, exact=True)).to_be_visible()
        await page.get_by_role("link", name="Change and draw").click()
        await expect(page.get_by_label("Prompt")).to_have_value("a <b>card</b>")
        answer = await page.goto(f"{service.url}/vision/images/20260101_000000_00000000.png")
        assert answer is not None
        assert answer.status == 404
        await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
        await page.get_by_role("link", name="Back to the gallery").click()
        assert page.url == f"{service.url}/vision"


async def test_a_picture_is_deleted_by_who_means_it(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        await client.draw("stays")
        path = f"/vision/{(await client.draw('goes'))['artifacts'][0]['key']}"
        await page.goto(service.url + path)
        button = page.get_by_role("button", name="Delete")
        asked: list[str] = []

        async def answer(dialog: Dialog) -> None:
            asked.append(dialog.message)
            await (dialog.dismiss() if len(asked) == 1 else dialog.accept())

        page.on("dialog", answer)
        await button.click()
        assert asked == ["Delete this picture for good?"]
        folder = tmp_path / "kitty-artifacts"
        folder.rename(tmp_path / "unplugged")
        await button.click()
        await expect(page.get_by_role("status")).to_contain_text("is gone")
        (tmp_path / "unplugged").rename(folder)
        await expect(button).to_be_enabled()
        await button.click()
        await expect(page.get_by_alt_text("stays")).to_be_visible()
        assert page.url == f"{service.url}/vision"
        await expect(page.get_by_alt_text("goes")).to_have_count(0)
        await page.go_back()
        assert page.url != service.url + path, "there is no way back to what is not there"


async def test_no_page_is_wider_than_a_telephone(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        job = await client.draw("long" * 100, tags=["tag" * 20])
        await client.submit("[fail hang]" + "long" * 100)
        await page.set_viewport_size({"width": 360, "height": 740})
        shown = f"vision/{job['artifacts'][0]['key']}"
        for path in ("vision", shown, "vision/images/20260101_000000_00000000.png", "docs"):
            await page.goto(f"{service.url}/{path}")
            if path == "vision":
                await expect(page.get_by_role("button", name="Cancel")).to_be_visible()
            beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert (path, await page.evaluate(beyond)) == (path, 0)


async def test_a_paused_queue_is_told(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/pause")
        await page.goto(f"{service.url}/vision")
        await expect(page.get_by_role("status")).to_contain_text("paused")
        await page.get_by_label("Prompt").fill("later")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_role("status")).to_have_text("Queued; the queue is paused.")
        await page.get_by_role("button", name="Resume queue").click()
        await expect(page.get_by_alt_text("later")).to_be_visible()
        await page.get_by_role("button", name="Pause queue").click()
        await expect(page.get_by_role("status")).to_contain_text("is paused")
        await expect(page.get_by_role("button", name="Resume queue")).to_be_visible()
        assert (await client.json("GET", "/api/images/stats"))[1]["paused"] is True
        await client.json("POST", "/api/images/queue/resume")
        await page.evaluate("seeAll()")
        await expect(page.get_by_role("button", name="Pause queue")).to_be_visible()


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
        await expect(page.get_by_text("open /vision?token=TOKEN once")).to_be_visible()
        await page.goto(f"{service.url}/vision?token=secret")
        assert page.url == f"{service.url}/vision"
        await expect(page.get_by_alt_text("a card")).to_be_visible()


async def test_who_is_not_let_in_can_give_the_token(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path, API_TOKEN="secret & 1+1") as service:
        await page.goto(f"{service.url}/vision/images/20260101_000000_00000000.png")
        await page.get_by_label("Token").fill("guessed")
        await page.get_by_role("button", name="Open the gallery").click()
        await expect(page.get_by_text("this is not the token")).to_be_visible()
        await page.get_by_label("Token").fill("secret & 1+1")
        await page.get_by_role("button", name="Open the gallery").click()
        await expect(page.get_by_text("No pictures yet")).to_be_visible()
        assert page.url == f"{service.url}/vision"

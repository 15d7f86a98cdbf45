"""What can be wished in the gallery beside a prompt, and how work is held there."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import FilePayload, Page, expect

from tests.journey.running import Client, Service, client_of

pytestmark = pytest.mark.server

_LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return new Set([...range.getClientRects()].map((box) => Math.round(box.bottom))).size;
}"""


async def newest_spec(client: Client) -> dict[str, object]:
    """Return what the newest picture was drawn with."""
    _, latest = await client.json("GET", "/api/images/latest?limit=1")
    _, sidecar = await client.json("GET", f"/api/images/file/{latest['items'][0]['meta_key']}")
    spec: dict[str, object] = sidecar["spec"]
    return spec


async def test_wishes_are_drawn_and_told_what_was_made_of_them(page: Page, tmp_path: Path) -> None:
    drawing = io.BytesIO()
    Image.new("RGB", (64, 96), "teal").save(drawing, "PNG")
    start = FilePayload(name="start.png", mimeType="image/png", buffer=drawing.getvalue())
    async with Service(tmp_path) as service, client_of(service) as client:
        await page.goto(f"{service.url}/vision")
        await page.get_by_text("More wishes").click()
        await expect(page.locator("#models option[value=test-card]")).to_have_count(1)
        wishes = {"without": "fog", "width": "100", "height": "96", "steps": "3", "cfg": "2.5",
                  "seed": "7", "pictures": "2", "redraw": "0.5"}  # fmt: skip
        for label, value in wishes.items():
            await page.get_by_label(label).fill(value)
        await page.get_by_label("begin with").set_input_files(start)
        await page.get_by_label("Prompt").fill("wished for")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_alt_text("wished for")).to_have_count(2)
        spec = await newest_spec(client)
        drawn = {name: spec[name] for name in ("width", "height", "steps", "cfg", "strength")}
        assert drawn == {"width": 96, "height": 96, "steps": 3, "cfg": 2.5, "strength": 0.5}
        assert (spec["negative_prompt"], spec["seed"]) == ("fog", 8), "the newest is the second"
        assert spec["init_image"]
        await page.get_by_label("width").fill("5")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_role("status")).to_contain_text("width: ")


async def test_a_picture_s_settings_can_be_changed_and_drawn(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        given = {"steps": 5, "cfg": 3.5, "seed": 77, "negative_prompt": "<b>fog</b>"}
        job = await client.draw("a card", **given)
        await page.goto(f"{service.url}/vision/{job['artifacts'][0]['key']}")
        await page.get_by_role("link", name="Change and draw").click()
        await expect(page.get_by_label("without")).to_have_value("<b>fog</b>")
        await page.get_by_label("seed").fill("78")
        await page.get_by_role("button", name="Draw").click()
        await expect(page.get_by_alt_text("a card")).to_have_count(2)
        await expect(page.get_by_label("seed")).to_have_value("78")
        spec = await newest_spec(client)
        assert {name: spec[name] for name in given} == {**given, "seed": 78}
        answer = await page.goto(f"{service.url}/vision?like=images/20260101_000000_00000000.png")
        assert answer is not None
        assert answer.status == 404


async def test_a_job_is_held_and_goes_on(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path, FAKE_STEP_SECONDS="0.02") as service, client_of(service) as client:
        job = await client.submit("a card", steps=200)
        await page.goto(f"{service.url}/vision")
        await page.get_by_role("button", name="Pause a card").click()
        await page.get_by_role("button", name="Resume a card").wait_for()
        assert (await client.job(job["job_id"]))["phase"] == "paused"
        await page.get_by_role("button", name="Resume a card").click()
        await page.get_by_role("button", name="Pause a card").wait_for()
        assert (await client.job(job["job_id"]))["phase"] != "paused"


async def test_the_api_s_words_are_not_broken_in_a_wide_window(page: Page, tmp_path: Path) -> None:
    async with Service(tmp_path) as service:
        await page.set_viewport_size({"width": 900, "height": 600})
        await page.goto(f"{service.url}/vision")
        await page.get_by_role("link", name="API").click()
        await page.get_by_text("/api/images/generate").first.click()
        for text in ("header", "Idempotency-Key"):
            cell = page.get_by_role("cell", name=text, exact=True).first
            assert await cell.evaluate(_LINES) == 1, text
        await page.get_by_role("link", name="gallery").click()
        await expect(page.get_by_label("Prompt")).to_be_visible()

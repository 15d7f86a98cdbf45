"""A real browser."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright

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

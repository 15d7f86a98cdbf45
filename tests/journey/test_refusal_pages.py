"""Who opens a page of the gallery reads a refusal as a page; everybody else as a document."""

from pathlib import Path

import pytest

from tests.journey.running import Client, Service, client_of

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
NOWHERE = "/vision/images/20260101_000000_00000000.png"


async def opened(
    client: Client, path: str, accept: str = BROWSER, method: str = "GET"
) -> tuple[int, str, str]:
    """Return status, content type and text."""
    async with client.session.request(method, path, headers={"Accept": accept}) as answer:
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        (NOWHERE, 404, "Not found"),
        ("/vision/nowhere", 400, "Bad request"),
        ("/vision?cursor=x", 400, "Bad request"),
    ],
)
async def test_a_page_tells_a_browser_and_leads_back(
    client: Client, path: str, status: int, title: str
) -> None:
    code, kind, text = await opened(client, path)
    assert (code, kind) == (status, "text/html")
    assert f"<h2>{title}</h2>" in text
    assert '<a href="/vision">Back to the gallery</a>' in text


@pytest.mark.parametrize(
    "accept",
    ["*/*", "", "application/json", "text/*", "text/html;q=0, */*", "application/xhtml+xml"],
)
async def test_who_does_not_name_html_gets_the_document(client: Client, accept: str) -> None:
    status, kind, _ = await opened(client, NOWHERE, accept)
    assert (status, kind) == (404, "application/problem+json")


@pytest.mark.parametrize("accept", ["TEXT/HTML", "*/*, text/html;q=0.1", "a/b,text/html ; q=1.0"])
async def test_html_may_be_named_in_many_ways(client: Client, accept: str) -> None:
    assert (await opened(client, NOWHERE, accept))[:2] == (404, "text/html")


@pytest.mark.parametrize(
    "path", ["/api/images/file/images/20260101_000000_00000000.png", "/visions", "/vision.png"]
)
async def test_what_is_no_page_keeps_its_document(client: Client, path: str) -> None:
    assert (await opened(client, path))[:2] == (404, "application/problem+json")


async def test_a_browser_at_the_bare_address_is_led_to_the_gallery(client: Client) -> None:
    status, _, text = await opened(client, "/")
    assert (status, "<title>KITTY Images</title>" in text) == (200, True)
    assert (await opened(client, "/", "*/*"))[:2] == (200, "application/json")


async def test_a_page_keeps_what_the_refusal_had_to_say(client: Client) -> None:
    async with client.session.post("/vision", headers={"Accept": BROWSER}) as answer:
        assert (answer.status, answer.content_type) == (405, "text/html")
        assert answer.headers["Allow"] == "GET,HEAD"
        assert (answer.headers["Vary"], answer.headers["Cache-Control"]) == ("Accept", "no-store")
    assert await opened(client, NOWHERE, method="HEAD") == (404, "text/html", "")


async def test_a_page_without_the_token_says_what_to_do(tmp_path: Path) -> None:
    async with Service(tmp_path, API_TOKEN="secret") as service, client_of(service) as client:
        status, kind, text = await opened(client, "/vision")
        assert (status, kind) == (401, "text/html")
        assert 'name="token"' in text
        assert "Back to the gallery" not in text
        assert "secret" not in text
        assert (await opened(client, "/vision", "*/*"))[:2] == (401, "application/problem+json")
        assert (await opened(client, "/api/images/latest"))[1] == "application/problem+json"


async def test_what_a_stranger_wrote_is_text(client: Client) -> None:
    async with client.session.get(
        "/vision",
        headers={"Accept": BROWSER, "Host": "<b>evil</b>.com"},
    ) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (403, "text/html")
    assert "<b>evil" not in text
    assert "&lt;b&gt;evil&lt;/b&gt;.com" in text

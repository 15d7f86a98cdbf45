"""The service answers as its description says."""

import io
import re
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.journey.running import Client, Service, client_of

ROOT = "urn:kitty-images"


class Description:
    """The document of a running service, and what it lets through."""

    def __init__(self, client: Client, document: dict[str, Any]) -> None:
        self._client = client
        self.document = document
        whole = Resource(contents={**document, "$id": ROOT}, specification=DRAFT202012)
        self._registry = Registry().with_resource(ROOT, whole)

    def faults(self, schema: dict[str, Any], instance: object) -> list[str]:
        """Say what is wrong with a document by one of the description's schemas."""
        absolute = _absolute(schema)
        validator = OAS31Validator(absolute, registry=self._registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(instance)]

    async def call(
        self,
        method: str,
        template: str,
        status: int,
        /,
        path: str = "",
        **how: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401
        """Make a call; fail unless the answer has this status and is as described."""
        async with self._client.session.request(method, path or template, **how) as answer:
            raw = await answer.read()
            assert answer.status == status, (method, template, raw)
            responses = self.document["paths"][template][method.lower()]["responses"]
            assert str(status) in responses, (method, template, status, raw)
            content = responses[str(status)].get("content", {})
            if not content:
                return raw
            assert answer.content_type in content
            schema = content[answer.content_type].get("schema")
            if schema is None:
                return raw
            body = await answer.json(content_type=None)
            assert self.faults(schema, body) == [], (method, template)
            return body


def _absolute(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Point references at the whole document."""
    match schema:
        case dict():
            return {
                name: f"{ROOT}{value}" if name == "$ref" else _absolute(value)
                for name, value in schema.items()
            }
        case list():
            return [_absolute(part) for part in schema]
        case _:
            return schema


@pytest.fixture
async def described(client: Client) -> Description:
    status, document = await client.json("GET", "/openapi.json")
    assert status == 200
    return Description(client, document)


async def test_every_example_is_a_good_request(described: Description) -> None:
    seen = 0
    for methods in described.document["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "example" in content:
                    assert described.faults(content["schema"], content["example"]) == []
                    seen += 1
    assert seen == 4


async def test_a_job_s_whole_life_is_as_described(client: Client, described: Description) -> None:
    call = described.call
    await call("POST", "/api/images/queue/{verb}", 200, "/api/images/queue/pause")
    wish = {"prompt": "a card", "width": 64, "height": 64, "loras": [{"name": "x"}], "odd": 1}
    wish |= {"hires": {"scale": 1.5}, "tags": ["t"], "refiner": "test-card", "steps": 2}
    job_id = (await call("POST", "/api/images/generate", 202, json=wish))["job_id"]
    one, here = "/api/images/jobs/{job_id}", f"/api/images/jobs/{job_id}"
    assert (await call("GET", one, 200, here))["spec"]["loras"] == [{"name": "x", "weight": 1.0}]
    for verb in ("pause", "resume"):
        await call("POST", f"{one}/{verb}", 200, f"{here}/{verb}")
    await call("DELETE", one, 200, here)
    assert (await call("GET", one, 200, here))["state"] == "cancelled"
    await call("POST", f"{one}/retry", 202, f"{here}/retry")
    await call("POST", "/api/images/queue/{verb}", 200, "/api/images/queue/resume")
    done = await client.ended(job_id)
    assert done["artifacts"]
    assert (await call("GET", one, 200, here))["state"] == "succeeded"
    await call("POST", f"{one}/retry", 409, f"{here}/retry")
    failed = await client.draw("[fail bad_picture]")
    assert (await call("GET", one, 200, f"/api/images/jobs/{failed['job_id']}"))["error_code"]
    page = await call("GET", "/api/images/jobs", 200, "/api/images/jobs?limit=1")
    assert len(page["items"]) == 1
    await call("GET", f"{one}/events", 200, f"{here}/events")


async def test_pictures_are_as_described(client: Client, described: Description) -> None:
    call, key = described.call, (await client.draw())["artifacts"][0]["key"]
    assert (await call("GET", "/api/images/latest", 200))["items"][0]["key"] == key
    await call("POST", "/api/images/select", 200, json={"key": key})
    file = "/api/images/file/{key}", f"/api/images/file/{key}"
    png = await call("GET", file[0], 200, file[1])
    assert await call("GET", file[0], 206, file[1], headers={"Range": "bytes=0-9"}) == png[:10]
    await call("GET", file[0], 416, file[1], headers={"Range": "bytes=9999999-"})
    await call("GET", file[0], 304, file[1], headers={"If-None-Match": "*"})
    await call("GET", "/api/images/thumb/{key}", 200, f"/api/images/thumb/{key}")


async def test_the_rest_is_as_described(described: Description) -> None:
    call = described.call
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/api/gpu"):
        await call("GET", path, 200)
    for name in ("models", "engines", "stats"):
        assert await call("GET", f"/api/images/{name}", 200)
    wish = {"class": "llm", "holder": "a test"}
    lease = await call("POST", "/api/gpu/leases", 201, json=wish)
    assert (await call("GET", "/api/gpu", 200))["items"][0]["holders"][0]["class"] == "llm"
    busy = {"class": "images", "holder": "another", "wait_seconds": 0}
    await call("POST", "/api/gpu/leases", 409, json=busy)
    one, here = "/api/gpu/leases/{id}", f"/api/gpu/leases/{lease['id']}"
    await call("PUT", one, 200, here, json={"token": lease["token"]})
    await call("DELETE", one, 422, here)
    await call("DELETE", one, 204, f"{here}?token={lease['token']}")
    await call("DELETE", one, 409, f"{here}?token={lease['token']}")


async def test_refusals_are_as_described(described: Description) -> None:
    call, generate = described.call, "/api/images/generate"
    refused: list[tuple[int, str, dict[str, Any]]] = [
        (400, "invalid_json", {"data": b"{"}),
        (422, "invalid_request", {"json": {}}),
        (422, "model_not_found", {"json": {"prompt": "p", "model": "none"}}),
        (413, "body_too_large", {"data": io.BytesIO(b" " * 9_000_000)}),
        (403, "cross_origin", {"json": {}, "headers": {"Origin": "http://evil.example"}}),
        (403, "unknown_host", {"json": {}, "headers": {"Host": "evil.example"}}),
        (400, "invalid_request", {"json": {"prompt": "p"}, "headers": {"X-Client": "c" * 300}}),
    ]
    for status, code, how in refused:
        assert (await call("POST", generate, status, **how))["code"] == code
    for path in ("jobs?state=sleepy", "jobs?cursor=x", "latest?limit=0", "latest?cursor=Z"):
        problem = await call("GET", f"/api/images/{path.split('?')[0]}", 422, f"/api/images/{path}")
        assert problem["field"] == re.split(r"[?=]", path)[1]
    await call("GET", "/api/images/jobs/{job_id}", 404, "/api/images/jobs/none")
    await call("GET", "/api/images/file/{key}", 400, "/api/images/file/none")
    await call("GET", "/api/images/ws", 400)
    await call("GET", "/llm/{server}/{path}", 404, "/llm/none/v1/models")


class Page(HTMLParser):
    """What a page shows, and what it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.codes: list[str] = []
        self._code = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code = tag == "code"
        self.fetched += [value or "" for name, value in attrs if name == "src"]
        if tag in ("link", "script"):
            self.fetched.append(tag)

    def handle_data(self, data: str) -> None:
        if self._code:
            self.codes.append(data)


async def test_the_page_shows_every_call_and_fetches_nothing(
    client: Client, described: Description
) -> None:
    async with client.session.get("/docs") as answer:
        text = await answer.text()
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    page = Page()
    page.feed(text)
    assert page.fetched == []
    assert set(described.document["paths"]) <= set(page.codes)
    assert {"negative_prompt", "Idempotency-Key", "queue_full", "poison_job"} <= set(page.codes)
    assert "curl -s" in text


async def test_the_address_of_the_page_is_text_on_it(tmp_path: Path) -> None:
    async with (
        Service(tmp_path) as service,
        client_of(service, Host="<b>studio") as client,
        client.session.get("/docs") as answer,
    ):
        assert "<b>studio" not in await answer.text()


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Service]:
    async with Service(tmp_path, API_TOKEN="secret") as service:
        yield service


async def test_a_token_opens_the_description(guarded: Service) -> None:
    async with client_of(guarded) as stranger:
        for path in ("/openapi.json", "/docs"):
            assert (await stranger.json("GET", path))[0] == 401
    async with client_of(guarded, Authorization="Bearer secret") as friend:
        status, document = await friend.json("GET", "/openapi.json")
        assert (status, document["security"]) == (200, [{"token": []}, {"cookie": []}])

"""Whatever comes in: a clear answer that names the field, and nothing stored."""

import asyncio
import io
from pathlib import Path

import pytest
from yarl import URL

from tests.journey.running import Client, Service, client_of

GOOD = {"prompt": "a card"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": "   "}, "prompt"),
        ({"prompt": 5}, "prompt"),
        ({"prompt": "p" * 9000}, "prompt"),
        ({"width": 0}, "width"),
        ({"height": 100_000}, "height"),
        ({"width": "wide"}, "width"),
        ({"width": 512.5}, "width"),
        ({"steps": 0}, "steps"),
        ({"steps": 10**9}, "steps"),
        ({"cfg": -1}, "cfg"),
        ({"cfg": 1e308}, "cfg"),
        ({"seed": 2**32}, "seed"),
        ({"seed": -2}, "seed"),
        ({"count": 1000}, "count"),
        ({"lane": "fast"}, "lane"),
        ({"priority": 10**6}, "priority"),
        ({"model": "no such model"}, "model"),
        ({"engine": "no such engine"}, "engine"),
        ({"strength": 2}, "strength"),
        ({"tags": "x"}, "tags"),
        ({"init_image": "http://169.254.169.254/latest"}, "init_image"),
        ({"init_image": "aGVsbG8="}, "init_image"),
        ({"init_image": "images/../../etc/passwd.png"}, "init_image"),
        ({"hires": {"scale": 99}}, "hires.scale"),
        ({"controls": [{"model": "c"}]}, "controls.0.image"),
    ],
)
async def test_a_wrong_field_is_named(client: Client, body: dict[str, object], field: str) -> None:
    status, problem = await client.json(
        "POST", "/api/images/generate", json=GOOD | body if body else body
    )
    assert 400 <= status < 500
    assert problem["code"]
    assert problem["status"] == status
    assert problem.get("field", "") == field
    assert (await client.json("GET", "/api/images/jobs"))[1]["items"] == []


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b'{"prompt": "p", "cfg": NaN}', 400, "invalid_json"),
        (b"[1, 2]", 422, "invalid_request"),
        (b'"prompt"', 422, "invalid_request"),
        (b'{"prompt": "' + b"p" * 10_000_000 + b'"}', 413, "body_too_large"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"),
    ],
)
async def test_a_body_that_is_no_request_is_refused(
    client: Client, raw: bytes, status: int, code: str
) -> None:
    answer = await client.json("POST", "/api/images/generate", data=io.BytesIO(raw))
    assert (answer[0], answer[1]["code"]) == (status, code)


@pytest.mark.parametrize("raw", [b"[1, 2]", b"null", b'"prompt"'])
@pytest.mark.parametrize("path", ["generate", "select"])
async def test_what_is_no_object_is_told_in_json_s_words(
    client: Client, path: str, raw: bytes
) -> None:
    _, problem = await client.json("POST", f"/api/images/{path}", data=io.BytesIO(raw))
    assert problem["detail"] == "the body is to be a JSON object"
    assert problem["title"] == "Cannot be done as asked"


@pytest.mark.parametrize(
    "key",
    [
        "../../kitty.sqlite3",
        "images/../kitty.sqlite3",
        "images/%2e%2e/%2e%2e/kitty.sqlite3",
        "images/..%2f..%2fkitty.sqlite3",
        "/etc/passwd",
        "other/20260101_000000_00000000.png",
        "images/20260101_000000_00000000.exe",
        "images/20260101_000000_00000000.png\x00.json",
        "images/20260101_000000_00000000.png",
        "",
    ],
)
async def test_a_key_that_is_not_ours_opens_nothing(client: Client, key: str) -> None:
    status, problem = await client.json("POST", "/api/images/select", json={"object_key": key})
    assert 400 <= status < 500
    assert problem["code"]
    async with client.session.get(f"/api/images/file/{key}") as answer:
        assert 400 <= answer.status < 500


@pytest.mark.parametrize(
    "path",
    [
        "/api/images/latest?limit=0",
        "/api/images/latest?limit=ten",
        "/api/images/latest?limit=100000",
        "/api/images/latest?cursor=%00",
        "/api/images/jobs?cursor=x",
        "/api/images/jobs?state=sleepy",
        "/api/images/jobs/unknown",
        "/api/images/ws?since=x",
        "/api/images/jobs?cursor=" + "9" * 20,
        "/api/images/jobs?cursor=" + "9" * 5000,
        "/api/images/latest?limit=" + "9" * 5000,
        "/api/images/ws?since=" + "9" * 5000,
        "/vision?cursor=oldest",
        "/no/such/path",
    ],
)
async def test_a_wrong_question_is_answered_kindly(client: Client, path: str) -> None:
    status, problem = await client.json("GET", path)
    assert 400 <= status < 500
    assert problem["code"]


@pytest.mark.parametrize("query", ['"', "a AND", "NEAR(", "*", "'; DROP TABLE pictures; --", "ü"])
async def test_no_search_is_a_syntax_error(client: Client, query: str) -> None:
    status, _ = await client.json("GET", "/api/images/latest", params={"q": query})
    assert status == 200


async def test_a_prompt_is_text_on_the_page(client: Client) -> None:
    await client.draw("<script>alert(1)</script>")
    async with client.session.get("/vision") as answer:
        page = await answer.text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_a_token_is_asked_for_everywhere_but_at_the_door(tmp_path: Path) -> None:
    async with Service(tmp_path, API_TOKEN="secret") as service:
        async with client_of(service) as stranger:
            for path in ("/api/images/latest", "/vision", "/metrics", "/api/images/ws"):
                status, problem = await stranger.json("GET", path)
                assert (status, problem["code"]) == (401, "unauthorised")
            for path in ("/", "/healthz", "/readyz"):
                assert (await stranger.json("GET", path))[0] == 200
        async with client_of(service, Authorization="Bearer secret") as friend:
            assert (await friend.draw())["state"] == "succeeded"
        async with client_of(service, Authorization="Bearer secrets") as guesser:
            assert (await guesser.json("GET", "/api/images/latest"))[0] == 401
        await service.end()
    assert b"secret" not in service.log


async def test_a_token_is_not_asked_of_open_networks(tmp_path: Path) -> None:
    settings = {"API_TOKEN": "secret", "OPEN_NETWORKS": "127.0.0.0/8"}
    async with Service(tmp_path, **settings) as service, client_of(service) as near:
        assert (await near.json("GET", "/api/images/latest"))[0] == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"X-Client: \xff\xfe", 400),
        (b"Idempotency-Key: \xff\xfe", 400),
        (b"Idempotency-Key: " + b"k" * 300, 400),
        (b"Content-Encoding: gzip", 400),
        (b"Origin: http://[", 403),
        (b"Origin: http://\xff.example", 403),
        (b"Host: evil.example", 403),
        (b"Host: \xff.example", 403),
        (b"Host: evil.example:8089", 403),
        (b"Host: 192.168.1.5:8089", 202),
        (b"Host: [::1]:8089", 202),
        (b"Host: host.docker.internal:8089", 202),
        (b"Host: studio", 202),
    ],
)
async def test_a_strange_header_is_refused_and_a_good_one_is_not(
    service: Service, header: bytes, status: int
) -> None:
    address, body = URL(service.url), b'{"prompt": "a card", "width": 64, "height": 64}'
    reader, writer = await asyncio.open_connection(address.host, address.port)
    host = b"" if header.startswith(b"Host") else b"Host: localhost\r\n"
    writer.write(
        b"POST /api/images/generate HTTP/1.1\r\nConnection: close\r\n" + host + header
        + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip
    answer = await reader.read()
    writer.close()
    assert int(answer.split()[1]) == status, answer


async def test_public_names_are_ours_only_if_they_are_set(tmp_path: Path) -> None:
    settings = {"PUBLIC_URL": "https://kitty.example", "API_TOKEN": "secret"}
    async with Service(tmp_path, **settings, OPEN_NETWORKS="127.0.0.0/8") as service:
        async with client_of(service, Host="kitty.example") as friend:
            assert (await friend.json("GET", "/api/images/latest"))[0] == 200
        async with client_of(service, Host="evil.example") as stranger:
            status, problem = await stranger.json("GET", "/api/images/latest")
            assert (status, problem["code"]) == (403, "unknown_host")
            assert (await stranger.json("GET", "/healthz"))[0] == 200


async def test_another_site_s_page_cannot_draw(client: Client) -> None:
    headers = {"Origin": "http://evil.example"}
    status, problem = await client.json("POST", "/api/images/generate", json=GOOD, headers=headers)
    assert (status, problem["code"]) == (403, "cross_origin")

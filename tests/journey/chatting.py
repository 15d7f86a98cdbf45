"""Chats through the proxy, and what can be seen of pictures meanwhile."""

import re
from io import BytesIO
from typing import Any

import aiohttp
from PIL import Image

from tests.journey.running import Client, told

CHAT = "/v1/chat/completions"

ASK = {
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
    "temperature": 0,
    "cache_prompt": False,
    "ignore_eos": True,
}

_PER_CALL = re.compile(rb'"id":"[^"]*"|"created":\d+|,"timings":\{[^}]*\}')


async def chat(session: aiohttp.ClientSession, url: str, **more: object) -> bytes:
    """Return the bytes of one streamed reply."""
    async with session.post(url + CHAT, json=ASK | {"max_tokens": 200} | more) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"] == "text/event-stream"
        return await answer.read()


def same_for_every_call(reply: bytes) -> bytes:
    """Return a reply without what llama.cpp makes up anew for each."""
    return _PER_CALL.sub(b"", reply)


async def pixels(client: Client, job: dict[str, Any]) -> list[bytes]:
    """Return what can be seen of a job's pictures."""
    assert job["state"] == "succeeded", job
    seen = []
    for artifact in job["artifacts"]:
        async with client.session.get(f"/kitty-artifacts/{artifact['key']}") as answer:
            assert answer.status == 200
            seen.append(Image.open(BytesIO(await answer.read())).tobytes())
    return seen


async def phases(client: Client, job_id: str) -> list[str]:
    """Return the phases that a job went through until it ended, repeats left out."""
    passed: list[str] = []
    path = f"/api/images/ws?job_id={job_id}&since=0"
    async with client.session.ws_connect(path) as news:
        while not passed or passed[-1] not in ("done", "ended"):
            message = await told(news)
            phase = message.get("job", {}).get("phase")
            if phase and phase not in passed[-1:]:
                passed.append(phase)
    return passed


async def holding(client: Client) -> list[str]:
    _, gpus = await client.json("GET", "/api/gpu")
    return [holder["holder"] for holder in gpus["items"][0]["holders"]]

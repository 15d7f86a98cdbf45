"""Chats with a real llama.cpp while pictures are drawn, through kills on every side."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.contract.llama import Llama
from tests.journey.chatting import ASK, CHAT, chat, holding, phases, pixels, same_for_every_call
from tests.journey.running import Client, Service, client_of, told

Start = Callable[..., Awaitable[Client]]

_CLIENT = """
import json, sys, urllib.request
kind = {"Content-Type": "application/json"}
call = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), kind)
with urllib.request.urlopen(call) as answer:
    print(answer.readline().decode()[:5], flush=True)
    sys.stdin.read()
"""


@pytest.fixture
async def llama(tmp_path: Path) -> AsyncIterator[Llama]:
    async with Llama(tmp_path) as server:
        yield server


@pytest.fixture
async def start(tmp_path: Path, llama: Llama) -> AsyncIterator[Start]:
    """Start a service in front of that llama.cpp, and return a client of it."""
    async with AsyncExitStack() as stack:

        async def started(**settings: str) -> Client:
            settings = {"LLAMA_SERVERS": f"q4={llama.url}", "FAKE_STEP_SECONDS": "0.02", **settings}
            service = await stack.enter_async_context(Service(tmp_path / "data", **settings))
            return await stack.enter_async_context(client_of(service))

        yield started


@pytest.mark.parametrize(
    ("engine", "memory"), [("fake", "keep"), ("diffusers", "keep"), ("diffusers", "always")]
)
async def test_streams_and_pictures_are_the_same_with_and_without_each_other(
    engine: str, memory: str, start: Start, llama: Llama
) -> None:
    client = await start(IMAGE_ENGINE=engine, GPU_MEMORY_POLICY=memory)
    picture = {
        "steps": 12,
        "seed": 7,
        "count": 2,
        "reproducible": True,
        "width": 128,
        "height": 128,
    }
    alone = await pixels(client, await client.draw(**picture))
    async with aiohttp.ClientSession() as direct:
        expected = same_for_every_call(await chat(direct, llama.url))
    job_id = (await client.submit(**picture))["job_id"]
    await client.drawing(job_id)

    async def talk() -> None:
        for _ in range(4):
            assert same_for_every_call(await chat(client.session, "/llm/q4")) == expected
            await asyncio.sleep(0.05)

    passed, *_ = await asyncio.gather(phases(client, job_id), *(talk() for _ in range(3)))
    assert "parked" in passed
    assert await pixels(client, await client.ended(job_id)) == alone
    _, gpus = await client.json("GET", "/api/gpu")
    [gpu] = gpus["items"]
    assert (gpu["holders"], gpu["waiters"], gpu["gate"]) == ([], [], "open")
    assert gpu["last_hour"]["llm"] > 0
    assert gpu["last_hour"]["images"] > 0


async def test_the_lease_lasts_exactly_as_long_as_the_reply(start: Start) -> None:
    client = await start()
    async with client.session.post(
        f"/llm/q4{CHAT}", json=ASK | {"max_tokens": 1500}, headers={"X-Client": "kitty"}
    ) as answer:
        await answer.content.readline()
        assert await holding(client) == ["q4 for kitty"]
        await answer.read()
    assert await holding(client) == []


@pytest.mark.parametrize("path", ["/health", "/props", "/v1/models"])
async def test_what_only_reads_needs_no_lease(path: str, start: Start, llama: Llama) -> None:
    client = await start()
    status, lease = await client.json(
        "POST", "/api/gpu/leases", json={"class": "images", "holder": "a renderer"}
    )
    assert status == 201, lease
    async with client.session.get(f"/llm/q4{path}") as answer, aiohttp.ClientSession() as direct:
        assert answer.status == 200
        async with direct.get(llama.url + path) as expected:
            if path != "/v1/models":
                assert await answer.read() == await expected.read()


async def test_a_killed_chat_client_gives_the_gpu_back(start: Start) -> None:
    client = await start()
    job_id = (await client.submit(steps=100))["job_id"]
    await client.drawing(job_id)
    ask = json.dumps(ASK | {"max_tokens": 8000})
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CLIENT, f"{client.session._base_url}/llm/q4{CHAT}", ask,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"data:\n"
    assert await holding(client) != []
    killed.kill()
    await killed.wait()
    assert (await client.ended(job_id))["state"] == "succeeded"
    assert await holding(client) == []


async def test_no_reply_goes_on_when_its_reader_has_left(start: Start) -> None:
    client = await start()
    going_on = {"X-Conversation-Id": "a"}  # so says llama.cpp's own page, which may come back
    ask = ASK | {"max_tokens": 8000}
    async with client.session.post(f"/llm/q4{CHAT}", json=ask, headers=going_on) as answer:
        await answer.content.readline()
        lookup = {"conversation_ids": ["a"]}
        _, found = await client.json("POST", "/llm/q4/v1/streams/lookup", json=lookup)
        assert found == []


async def test_a_killed_llama_breaks_the_reply_and_gives_the_gpu_back(
    start: Start, llama: Llama
) -> None:
    client = await start()
    job_id = (await client.submit(steps=100))["job_id"]
    await client.drawing(job_id)
    async with client.session.post(f"/llm/q4{CHAT}", json=ASK | {"max_tokens": 8000}) as answer:
        assert (await answer.content.readline()).startswith(b"data:")
        await llama.kill()
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    assert (await client.ended(job_id))["state"] == "succeeded"
    status, problem = await client.json("POST", f"/llm/q4{CHAT}", json=ASK)
    assert (status, problem["code"]) == (502, "llm_down")
    assert await holding(client) == []
    await llama.start(port=int(llama.url.rsplit(":", 1)[1]))
    assert (await chat(client.session, "/llm/q4")).endswith(b"data: [DONE]\n\n")


JOB_ENGINE = """
[[engines]]
name = "whole"
kind = "fake"
preemption = "job"
step_seconds = 0.05
"""


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, str]:
    """Settings of an engine whose pictures cannot be parked, and of little patience."""
    config = tmp_path / "config.toml"
    config.write_text(JOB_ENGINE)
    return {"CONFIG_FILE": str(config), "IMAGE_ENGINE": "whole", "LLM_PATIENCE_SECONDS": "0.1"}


async def test_a_whole_picture_is_waited_for(start: Start, whole: dict[str, str]) -> None:
    client = await start(LLM_POLICY="wait", **whole)
    job_id = (await client.submit(steps=20))["job_id"]
    await client.drawing(job_id)
    ended = asyncio.create_task(client.ended(job_id))
    await chat(client.session, "/llm/q4")
    job = await client.job(job_id)
    assert job["progress"] == 1.0, "the chat came second"
    assert (await ended)["state"] == "succeeded"
    assert job["attempts"] == 0


async def test_a_whole_picture_is_interrupted_and_drawn_again(
    start: Start, whole: dict[str, str]
) -> None:
    client = await start(LLM_POLICY="interrupt", **whole)
    alone = await pixels(client, await client.draw(steps=20, seed=7))
    job_id = (await client.submit(steps=20, seed=7))["job_id"]
    path = f"/api/images/ws?job_id={job_id}&since=0"
    async with client.session.ws_connect(path) as news:
        seen: list[dict[str, Any]] = []

        async def until(reached: Callable[[dict[str, Any]], bool]) -> None:
            while not seen or not reached(seen[-1]):
                if job := (await told(news)).get("job"):
                    seen.append(job)

        await until(lambda job: job["step"] > 0)
        await chat(client.session, "/llm/q4")
        await until(lambda job: job["state"] == "succeeded")
    assert ("queued", "gpu_taken") in [(job["state"], job["error_code"]) for job in seen]
    job = await client.job(job_id)
    assert job["attempts"] == 0
    assert await pixels(client, job) == alone


async def test_only_configured_servers_can_be_reached(start: Start) -> None:
    client = await start()
    for path in ("/llm/other/health", "/llm/127.0.0.1:1/health", "/llm/q4/..%2f..%2fhealth"):
        status, problem = await client.json("GET", path)
        assert (status, problem["status"]) == (404, 404), path

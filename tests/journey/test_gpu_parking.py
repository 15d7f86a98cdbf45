"""What a job shows of being parked, and what is learned from it: nothing."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.journey.running import Client, Service, client_of

LEASES = "/api/gpu/leases"


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Client]:
    """A service with a step engine and one that cannot be parked."""
    config = tmp_path / "config.toml"
    config.write_text(
        '[[engines]]\nname = "whole"\nkind = "fake"\npreemption = "job"\nstep_seconds = 0.01\n'
    )
    settings = {"CONFIG_FILE": str(config), "FAKE_STEP_SECONDS": "0.01"}
    async with Service(tmp_path / "data", **settings) as service, client_of(service) as client:
        yield client


async def chat(client: Client) -> dict[str, Any]:
    body = {"class": "llm", "holder": "a chat", "ttl_seconds": 600}
    status, held = await client.json("POST", LEASES, json=body)
    assert status == 201
    found: dict[str, Any] = held
    return found


async def end(client: Client, held: dict[str, Any]) -> None:
    path, params = f"{LEASES}/{held['id']}", {"token": held["token"]}
    async with client.session.delete(path, params=params) as answer:
        assert answer.status == 204


async def phase(client: Client, job_id: str, wanted: str) -> None:
    """Wait until a job is in a phase."""
    async with client.session.ws_connect(f"/api/images/ws?job_id={job_id}&since=0") as news:
        found = ""
        while found != wanted:
            found = (await news.receive_json()).get("job", {}).get("phase", found)


async def test_parked_time_is_shown_and_not_learned(start: Client) -> None:
    client = start
    for _ in range(3):
        await client.draw(steps=20)
    job_id = (await client.submit(steps=20))["job_id"]
    await phase(client, job_id, "drawing")
    held = await chat(client)
    await phase(client, job_id, "parked")
    _, gpus = await client.json("GET", "/api/gpu")
    [parked] = gpus["items"][0]["parked"]
    assert parked["job_id"] == job_id
    while parked["seconds"] < 1.5:
        _, gpus = await client.json("GET", "/api/gpu")
        [parked] = gpus["items"][0]["parked"]
    await end(client, held)
    assert (await client.ended(job_id))["state"] == "succeeded"
    eta = (await client.submit(steps=20))["eta"]
    assert eta["p90_seconds"] < 1.5


async def test_what_cannot_be_parked_is_not_begun_while_a_chat_has_the_gpu(start: Client) -> None:
    client = start
    held = await chat(client)
    job_id = (await client.submit(steps=5, engine="whole"))["job_id"]
    other = (await client.submit(steps=5))["job_id"]
    await phase(client, other, "parked")
    assert (await client.job(job_id))["state"] == "queued"
    await end(client, held)
    for one in (job_id, other):
        assert (await client.ended(one))["state"] == "succeeded"

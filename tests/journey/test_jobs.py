"""The life of jobs as clients steer it: cancel, retry, pause, repeat, refuse."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.journey.running import Client, Service, client_of


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Client]:
    """A service whose engine takes its time."""
    settings = {"FAKE_STEP_SECONDS": "0.02", "QUEUE_MAX": "3"}
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        yield client


async def test_a_running_job_is_cancelled_and_again_is_fine(slow: Client) -> None:
    job_id = (await slow.submit(steps=200))["job_id"]
    await slow.until(job_id, "running")
    for _ in range(2):
        status, job = await slow.json("DELETE", f"/api/images/jobs/{job_id}")
        assert (status, job["state"], job["status"]) == (200, "cancelled", "error")
        assert (job["error"], job["error_code"]) == ("cancelled by user", "cancelled")
    _, latest = await slow.json("GET", "/api/images/latest")
    assert latest["items"] == []


async def test_a_queued_job_is_cancelled_and_can_be_retried(slow: Client) -> None:
    await slow.json("POST", "/api/images/queue/pause")
    job_id = (await slow.submit())["job_id"]
    assert (await slow.json("DELETE", f"/api/images/jobs/{job_id}"))[1]["state"] == "cancelled"
    status, job = await slow.json("POST", f"/api/images/jobs/{job_id}/retry")
    assert (status, job["state"]) == (202, "queued")
    await slow.json("POST", "/api/images/queue/resume")
    assert (await slow.ended(job_id))["state"] == "succeeded"
    status, problem = await slow.json("POST", f"/api/images/jobs/{job_id}/retry")
    assert (status, problem["code"]) == (409, "illegal_transition")


async def test_one_job_is_paused_while_another_goes_on(slow: Client) -> None:
    held = (await slow.submit(steps=100))["job_id"]
    await slow.until(held, "running")
    status, job = await slow.json("POST", f"/api/images/jobs/{held}/pause")
    assert (status, job["phase"]) == (200, "paused")
    assert (await slow.draw(steps=2))["state"] == "succeeded"
    assert (await slow.job(held))["state"] == "running"
    await slow.json("POST", f"/api/images/jobs/{held}/resume")
    assert (await slow.ended(held))["state"] == "succeeded"


async def test_a_full_queue_says_when_to_come_back(slow: Client) -> None:
    await slow.json("POST", "/api/images/queue/pause")
    for _ in range(3):
        await slow.submit()
    async with slow.session.post("/api/images/generate", json={"prompt": "p"}) as answer:
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
        assert (await answer.json(content_type=None))["code"] == "queue_full"


async def test_the_same_key_gives_the_same_job(client: Client) -> None:
    async def post(prompt: str, key: str) -> tuple[int, dict[str, str]]:
        body = {"prompt": prompt, "width": 64, "height": 64}
        return await client.json(
            "POST", "/api/images/generate", json=body, headers={"Idempotency-Key": key}
        )

    answers = await asyncio.gather(*(post("a", "k1") for _ in range(8)))
    assert len({answer["job_id"] for _, answer in answers}) == 1
    status, problem = await post("b", "k1")
    assert (status, problem["code"]) == (409, "idempotency_conflict")
    assert (await post("b", "k2"))[0] == 202


@pytest.mark.parametrize(
    ("code", "attempts"),
    [
        ("invalid_spec", 1),
        ("model_not_found", 1),
        ("out_of_memory", 1),
        ("bad_picture", 3),
        ("engine_timeout", 3),
        ("bug", 1),
    ],
)
async def test_every_failure_has_its_code(client: Client, code: str, attempts: int) -> None:
    job = await client.draw(f"[fail {code}]")
    assert (job["state"], job["status"]) == ("failed", "error")
    assert job["error_code"] == ("internal" if code == "bug" else code)
    assert job["attempts"] == attempts
    assert (await client.draw())["state"] == "succeeded"


async def test_a_lost_engine_is_tried_again(client: Client) -> None:
    job = await client.draw("[fail engine_down once]")
    assert (job["state"], job["attempts"]) == ("succeeded", 1)


async def test_a_prompt_that_never_ends_can_be_cancelled(client: Client) -> None:
    job_id = (await client.submit("[fail hang]"))["job_id"]
    await client.until(job_id, "running")
    assert (await client.json("DELETE", f"/api/images/jobs/{job_id}"))[1]["state"] == "cancelled"


async def test_the_list_pages_and_survives_a_restart(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        made = [(await client.draw(f"card {n}"))["job_id"] for n in range(5)]
        assert await service.end() == 0
    async with Service(tmp_path) as service, client_of(service) as client:
        _, first = await client.json("GET", "/api/images/jobs?limit=3")
        _, rest = await client.json(
            "GET", f"/api/images/jobs?limit=3&cursor={first['next_cursor']}"
        )
        assert [j["job_id"] for j in first["items"] + rest["items"]] == made[::-1]
        _, none = await client.json("GET", "/api/images/jobs?state=failed")
        assert none["items"] == []
        assert (await client.job(made[0]))["state"] == "succeeded"

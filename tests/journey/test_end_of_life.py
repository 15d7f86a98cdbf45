"""How the service ends and comes back: politely, in a hurry, and by a kill at any moment."""

import asyncio
import json
import os
import random
import signal
from pathlib import Path

import aiohttp
import pytest

from scheduler.outcome import MAX_CRASHES
from tests.journey.running import Client, Service, client_of

KILLS = 30
JOBS = 200


async def test_sigterm_sends_the_running_job_back_and_keeps_the_queue(tmp_path: Path) -> None:
    settings = {"FAKE_STEP_SECONDS": "0.05", "SHUTDOWN_GRACE_SECONDS": "0.1"}
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        running = (await client.submit(steps=100))["job_id"]
        await client.until(running, "running")
        await client.json("POST", "/api/images/queue/pause")
        waiting = (await client.submit())["job_id"]
        async with client.session.ws_connect("/api/images/ws") as news:
            await news.receive_json()
            ending = asyncio.create_task(service.end())
            async for message in news:
                assert message.type is aiohttp.WSMsgType.TEXT
            assert news.close_code == aiohttp.WSCloseCode.GOING_AWAY
            assert await ending == 0
    async with Service(tmp_path) as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/resume")
        for job_id in (running, waiting):
            job = await client.ended(job_id)
            assert (job["state"], job["attempts"]) == ("succeeded", 0)


async def test_a_second_service_does_not_touch_the_jobs_of_the_first(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        job_id = (await client.submit("[fail hang]"))["job_id"]
        await client.until(job_id, "running")
        second = Service(tmp_path)
        with pytest.raises(AssertionError, match="DATA_DIR: another kitty-images uses"):
            await second.start()
        assert await second.end() == 2
        assert (await client.job(job_id))["state"] == "running"


async def test_a_short_job_may_finish_within_the_grace(tmp_path: Path) -> None:
    settings = {"FAKE_STEP_SECONDS": "0.02", "SHUTDOWN_GRACE_SECONDS": "30"}
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        job_id = (await client.submit(steps=20))["job_id"]
        await client.until(job_id, "running")
        assert await service.end() == 0
    async with Service(tmp_path) as service, client_of(service) as client:
        assert (await client.job(job_id))["state"] == "succeeded"


async def test_a_second_sigterm_hurries(tmp_path: Path) -> None:
    settings = {"SHUTDOWN_GRACE_SECONDS": "3600"}
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        job_id = (await client.submit("[fail hang]"))["job_id"]
        await client.until(job_id, "running")
        assert service.process is not None
        async with client.session.ws_connect("/api/images/ws") as news:
            await news.receive_json()
            service.process.send_signal(signal.SIGTERM)
            async for _ in news:
                pass
        assert await service.end() == 0


async def test_a_stop_that_is_cut_short_makes_no_job_a_suspect(tmp_path: Path) -> None:
    settings = {"SHUTDOWN_GRACE_SECONDS": "3600"}
    job_id = ""
    for _ in range(4):
        async with Service(tmp_path, **settings) as service, client_of(service) as client:
            job_id = job_id or (await client.submit("[fail hang]"))["job_id"]
            await client.until(job_id, "running")
            async with client.session.ws_connect("/api/images/ws") as news:
                await news.receive_json()
                os.kill(service.pid, signal.SIGTERM)
                async for _ in news:
                    pass
            await service.end(signal.SIGKILL)


async def test_a_job_that_kills_the_service_again_and_again_is_ended(tmp_path: Path) -> None:
    job_id, job = "", {"state": "queued"}
    for _ in range(MAX_CRASHES + 1):
        async with Service(tmp_path) as service, client_of(service) as client:
            job_id = job_id or (await client.submit("[fail hang]"))["job_id"]
            job = await client.until(job_id, "running", "failed")
            if job["state"] == "failed":
                assert (await client.draw())["state"] == "succeeded"
                break
            # It is answered from the disk, and so is the start of the job, which came before.
            await client.json("POST", "/api/images/queue/resume")
            await service.end(signal.SIGKILL)
    assert job["error_code"] == "poison_job"


async def _submit_until_killed(client: Client, wanted: int, accepted: list[str]) -> None:
    """Submit jobs, some with several pictures; those that were answered count as accepted."""
    while len(accepted) < wanted:
        body = {"prompt": f"card {len(accepted)}", "width": 64, "height": 64, "steps": 4}
        try:
            status, answer = await client.json(
                "POST", "/api/images/generate", json=body | {"count": 1 + len(accepted) % 3}
            )
        except (aiohttp.ClientError, ConnectionError):
            return
        if status == 202:
            accepted.append(answer["job_id"])


@pytest.mark.timeout(300)
async def test_kill_9_at_any_moment_loses_no_accepted_job_and_stores_none_twice(
    tmp_path: Path,
) -> None:
    chance, accepted = random.Random(20260101), []  # noqa: S311 - not a secret
    settings = {"FAKE_STEP_SECONDS": "0.004"}
    for kill in range(KILLS):
        service = Service(tmp_path, **settings)
        await service.start()
        async with client_of(service) as client:
            wanted = min(JOBS, (kill + 1) * JOBS // KILLS + 7)
            submitting = asyncio.create_task(_submit_until_killed(client, wanted, accepted))
            await asyncio.wait([submitting], timeout=chance.uniform(0, 0.5))
            await service.end(signal.SIGKILL)
            await submitting
    async with Service(tmp_path) as service, client_of(service) as client:
        await _submit_until_killed(client, JOBS, accepted)
        _, listed = await client.json("GET", "/api/images/jobs?limit=1000")
        jobs = [await client.ended(job["job_id"]) for job in listed["items"]]
    assert len(accepted) == JOBS
    assert {job["job_id"] for job in jobs} >= set(accepted)
    assert {job["state"] for job in jobs} == {"succeeded"}
    pictures = [a["key"] for job in jobs for a in job["artifacts"]]
    assert len(set(pictures)) == len(pictures) == sum(job["count"] for job in jobs)
    folder = tmp_path / "kitty-artifacts" / "images"
    stored = {path.name for path in folder.iterdir()}
    names = {key.removeprefix("images/") for key in pictures}
    assert stored == names | {name.replace(".png", ".json") for name in names}
    for path in folder.glob("*.json"):
        sidecar = json.loads(path.read_text())
        assert path.with_suffix(".png").stat().st_size == sidecar["size_bytes"]

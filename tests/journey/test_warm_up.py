"""A service that is told to warms up by itself, and shows nobody what it drew for that."""

import asyncio
from pathlib import Path

import pytest

from tests.journey.running import Service, client_of


async def logged(service: Service, words: bytes) -> None:
    """Return when the service has said something."""
    while words not in service.log:  # noqa: ASYNC110 - a log has no event
        await asyncio.sleep(0.01)


async def test_it_warms_up_at_the_start_and_stores_nothing(tmp_path: Path) -> None:
    async with Service(tmp_path, WARM_UP="true") as service, client_of(service) as client:
        await logged(service, b"engine fake is warm")
        _, stats = await client.json("GET", "/api/images/stats")
        assert stats["finished"] == stats["started"] == 0
        await client.ended((await client.submit())["job_id"])
    assert not (tmp_path / "warming-up").exists()


async def test_a_service_that_died_of_it_does_not_try_again_at_once(tmp_path: Path) -> None:
    (tmp_path / "warming-up").touch()
    async with Service(tmp_path, WARM_UP="true") as service:
        await logged(service, b"nothing is warmed up this time")
    assert b"is warm after" not in service.log
    async with Service(tmp_path, WARM_UP="true") as service:
        await logged(service, b"engine fake is warm")


async def test_on_cuda_it_does_by_itself(tmp_path: Path) -> None:
    async with Service(tmp_path, DEVICE="cuda") as service:
        await logged(service, b"engine fake is warm")


@pytest.mark.parametrize(
    "settings",
    [
        {"DEVICE": "cpu"},
        {"DEVICE": "cuda", "WARM_UP": "false"},
    ],
    ids=["cpu", "unwanted"],
)
async def test_elsewhere_or_unwanted_it_does_not(tmp_path: Path, settings: dict[str, str]) -> None:
    async with Service(tmp_path, **settings) as service, client_of(service) as client:
        await client.ended((await client.submit())["job_id"])
        assert b"warm" not in service.log


async def test_a_paused_queue_draws_nothing_unseen_either(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        status, _ = await client.json("POST", "/api/images/queue/pause")
        assert status == 200
    async with Service(tmp_path, WARM_UP="true") as service:
        await logged(service, b"nothing is warmed up: the queue is paused")

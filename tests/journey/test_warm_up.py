"""A service that is told to warms up by itself, and shows nobody what it drew for that."""

import asyncio
from pathlib import Path

from tests.journey.running import Service, client_of


async def test_it_warms_up_at_the_start_and_stores_nothing(tmp_path: Path) -> None:
    async with Service(tmp_path, WARM_UP="true") as service, client_of(service) as client:
        while b"engine fake is warm" not in service.log:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        _, stats = await client.json("GET", "/api/images/stats")
        assert stats["finished"] == stats["started"] == 0
        assert await client.ended((await client.submit())["job_id"])


async def test_without_a_cuda_gpu_it_does_not_unless_it_is_told(tmp_path: Path) -> None:
    async with Service(tmp_path, DEVICE="cpu") as service, client_of(service) as client:
        await client.ended((await client.submit())["job_id"])
        assert b"warm" not in service.log

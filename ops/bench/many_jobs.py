"""Measures many jobs: how fast they are taken in, and how fast those that wait are done."""

import time
from pathlib import Path

from ops.bench.asked import BODY, UNBOUNDED, Figures, load
from tests.journey.running import Client, Service, client_of


async def drained(client: Client, jobs: int, name: str) -> Figures:
    """Measure how fast waiting jobs are drawn and stored once the queue is resumed."""
    await client.json("POST", "/api/images/queue/pause")
    last = ""
    for _ in range(jobs):
        last = (await client.json("POST", "/api/images/generate", json=BODY))[1]["job_id"]
    begin = time.perf_counter()
    await client.json("POST", "/api/images/queue/resume")
    await client.ended(last)
    return {f"jobs/s, {jobs} waiting, {name}": jobs / (time.perf_counter() - begin)}


async def submits(folder: Path, seconds: int) -> Figures:
    """Measure durable submits per second while nothing is drawn."""
    figures: Figures = {}
    async with Service(folder, **UNBOUNDED) as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/pause")
        for clients in (1, 16, 64):
            seen = await load(service, clients, seconds)
            figures[f"submits/s, {clients} clients"] = seen.per_second
            figures[f"submit p50 ms, {clients} clients"] = seen.p50_ms
            figures[f"submit p99 ms, {clients} clients"] = seen.p99_ms
            figures[f"refused, {clients} clients"] = seen.refused
    return figures

"""Measures the service while many jobs wait: submits, dispatch, and a restart with all of them."""

import asyncio
import signal
import time
from pathlib import Path

from ops.bench.asked import BODY, UNBOUNDED, Figures, finished, load
from tests.journey.running import Client, Service, client_of

READING_SECONDS = 4.0
"""Reading a hundred thousand jobs takes about two seconds."""


async def depth(folder: Path, waiting: int) -> Figures:
    """Measure submit and dispatch with so many jobs waiting, then a restart with them."""
    figures: Figures = {}
    async with Service(folder, **UNBOUNDED) as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/pause")
        while (await client.json("GET", "/api/images/stats"))[1]["queued"] < waiting:
            await load(service, 64, 2)
        figures[f"submit p50 ms, {waiting} waiting"] = (await load(service, 1, 3)).p50_ms
        await client.json("POST", "/api/images/queue/resume")
        begin, before = time.perf_counter(), await finished(client)
        await asyncio.sleep(3)
        rate = (await finished(client) - before) / (time.perf_counter() - begin)
        figures[f"ms a job dispatched and done, {waiting} waiting"] = 1e3 / max(rate, 1e-9)
        await service.end(signal.SIGKILL)
    return figures | await _restart(folder, waiting)


async def _restart(folder: Path, waiting: int) -> Figures:
    """Measure what the first callers wait for while the journal is read."""
    figures: Figures = {}
    begin, first = time.perf_counter(), asyncio.create_task(_first_picture(folder))
    async with Service(folder, **UNBOUNDED) as service, client_of(service) as client:
        await client.json("GET", "/healthz")
        figures[f"restart: first answer, s, {waiting} waiting"] = time.perf_counter() - begin
        asked = time.perf_counter()
        await client.submit(**BODY)
        submit_ms = 1e3 * (time.perf_counter() - asked)
        figures[f"restart: first submit, ms, {waiting} waiting"] = submit_ms
        figures[f"restart: longest wait, ms, {waiting} waiting"] = await _longest_wait(client)
        figures[f"restart: first job done, s, {waiting} waiting"] = await first - begin
    return figures


async def _longest_wait(client: Client) -> float:
    """Return how long the slowest of many requests waited, in ms, while the journal is read."""
    longest, until = 0.0, time.perf_counter() + READING_SECONDS
    while (begin := time.perf_counter()) < until:
        await client.json("GET", "/healthz")
        longest = max(longest, time.perf_counter() - begin)
        await asyncio.sleep(0.005)
    return 1e3 * longest


async def _first_picture(folder: Path) -> float:
    """Return when the number of stored pictures grows."""
    images = folder / "kitty-artifacts" / "images"

    def look() -> float:
        before = len(list(images.iterdir()))
        while len(list(images.iterdir())) == before:
            time.sleep(0.005)
        return time.perf_counter()

    return await asyncio.to_thread(look)

"""Chats that ask for the GPU, what is told meanwhile, and an engine that lives there."""

import asyncio
from collections.abc import Callable

from scheduler.gpu import Gpu, Resident
from scheduler.job import JobId
from scheduler.lease import Lease, Tenant
from scheduler.news import News


async def ask(gpu: Gpu, tenant: Tenant = Tenant.LLM, **more: float) -> asyncio.Task[Lease]:
    """Return a task that waits for a lease and has asked for it."""
    task = asyncio.create_task(gpu.desk.acquire(tenant, "a chat", **more))
    await asyncio.sleep(0)
    return task


def news_of(gpu: Gpu) -> list[News]:
    heard: list[News] = []
    gpu.listen(heard.append)
    return heard


def resident(
    *,
    interrupt: Callable[[JobId], bool] = lambda _: False,
    opened: Callable[[], object] = lambda: None,
    release: Callable[[], object] = lambda: None,
) -> Resident:
    async def released() -> None:
        release()

    return Resident(wanting=lambda: False, opened=opened, interrupt=interrupt, release=released)

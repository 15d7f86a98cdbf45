"""Follows a job to its end: pushed over a websocket where that works, polled where it does not."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import aiohttp
import orjson

from service.cli.client import Images
from service.cli.exits import UnreachableError, UnwillingError
from service.cli.replies import ENDED, Job


@dataclass(frozen=True, slots=True)
class Patience:
    """How often to poll, and how many polls may find nobody before we give up."""

    poll_seconds: float = 1.0
    misses: int = 60


async def follow(images: Images, job_id: str, patience: Patience) -> AsyncGenerator[Job]:
    """Yield the job whenever it has changed; the last one has ended.

    A service that restarts meanwhile is waited for, as the job is durable.

    Raises:
        RefusedError: there is no such job.
        UnreachableError: the service went away and did not come back.
        UnwillingError: the service is there again but cannot answer.
    """
    for source in (_pushed(images, job_id), _polled(images, job_id, patience)):
        async with aclosing(source) as jobs:
            async for job in jobs:
                yield job
                if job["state"] in ENDED:
                    return


async def _pushed(images: Images, job_id: str) -> AsyncGenerator[Job]:
    """Yield what the websocket says, for as long as there is one."""
    url = images.address.url("api/images/ws")
    try:
        async with images.session.ws_connect(url, params={"job_id": job_id}, heartbeat=20) as live:
            # What happened before the socket was open is not repeated on it.
            yield await images.job(job_id)
            async for message in live:
                if message.type is aiohttp.WSMsgType.TEXT:
                    frame = orjson.loads(message.data)
                    if frame.get("type") == "job" and frame["job"]["job_id"] == job_id:
                        yield cast("Job", frame["job"])
    except (aiohttp.ClientError, OSError, TimeoutError, UnreachableError, UnwillingError):
        return


async def _polled(images: Images, job_id: str, patience: Patience) -> AsyncGenerator[Job]:
    """Yield what regular questions find."""
    missed = 0
    while True:
        try:
            job = await images.job(job_id)
        except (UnreachableError, UnwillingError):
            missed += 1
            if missed > patience.misses:
                raise
        else:
            missed = 0
            yield job
        await asyncio.sleep(patience.poll_seconds)

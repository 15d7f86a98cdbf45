"""What the service is asked for while its overhead is measured, and how hard."""

import asyncio
from typing import Any

from ops.bench import wrk
from tests.journey.running import Client, Service

BODY: dict[str, Any] = {
    "prompt": "a red fox on white", "steps": 4, "width": 64, "height": 64, "engine": "fake"
}  # fmt: skip
UNBOUNDED = {"QUEUE_MAX": "10000000"}
"""Settings under which no submit is refused."""

Figures = dict[str, float]


async def load(service: Service, clients: int, seconds: int) -> wrk.Load:
    """Submit jobs over and over from so many connections."""
    url = f"{service.url}/api/images/generate"
    return await asyncio.to_thread(wrk.post, url, BODY, clients=clients, seconds=seconds)


async def finished(client: Client) -> int:
    """Return how many jobs are done."""
    return int((await client.json("GET", "/api/images/stats"))[1]["finished"])

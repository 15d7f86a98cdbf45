"""Measures one job at a time: until it is durable, until it is done, and what storing it costs."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count

from ops.bench.asked import BODY, Figures
from ops.bench.quantile import quantile
from tests.journey.running import Client

WARM_ROUNDS, ROUNDS = 10, 200
PICTURE_BYTES, SIDECAR_BYTES = 911, 957


async def one_by_one(
    client: Client, name: str, *, bare: Callable[[], Awaitable[None]] | None = None
) -> Figures:
    """Measure submit to durable and submit to done, one job at a time, told by websocket.

    After each job `bare` stores two objects without the service: what no service could go below.
    """
    accepted, done, puts = [], [], []
    async with client.session.ws_connect("/api/images/ws") as news:
        await news.receive_json()
        for _ in range(WARM_ROUNDS + ROUNDS):
            begin = time.perf_counter()
            answer = await client.submit(**BODY)
            accepted.append(1e3 * (time.perf_counter() - begin))
            while True:
                job = (await news.receive_json())["job"]
                if job["job_id"] == answer["job_id"] and job["status"] == "done":
                    break
            done.append(1e3 * (time.perf_counter() - begin))
            if bare is not None:
                begin = time.perf_counter()
                await bare()
                puts.append(1e3 * (time.perf_counter() - begin))
    figures = {
        f"submit to durable, p50 ms, {name}": quantile(accepted[WARM_ROUNDS:], 0.5),
        f"submit to done, p50 ms, {name}": quantile(done[WARM_ROUNDS:], 0.5),
        f"submit to done, p99 ms, {name}": quantile(done[WARM_ROUNDS:], 0.99),
    }
    if puts:
        alone = quantile(puts[WARM_ROUNDS:], 0.5)
        over = figures[f"submit to done, p50 ms, {name}"] - alone
        figures[f"two bare puts, p50 ms, {name}"] = alone
        figures[f"submit to done over two bare puts, p50 ms, {name}"] = over
    return figures


@asynccontextmanager
async def bare_puts(s3: dict[str, str]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Yield what stores a picture and a sidecar of the usual sizes, by the store's own means."""
    from service.store.s3 import S3Store  # noqa: PLC0415

    store = S3Store(
        endpoint_url=s3["S3_ENDPOINT_URL"],
        bucket="bare",
        access_key=s3["S3_ACCESS_KEY"],
        secret_key=s3["S3_SECRET_KEY"],
    )
    await store.open()
    numbers = count()

    async def put() -> None:
        stem = f"images/{next(numbers):08}"
        await store.put(f"{stem}.png", bytes(PICTURE_BYTES), content_type="image/png")
        await store.put(f"{stem}.json", bytes(SIDECAR_BYTES), content_type="application/json")

    try:
        yield put
    finally:
        await store.aclose()

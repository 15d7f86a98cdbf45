"""What the service costs on top of the drawing: a table on the terminal, JSON beside it.

    python ops/bench/overhead.py [--depths 0,10000,100000] [--json FILE] [--peers FOLDER]

The engine draws at once (`fake`), so what is measured is the service alone: HTTP, journal,
scheduler, store. Needs wrk; the S3 half needs the Ceph gateway of the tests. `--peers` names a
folder whose `run.sh --external` measures other services beside this one in the same run.
"""

import argparse
import asyncio
import contextlib
import json
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.table import Table

from ops.bench import wrk
from tests.contract.rgw import Gateway
from tests.journey.running import Client, Service, client_of

BODY: dict[str, object] = {
    "prompt": "a red fox on white", "steps": 4, "width": 64, "height": 64, "engine": "fake"
}  # fmt: skip
EXPECTED = {
    "submit to done, p50 ms, folder": "<= 5",
    "submit to done over two bare puts, p50 ms, S3": "<= 5",
    "jobs/s, 500 waiting, folder": ">= 500",
    "submits/s, 64 clients": ">= 2600",
    "start to first answer, s": "<= 1",
    "idle memory, MB": "<= 120",
    "restart with the deepest queue: first dispatch, s": "<= 2",
    "restart with the deepest queue: first answer, s": "<= 1",
    "restart with the deepest queue: longest wait, ms": "<= 50",
}
WARM_ROUNDS, ROUNDS = 10, 200
PICTURE_BYTES, SIDECAR_BYTES = 911, 957
READING_SECONDS = 4.0
"""Reading a hundred thousand jobs takes about two seconds."""

Figures = dict[str, float]


def percentile(values: list[float], share: float) -> float:
    """Return the nearest-rank percentile."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def start_and_idle(folder: Path) -> Figures:
    """Measure from exec to the first answer, and the memory of an idle service."""
    begin = time.perf_counter()
    async with Service(folder) as service, client_of(service) as client:
        await client.json("GET", "/healthz")
        seconds = time.perf_counter() - begin
        await client.draw()
        process = Path(f"/proc/{service.pid}")
        status = (process / "status").read_text()
        memory = status.partition("VmRSS:")[2].split()[0]
        return {
            "start to first answer, s": seconds,
            "idle memory, MB": int(memory) / 1024,
            "torch loaded": float("libtorch" in (process / "maps").read_text()),
        }


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
        f"submit to durable, p50 ms, {name}": percentile(accepted[WARM_ROUNDS:], 0.5),
        f"submit to done, p50 ms, {name}": percentile(done[WARM_ROUNDS:], 0.5),
        f"submit to done, p99 ms, {name}": percentile(done[WARM_ROUNDS:], 0.99),
    }
    if puts:
        alone = percentile(puts[WARM_ROUNDS:], 0.5)
        over = figures[f"submit to done, p50 ms, {name}"] - alone
        figures[f"two bare puts, p50 ms, {name}"] = alone
        figures[f"submit to done over two bare puts, p50 ms, {name}"] = over
    return figures


@contextlib.asynccontextmanager
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
    async with Service(folder, QUEUE_MAX="10000000") as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/pause")
        for clients in (1, 16, 64):
            load = await _load(service, clients, seconds)
            figures[f"submits/s, {clients} clients"] = load.per_second
            figures[f"submit p50 ms, {clients} clients"] = load.p50_ms
            figures[f"submit p99 ms, {clients} clients"] = load.p99_ms
            figures[f"refused, {clients} clients"] = load.refused
    return figures


async def depth(folder: Path, waiting: int) -> Figures:
    """Measure submit and dispatch with so many jobs waiting, then a restart with them."""
    settings = {"QUEUE_MAX": "10000000"}
    figures: Figures = {}
    async with Service(folder, **settings) as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/pause")
        while (await client.json("GET", "/api/images/stats"))[1]["queued"] < waiting:
            await _load(service, 64, 2)
        load = await _load(service, 1, 3)
        figures[f"submit p50 ms, {waiting} waiting"] = load.p50_ms
        await client.json("POST", "/api/images/queue/resume")
        begin, before = time.perf_counter(), await _finished(client)
        await asyncio.sleep(3)
        rate = (await _finished(client) - before) / (time.perf_counter() - begin)
        figures[f"ms a job dispatched and done, {waiting} waiting"] = 1e3 / max(rate, 1e-9)
        await service.end(signal.SIGKILL)
    begin, first = time.perf_counter(), asyncio.create_task(_first_picture(folder))
    async with Service(folder, **settings) as service, client_of(service) as client:
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


async def _load(service: Service, clients: int, seconds: int) -> wrk.Load:
    url = f"{service.url}/api/images/generate"
    return await asyncio.to_thread(wrk.post, url, BODY, clients=clients, seconds=seconds)


async def _finished(client: Client) -> int:
    return int((await client.json("GET", "/api/images/stats"))[1]["finished"])


@contextlib.asynccontextmanager
async def on_s3() -> AsyncIterator[dict[str, str]]:
    """Run the gateway of the tests; yield the settings that lead to it."""
    with tempfile.TemporaryDirectory(prefix="rgw-") as folder:
        gateway = Gateway(Path(folder))
        await asyncio.to_thread(gateway.start)
        try:
            yield {
                "S3_ENDPOINT_URL": gateway.url,
                "S3_ACCESS_KEY": gateway.access_key,
                "S3_SECRET_KEY": gateway.secret_key,
            }
        finally:
            await asyncio.to_thread(gateway.stop)


async def measure(depths: list[int], seconds: int) -> Figures:
    """Run everything; each part has a service and a data folder of its own."""
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        await start_and_idle(base / "warm")
        figures |= await start_and_idle(base / "start")
        async with Service(base / "folder") as service, client_of(service) as client:
            figures |= await one_by_one(client, "folder")
            figures |= await drained(client, 500, "folder")
        async with (
            on_s3() as s3,
            Service(base / "s3", **s3) as service,
            client_of(service) as client,
            bare_puts(s3) as bare,
        ):
            figures |= await one_by_one(client, "S3", bare=bare)
            figures |= await drained(client, 500, "S3")
        figures |= await submits(base / "submits", seconds)
        for waiting in depths:
            figures |= await depth(base / f"depth{waiting}", waiting)
    for what, said in (("first job done, s", "first dispatch, s"), ("first answer, s", ""),
                       ("longest wait, ms", "")):  # fmt: skip
        deepest = figures[f"restart: {what}, {max(depths)} waiting"]
        figures[f"restart with the deepest queue: {said or what}"] = deepest
    return figures


def run_peers(folder: Path, parts: str, stacks: str) -> dict[str, Any]:
    """Let the peers' own bench measure them and us in one run; return what it wrote."""
    ours = {
        "name": "kitty-images", "cwd": str(Path(__file__).resolve().parents[2]),
        "start": [sys.executable, "-m", "service"],
        "env": {"SERVICE_PORT": "{port}", "S3_ENDPOINT_URL": "{s3}", "A1111_BASE_URL": "{stub}",
                "IMAGE_ENGINE": "fake", "QUEUE_MAX": "10000000"},
        "body": BODY | {"seed": "@SEED@"}, "submit": "/api/images/generate",
        "status": "/api/images/jobs/{id}", "done": ["done"], "failed": ["error"],
        "latest": "/api/images/latest?limit=50",
        "pause": {"method": "POST", "path": "/api/images/queue/pause"},
        "resume": {"method": "POST", "path": "/api/images/queue/resume"},
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        told, out = Path(name) / "ours.json", Path(name) / "out.json"
        told.write_text(json.dumps(ours))
        subprocess.run(
            [folder / "run.sh", "--only", parts, "--stacks", stacks,
             "--reps", "1", "--seconds", "4", "--external", told, "--out", out],
            check=True,
        )  # fmt: skip
        result: dict[str, Any] = json.loads(out.read_text())
        return result


def show(figures: Figures) -> None:
    """Print the table."""
    table = Table(title="Overhead of the service (engine draws at once)")
    for column in ("what", "measured", "expected"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for what, value in figures.items():
        table.add_row(what, f"{value:.4g}", EXPECTED.get(what, ""))
    Console().print(table)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--depths", default="0,10000,100000", help="waiting jobs, by commas")
    parser.add_argument("--seconds", type=int, default=5, help="length of each load")
    parser.add_argument("--json", type=Path, default=wrk.results_folder() / "overhead.json")
    parser.add_argument("--peers", type=Path, help="folder with the peers' run.sh")
    parser.add_argument("--parts", default="a,b,e", help="what the peers' bench measures")
    parser.add_argument("--stacks", default="guide,guide-simple,saq", help="which peers")
    given = parser.parse_args()
    if not wrk.installed():
        sys.exit("wrk is not installed (Debian: apt-get install wrk)")
    depths = [int(part) for part in given.depths.split(",")]
    report: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python " + " ".join(sys.argv),
        "machine": {"cpus": len(Path("/proc/cpuinfo").read_text().split("processor\t")) - 1,
                    "python": platform.python_version(), "kernel": platform.release()},
        "expected": EXPECTED,
        "measured": asyncio.run(measure(depths, given.seconds)),
    }  # fmt: skip
    show(report["measured"])
    if given.peers and (given.peers / "run.sh").exists():
        report["peers"] = run_peers(given.peers, given.parts, given.stacks)
        sys.stdout.write(json.dumps(report["peers"], indent=1) + "\n")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

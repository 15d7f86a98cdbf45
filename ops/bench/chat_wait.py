"""Measure what a chat waits for its first token while pictures are drawn.

    python ops/bench/chat_wait.py [--chats 80] [--json FILE]

A real llama.cpp with a tiny model answers chats that come at random through the proxy of a service
of its own: without pictures, with pictures that park between two steps (test cards, and the
built-in model), and behind a plain mutex that is held for a whole picture. "step" is the median of
as many pictures undisturbed; "added" is the 95th percentile over that without pictures.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ops.bench.quantile import quantile
from tests.contract.llama import Llama
from tests.journey.running import Client, Service, client_of, told

RESULTS = Path(__file__).parent / "results" / "chat_wait.json"
MARGIN_MS = 5.0
STEP_SECONDS = 0.05
AT_ONCE = 3
ASK = {
    "messages": [{"role": "user", "content": "hello"}],
    "stream": True,
    "temperature": 0,
    "max_tokens": 16,
    "ignore_eos": True,
}
CONFIG = f"""
[[engines]]
name = "whole"
kind = "fake"
preemption = "job"
step_seconds = {STEP_SECONDS}
"""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of drawing beside the chats; `engine` empty is none."""

    name: str
    engine: str = ""
    steps: int = 30
    side: int = 256

    @property
    def picture(self) -> dict[str, Any]:
        """What each of its pictures is asked for with."""
        return {"steps": self.steps, "width": self.side, "height": self.side}


@dataclass(frozen=True, slots=True)
class Result:
    """Milliseconds to the first token; `step_ms` is 0 where nothing is drawn."""

    mode: str
    chats: int
    step_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    added_ms: float
    pictures: int

    @property
    def within(self) -> bool:
        """Whether a chat waits for at most one step and a margin."""
        return self.added_ms <= self.step_ms + MARGIN_MS


MODES = (
    Mode("no pictures"),
    Mode("test cards, parked", "fake"),
    Mode("built-in model, parked", "diffusers", side=128),
    Mode("test cards, plain mutex", "whole"),
)


async def first_token_ms(client: Client) -> float:
    """Chat once; return the time from the request to the first byte of the reply."""
    begun = time.perf_counter()
    async with client.session.post("/llm/q4/v1/chat/completions", json=ASK) as answer:
        await answer.content.readany()
        taken = (time.perf_counter() - begun) * 1e3
        await answer.read()
    return taken


async def step_ms(client: Client, mode: Mode) -> float:
    """Draw as many pictures at once as later; return the median time between one's steps."""
    await client.draw(**mode.picture)
    jobs = [(await client.submit(**mode.picture))["job_id"] for _ in range(AT_ONCE)]
    times: dict[int, float] = {}
    async with client.session.ws_connect(f"/api/images/ws?job_id={jobs[0]}") as news:
        while len(times) < mode.steps:
            job = (await told(news)).get("job", {})
            if job.get("step"):
                times.setdefault(job["step"], time.perf_counter() * 1e3)
    for job_id in jobs:
        await client.ended(job_id)
    return statistics.median(after - before for before, after in pairwise(times.values()))


async def feed(client: Client, mode: Mode) -> None:
    """See to it that there is always something to draw."""
    while True:
        jobs = [(await client.submit(**mode.picture))["job_id"] for _ in range(AT_ONCE)]
        for job_id in jobs:
            await client.ended(job_id)


async def measure(
    mode: Mode, llama: Llama, folder: Path, chats: int
) -> tuple[list[float], float, int]:
    """Return the times to the first token, the time of a step, and the pictures drawn meanwhile."""
    (folder / "config.toml").write_text(CONFIG)
    settings = {
        "LLAMA_SERVERS": f"q4={llama.url}",
        "CONFIG_FILE": str(folder / "config.toml"),
        "IMAGE_ENGINE": mode.engine or "fake",
        "FAKE_STEP_SECONDS": str(STEP_SECONDS),
    }
    choice = random.Random(1)  # noqa: S311 - reproducible
    async with Service(folder / mode.name, **settings) as service, client_of(service) as client:
        step = await step_ms(client, mode) if mode.engine else 0.0
        before = await drawn(client)
        feeding = asyncio.create_task(feed(client, mode)) if mode.engine else None
        await first_token_ms(client)
        times = []
        for _ in range(chats):
            await asyncio.sleep(choice.uniform(0.1, 0.5))
            times.append(await first_token_ms(client))
        after = await drawn(client)
        if feeding is not None:
            feeding.cancel()
            await asyncio.wait([feeding])
        return times, step, after - before


async def drawn(client: Client) -> int:
    """Return how many pictures were drawn."""
    _, stats = await client.json("GET", "/api/images/stats")
    finished: int = stats["finished"]
    return finished


async def run(chats: int) -> list[Result]:
    """Measure every mode."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        async with Llama(folder) as llama:
            for mode in MODES:
                times, step, pictures = await measure(mode, llama, folder, chats)
                p50, p95, p99 = (quantile(times, share) for share in (0.5, 0.95, 0.99))
                base = results[0].p95_ms if results else p95
                step, p50, p95, p99, added = (
                    round(x, 2) for x in (step, p50, p95, p99, p95 - base)
                )
                results.append(Result(mode.name, chats, step, p50, p95, p99, added, pictures))
                show(results[-1])
    return results


def show(result: Result) -> None:
    """Print one line of the table."""
    verdict = "" if not result.step_ms else "  yes" if result.within else "  no"
    print(
        f"{result.mode:26}{result.step_ms:9.1f}{result.p50_ms:9.1f}{result.p95_ms:9.1f}"
        f"{result.p99_ms:9.1f}{result.added_ms:9.1f}{result.pictures:9}{verdict}"
    )


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--chats", type=int, default=80)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    titles = ("step", "p50", "p95", "p99", "added", "drawn")
    print("ms to the first token     " + "".join(f"{t:>9}" for t in titles) + "  <= step + 5 ms")
    before = os.getloadavg()[0]
    results = asyncio.run(run(asked.chats))
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    # Others that keep the cores busy make the steps and the replies late: say how busy they were.
    found = {
        "cores": os.cpu_count(),
        "load": [round(load, 2) for load in (before, os.getloadavg()[0])],
        "results": [asdict(result) | {"within": result.within} for result in results],
    }
    asked.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Measures the start of the service, and what it takes while it does nothing."""

import time
from pathlib import Path

from ops.bench.asked import Figures
from tests.journey.running import Service, client_of


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

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
import sys
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from rich.console import Console
from rich.table import Table

from ops.bench import wrk
from ops.bench.asked import Figures
from ops.bench.deep_queue import depth
from ops.bench.many_jobs import drained, submits
from ops.bench.one_job import bare_puts, one_by_one
from ops.bench.peers import run_peers
from ops.bench.start import start_and_idle
from tests.contract.rgw import Gateway
from tests.journey.running import Service, client_of

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

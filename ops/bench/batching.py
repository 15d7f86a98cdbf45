"""Measures on a CPU what sharing network calls brings with the built-in model.

    python -m ops.bench.batching --out ops/bench/results/batching-cpu.json

The same pictures are drawn one after another and together, in turns, so that a busy machine
disturbs both alike. Prints jobs per minute and writes JSON.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engines.base import EngineName
from engines.diffusers import DiffusersEngine, DiffusersSettings
from engines.diffusers.versions import versions
from engines.inputs import Inputs
from engines.spec import GenerationSpec
from ops.bench.timed_turn import TimedTurn

SPEC = GenerationSpec(
    prompt="a red ball on a wooden table",
    model="mini",
    width=192,
    height=192,
    steps=12,
    cfg=5.0,
    seed=0,
    sampler="ddim",
)


def _engine(batch: int, threads: int) -> DiffusersEngine:
    data = Path(tempfile.mkdtemp())
    return DiffusersEngine(
        name=EngineName("bench"),
        models_dir=None,
        data_dir=data,
        inputs=Inputs(data / "inputs"),
        device="cpu",
        settings=DiffusersSettings(batch=batch, slots=64, threads=threads),
    )


async def _draw(engine: DiffusersEngine, seed: int) -> None:
    turn = TimedTurn(f"bench-{seed}")
    async with aclosing(engine.generate(replace(SPEC, seed=seed), turn)) as updates:
        async for _ in updates:
            pass


async def _round(engine: DiffusersEngine, pictures: int) -> float:
    started = time.perf_counter()
    await asyncio.gather(*(_draw(engine, seed) for seed in range(pictures)))
    return pictures / (time.perf_counter() - started) * 60


async def measure(batches: list[int], args: argparse.Namespace) -> dict[int, list[float]]:
    """Jobs per minute of every batch size, in several rounds."""
    rates: dict[int, list[float]] = {batch: [] for batch in batches}
    for _ in range(args.rounds):
        for batch in batches:
            engine = _engine(batch, args.threads)
            await _draw(engine, 0)
            rates[batch].append(await _round(engine, args.pictures))
            await engine.aclose()
    return rates


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", default="1,2,4,8")
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    batches = [int(batch) for batch in args.batches.split(",")]
    rates = asyncio.run(measure(batches, args))
    alone = statistics.median(rates[batches[0]])
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python -m ops.bench.batching " + " ".join(sys.argv[1:]),
        "versions": dict(versions()),
        "jobs_per_minute": {str(batch): values for batch, values in rates.items()},
    }
    for batch, values in rates.items():
        rate = statistics.median(values)
        print(f"batch {batch}: {rate:6.1f} jobs a minute, {rate / alone:.2f}x")
    if args.out is not None:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()

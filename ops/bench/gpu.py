"""Measures the step engine against diffusers' pipelines, on a GPU or rehearsed on a CPU.

    python -m ops.bench.gpu --models sd15,sdxl --out ops/bench/results/gpu-h200.json

Full-size SD 1.5 and SDXL get random weights made on the spot: speed does not depend on what
they draw. Prints a table and writes JSON.
"""

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
from PIL import Image

from engines.base import EngineName, Picture, Progress
from engines.diffusers import DiffusersEngine, DiffusersSettings
from engines.inputs import Inputs
from engines.spec import GenerationSpec
from ops.bench import full_size
from ops.bench.network import bare_step_seconds, hottest_kernels, part_seconds, reference
from ops.bench.timed_turn import TimedTurn

_UNDER_WAY = 3
MAKE = {"sd15": full_size.make_sd15, "sdxl": full_size.make_sdxl}
SIDE = {"sd15": 512, "sdxl": 1024}


@dataclass(slots=True)
class Bench:
    """One model's measurements, in one engine."""

    engine: DiffusersEngine
    spec: GenerationSpec
    last: Picture | None = None

    async def draw(self, seed: int, turn: TimedTurn | None = None) -> TimedTurn:
        """Draw one picture and return its turn, which knows the times."""
        turn = turn or TimedTurn(f"bench-{seed}")
        spec = replace(self.spec, seed=seed, prompt=f"{self.spec.prompt} {seed}")
        async with aclosing(self.engine.generate(spec, turn)) as updates:
            async for update in updates:
                if isinstance(update, Picture):
                    self.last = update
                    turn.png = update.png
                    break
        return turn

    async def alone(self, pictures: int) -> tuple[float, float]:
        """Seconds per picture and per step, one picture after another."""
        await self.draw(1)
        started = time.perf_counter()
        turns = [await self.draw(seed) for seed in range(pictures)]
        seconds = (time.perf_counter() - started) / pictures
        steps = [gap for turn in turns for gap in _step_seconds(turn, self.spec.steps)]
        return seconds, statistics.median(steps)

    async def together(self, pictures: int) -> tuple[float, float, list[bytes]]:
        """Seconds per picture of many that wait, and per step of the first; the pictures."""
        await asyncio.gather(*(self.draw(seed) for seed in range(pictures)))
        started = time.perf_counter()
        turns = await asyncio.gather(*(self.draw(seed) for seed in range(pictures)))
        seconds = (time.perf_counter() - started) / pictures
        step = statistics.median(_step_seconds(turns[0], self.spec.steps))
        return seconds, step, [turn.png for turn in turns]

    async def cancel(self) -> float:
        """Seconds from a cancel to a free GPU."""
        spec = replace(self.spec, steps=200)
        async with aclosing(self.engine.generate(spec, TimedTurn("cancelled"))) as updates:
            async for update in updates:
                if isinstance(update, Progress) and update.step >= _UNDER_WAY:
                    break
            started = time.perf_counter()
        return time.perf_counter() - started

    async def overtake(self) -> float:
        """Seconds from an urgent order to the beginning of its work, while another draws."""
        slow = replace(self.spec, steps=200)
        urgent = TimedTurn("urgent", rank=(-1.0,))
        async with aclosing(self.engine.generate(slow, TimedTurn("slow"))) as updates:
            async for update in updates:
                if isinstance(update, Progress) and update.step >= _UNDER_WAY:
                    break
            started = time.perf_counter()
            await self.draw(99, urgent)
        return urgent.entered[0] - started


def _difference(one: bytes, other: bytes) -> dict[str, float]:
    """How far two pictures lie apart, in 1/255."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)), dtype=np.int16) for png in (one, other))
    gap = np.abs(a - b)
    return {"largest": float(gap.max()), "mean": float(gap.mean()), "contrast": float(a.std())}


def _step_seconds(turn: TimedTurn, steps: int) -> list[float]:
    """From the beginning of each drawing step to that of the next work of the same picture."""
    begun = turn.entered[-steps - 1 :]
    return [after - before for before, after in pairwise(begun)]


async def measure(name: str, folder: Path, args: argparse.Namespace, mode: str) -> dict[str, Any]:
    """Measure one model in one way of being fast."""
    side = args.side or SIDE[name]
    spec = GenerationSpec(
        prompt="a cat and a dog",
        model=folder.name,
        width=side,
        height=side,
        steps=args.steps,
        cfg=5.0,
        seed=0,
        sampler="euler",
    )
    data = Path(tempfile.mkdtemp())
    settings = DiffusersSettings(batch=args.batch, slots=64, accelerate=mode)
    engine = DiffusersEngine(
        name=EngineName("bench"),
        models_dir=folder.parent,
        data_dir=data,
        inputs=Inputs(data / "inputs"),
        device=args.device,
        settings=settings,
    )
    bench = Bench(engine, spec)
    began = time.perf_counter()
    alone, step = await bench.alone(args.alone)
    bare = await engine.call(lambda studio: bare_step_seconds(studio, spec, 1))
    cancel, overtake = await bench.cancel(), await bench.overtake()
    together, together_step, pictures = await bench.together(args.pictures)
    lone = (await bench.draw(args.pictures - 1)).png
    bare_together = await engine.call(
        lambda studio: bare_step_seconds(studio, spec, min(args.batch, args.pictures))
    )
    result: dict[str, Any] = {
        "mode": mode,
        "alone_seconds": alone,
        "alone_step_seconds": step,
        "bare_step_seconds": bare,
        "overhead": step / bare - 1,
        "cancel_seconds": cancel,
        "overtake_seconds": overtake,
        "together_seconds": together,
        "together_step_seconds": together_step,
        "bare_together_step_seconds": bare_together,
        **await engine.call(lambda studio: part_seconds(studio, spec)),
        "difference_of_batched": _difference(lone, pictures[-1]),
        "facts": None if bench.last is None else dict(bench.last.facts),
    }
    if args.profile:
        result["kernels"] = await engine.call(
            lambda studio: hottest_kernels(studio, spec, args.batch)
        )
    result["bench_seconds"] = time.perf_counter() - began
    await engine.aclose()
    return result


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="sd15,sdxl")
    parser.add_argument("--modes", default="full")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--alone", type=int, default=4)
    parser.add_argument("--small", action="store_true", help="few channels, for rehearsals")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--out", type=Path, default=None)
    return parser.parse_args()


def main() -> None:
    """Measure every model in every mode."""
    args = parse()
    dtype = torch.float16 if args.device == "cuda" else torch.float32
    report: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python -m ops.bench.gpu " + " ".join(sys.argv[1:]),
        "device": torch.cuda.get_device_name() if args.device == "cuda" else "cpu",
        "versions": {"torch": torch.__version__, "diffusers": diffusers.__version__},
        "models": {},
    }
    for name in args.models.split(","):
        shelf = Path(tempfile.mkdtemp())
        folder = MAKE[name](shelf / name, device=args.device, dtype=dtype, small=args.small)
        spec_side = args.side or SIDE[name]
        spec = GenerationSpec(
            "a cat and a dog", name, spec_side, spec_side, args.steps, 5.0, 0, "euler"
        )
        with torch.inference_mode():
            seconds = reference(folder, spec, args.alone, args.device)
        entry: dict[str, Any] = {"reference_seconds": seconds, "modes": []}
        report["models"][name] = entry
        for mode in args.modes.split(","):
            entry["modes"].append(asyncio.run(measure(name, folder, args, mode)))
            if args.out is not None:
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(report, indent=1) + "\n")
            _print(name, entry)


def _print(name: str, entry: dict[str, Any]) -> None:
    reference_seconds = entry["reference_seconds"]
    print(f"{name}: reference {reference_seconds:.3f} s a picture")
    for row in entry["modes"]:
        print(
            f"  {row['mode']:8} alone {reference_seconds / row['alone_seconds']:.2f}x  "
            f"together {reference_seconds / row['together_seconds']:.2f}x  "
            f"step {row['alone_step_seconds'] * 1e3:.2f} ms  overhead {row['overhead']:.1%}  "
            f"cancel {row['cancel_seconds'] * 1e3:.1f} ms  "
            f"overtake {row['overtake_seconds'] * 1e3:.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    main()

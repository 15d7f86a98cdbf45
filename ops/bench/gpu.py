"""Measures the step engine against diffusers' pipelines, on a GPU or rehearsed on a CPU.

    python -m ops.bench.gpu --models sd15,sdxl --out ops/bench/results/gpu-h200.json
    python -m ops.bench.gpu --parts alone,chats --models sd15
    python -m ops.bench.gpu --device cpu --small --models sd15 --side 64 --steps 4 --batch 2 \
        --pictures 2 --alone 1 --chats 5 --matrix 256

Full-size SD 1.5 and SDXL get random weights made on the spot: speed does not depend on what
they draw. Prints what it finds and writes JSON after each part. The last line rehearses.

    reference   diffusers' own pipeline, one picture after another
    alone       pictures one after another, and the bare network call
    urgent      from a cancel to a free GPU; from an urgent order to its first work
    together    many pictures at once, and the bare call of a full batch; memory and its limit
    pieces      encoding, decoding, PNG
    replay      calls kernel by kernel, recorded and replayed, per number of pictures
    chats       how long a chat waits for the GPU meanwhile
    kernels     where the time of a full batch goes; only if asked for
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import diffusers
import torch

from engines.base import EngineName
from engines.diffusers import DiffusersEngine, DiffusersSettings
from engines.inputs import Inputs
from engines.spec import GenerationSpec
from ops.bench import full_size
from ops.bench.chats import TITLES, measure_chats
from ops.bench.figures import show
from ops.bench.network import (
    bare_step_seconds,
    hottest_kernels,
    memory,
    part_seconds,
    reference,
    replay_seconds,
)
from ops.bench.pictures import Bench, difference

Mode = Literal["full", "off"]

MAKE = {"sd15": full_size.make_sd15, "sdxl": full_size.make_sdxl}
SIDE = {"sd15": 512, "sdxl": 1024}


def _opened(name: str, folder: Path, args: argparse.Namespace, mode: Mode) -> Bench:
    data = Path(tempfile.mkdtemp())
    engine = DiffusersEngine(
        name=EngineName("bench"),
        models_dir=folder.parent,
        data_dir=data,
        inputs=Inputs(data / "inputs"),
        device=args.device,
        settings=DiffusersSettings(batch=args.batch, slots=64, accelerate=mode),
    )
    return Bench(engine, _spec(name, args))


def _spec(name: str, args: argparse.Namespace) -> GenerationSpec:
    side = args.side or SIDE[name]
    return GenerationSpec("a cat and a dog", name, side, side, args.steps, 5.0, 0, "euler")


async def _bare(bench: Bench, batch: int) -> float:
    return await bench.engine.call(lambda studio: bare_step_seconds(studio, bench.spec, batch))


async def _alone(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    await bench.draw(1)
    first = time.perf_counter() - began
    # Before and after, as a device that has grown hot is slower.
    before = await _bare(bench, 1)
    alone, step = await bench.alone(args.alone)
    bare = (before + await _bare(bench, 1)) / 2
    return {
        "first_seconds": first,
        "alone_seconds": alone,
        "alone_step_seconds": step,
        "bare_step_seconds": bare,
        "overhead": step / bare - 1,
        "facts": None if bench.last is None else dict(bench.last.facts),
    }


async def _urgent(bench: Bench, _: argparse.Namespace) -> dict[str, Any]:
    return {
        "cancel_seconds": await bench.cancel(),
        "overtake_seconds": await bench.overtake(),
    }


async def _together(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    full = min(args.batch, args.pictures)
    before = await _bare(bench, full)
    seconds, step, pictures = await bench.together(args.pictures)
    bare = (before + await _bare(bench, full)) / 2
    lone = (await bench.draw(args.pictures - 1)).png
    return {
        "together_seconds": seconds,
        "together_step_seconds": step,
        "bare_together_step_seconds": bare,
        "together_overhead": step / bare - 1,
        "difference_of_batched": difference(lone, pictures[-1]),
        "memory": await bench.engine.call(lambda studio: memory(studio, bench.spec)),
    }


async def _pieces(bench: Bench, _: argparse.Namespace) -> dict[str, Any]:
    return await bench.engine.call(lambda studio: part_seconds(studio, bench.spec))


async def _replay(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    sizes = [size for size in (1, 2, 4, 8, 16) if size <= args.batch]
    found = {}
    for size in sizes:
        found[str(size)] = await bench.engine.call(
            partial(replay_seconds, spec=bench.spec, batch=size)
        )
    return {"replay": found}


async def _chats(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    print(TITLES)
    found = await measure_chats(
        bench.engine,
        bench.spec,
        device=torch.device(args.device),
        chats=args.chats,
        at_once=sorted({1, min(args.batch, args.pictures)}),
        side=args.matrix,
        say=lambda waits: print(waits.line(), flush=True),
    )
    return {"chats": [asdict(waits) for waits in found]}


async def _kernels(bench: Bench, args: argparse.Namespace) -> dict[str, Any]:
    act = partial(hottest_kernels, spec=bench.spec, batch=args.batch)
    return {"kernels": await bench.engine.call(act)}


PARTS: Mapping[str, Callable[[Bench, argparse.Namespace], Awaitable[dict[str, Any]]]] = {
    "alone": _alone,
    "urgent": _urgent,
    "together": _together,
    "pieces": _pieces,
    "replay": _replay,
    "chats": _chats,
    "kernels": _kernels,
}


async def measure(
    bench: Bench, row: dict[str, Any], args: argparse.Namespace, save: Callable[[], object]
) -> None:
    """Measure one model in one way of being fast, part by part, into `row`."""
    spent = row["part_seconds"] = {}
    for part, act in PARTS.items():
        if part in args.parts.split(","):
            began = time.perf_counter()
            row.update(await act(bench, args))
            spent[part] = time.perf_counter() - began
            print(f"    {part}: {spent[part]:.1f} s", flush=True)
            save()
    await bench.engine.aclose()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", default="sd15,sdxl")
    parser.add_argument("--modes", nargs="+", choices=get_args(Mode), default=["full"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--side", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--alone", type=int, default=4)
    parser.add_argument("--chats", type=int, default=40)
    parser.add_argument("--matrix", type=int, default=4096, help="side of a chat's matrices")
    parser.add_argument("--parts", default="reference,alone,urgent,together,pieces,replay,chats")
    parser.add_argument("--small", action="store_true", help="few channels, for rehearsals")
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

    def save() -> None:
        report["seconds"] = time.perf_counter() - began
        if args.out is not None:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            args.out.write_text(json.dumps(report, indent=1) + "\n")

    began = time.perf_counter()
    for name in args.models.split(","):
        folder = MAKE[name](
            Path(tempfile.mkdtemp()) / name, device=args.device, dtype=dtype, small=args.small
        )
        entry: dict[str, Any] = {"modes": []}
        report["models"][name] = entry
        if "reference" in args.parts.split(","):
            with torch.inference_mode():
                entry["reference_seconds"] = reference(
                    folder, _spec(name, args), args.alone, args.device
                )
        for mode in args.modes:
            print(f"{name}, {mode}:", flush=True)
            row: dict[str, Any] = {"mode": mode}
            entry["modes"].append(row)
            asyncio.run(measure(_opened(name, folder, args, mode), row, args, save))
            show(row, entry.get("reference_seconds"))


if __name__ == "__main__":
    main()

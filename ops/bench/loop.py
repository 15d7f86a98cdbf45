"""Measures what the drawing thread's loop adds to a step, with a network that takes no time.

    python -m ops.bench.loop --out ops/bench/results/loop-cpu.json

Real pictures, real turns of a scheduler's gate and real news, but the network's call is recorded
and its replay does nothing. "before" is from the end of a step to the replay: there a GPU would
wait. "after" is from the replay to the end of the step: there a GPU would still be busy. Beside
the time stands how many operations PyTorch is told in each part; on a GPU most are launches.
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from engines.base import EngineName
from engines.diffusers.graphs import Recording
from engines.diffusers.replay import Replays
from engines.diffusers.versions import versions
from engines.spec import GenerationSpec
from scheduler.gate import Gate
from scheduler.job import Job, JobId, Lane
from scheduler.turn import PictureTurn
from tests.fakes import tiny_models
from tests.fakes.rounds import Rounds, open_rounds

_WARM = 10
_COUNTED = 5


@dataclass(frozen=True, slots=True)
class Row:
    """Microseconds and operations of one step, medians."""

    sampler: str
    sessions: int
    before_us: float
    after_us: float
    before_operations: int
    after_operations: int


class Instant:
    """A device on which a recorded call takes no time; it remembers when it was replayed."""

    def __init__(self) -> None:
        self.at = 0.0
        self.when: Callable[[], object] = lambda: None

    def record(self, ask: Callable[[], torch.Tensor]) -> Recording:
        """Record nothing; the answer stays what it was."""
        return Recording(self._replay, ask())

    def wait(self) -> None:
        """Nothing is under way."""

    def _replay(self) -> None:
        self.when()
        self.at = time.perf_counter()


class Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own gap
    """Counts what PyTorch is told, apart from views, which launch nothing."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own gap
        self.told = 0

    @override
    def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operation and do it."""
        self.told += not func.is_view
        return func(*args, **(kwargs or {}))


async def _keep(_: str) -> None:
    """Keep no ticket."""


def _under_way(rounds: Rounds, sampler: str, sessions: int, steps: int) -> None:
    """Order pictures and go on until all of them are stepped together."""
    gate = Gate()
    for number in range(sessions):
        spec = GenerationSpec("a cat", "tiny-sd15", 64, 64, steps, 5.0, number, sampler)
        job = Job(
            JobId(f"j{number}"), number, spec, EngineName("bench"), Lane.NORMAL, datetime.now(UTC)
        )
        rounds.order(spec, PictureTurn(job=job, index=0, gate=gate, ticket=None, keep=_keep))
    for _ in range(2 * sessions + _WARM):
        rounds.runner.round()


def _note(counting: Counting, told: list[int]) -> None:
    told.append(counting.told)


def _counted(rounds: Rounds, device: Instant) -> tuple[int, int]:
    """Return the operations of a step before and after the replay."""
    counts: list[tuple[int, int]] = []
    for _ in range(_COUNTED):
        with Counting() as counting:
            before: list[int] = []
            device.when = partial(_note, counting, before)
            rounds.runner.round()
        counts.append((before[0], counting.told - before[0]))
    device.when = lambda: None
    return statistics.median_low(b for b, _ in counts), statistics.median_low(a for _, a in counts)


async def measure(models: Path, sampler: str, sessions: int, steps: int) -> Row:
    """Measure some sessions that step together."""
    device = Instant()
    network = Replays(recorder=device)
    with open_rounds(
        models, Path(tempfile.mkdtemp()), change=lambda s: replace(s, network=network), batch=16
    ) as rounds:
        _under_way(rounds, sampler, sessions, steps + 2 * _WARM + 2 * sessions)
        spent = []
        last = time.perf_counter()
        for _ in range(steps - _COUNTED):
            rounds.runner.round()
            end = time.perf_counter()
            spent.append((device.at - last, end - device.at))
            last = end
        before, after = (statistics.median(part) * 1e6 for part in zip(*spent, strict=True))
        return Row(sampler, sessions, round(before, 1), round(after, 1), *_counted(rounds, device))


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samplers", default="euler,dpmpp_2m_karras")
    parser.add_argument("--sessions", default="1,16")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    models = Path(tempfile.mkdtemp())
    tiny_models.make_sd15(models / "tiny-sd15")
    rows = []
    print("us and operations a step     before      after")
    for sampler in args.samplers.split(","):
        for sessions in map(int, args.sessions.split(",")):
            row = asyncio.run(measure(models, sampler, sessions, args.steps))
            rows.append(row)
            print(
                f"{sampler:18}{sessions:3}  {row.before_us:8.0f} /{row.before_operations:4}"
                f"{row.after_us:8.0f} /{row.after_operations:4}",
                flush=True,
            )
    if args.out is not None:
        found = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": "python -m ops.bench.loop " + " ".join(sys.argv[1:]),
            "load": round(os.getloadavg()[0], 2),
            "versions": dict(versions()),
            "rows": [asdict(row) for row in rows],
        }
        args.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

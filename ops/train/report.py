"""What every phase shares: its arguments, its full or smoke scale, and its log."""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import torch

_START: Final = time.monotonic()
_UNBOUNDED: Final = 10**9


@dataclass(frozen=True, slots=True)
class Scale:
    """How large a phase runs: in full, or as a smoke test that a CPU ends in seconds."""

    side: int
    share: float
    processes: int
    precision: torch.dtype

    @property
    def smoke(self) -> bool:
        """Whether this is the smoke scale."""
        return self.share < 1

    def pictures(self, count: int) -> int:
        """Return how many of so many pictures to draw."""
        return max(12, int(count * self.share))

    def pixels(self, count: int) -> int:
        """Return how many of so many pixels a step to take."""
        return 2 * self.side**2 if self.smoke else count

    def length(self, pixels: int) -> int:
        """Return a side or a crop, given for pictures of 128 pixels, at this scale."""
        return pixels * self.side // 128


FULL: Final = Scale(128, 1.0, max(1, (os.cpu_count() or 2) - 1), torch.bfloat16)
SMOKE: Final = Scale(64, 1e-4, 0, torch.float32)


class Options(argparse.Namespace):
    """The arguments of every phase."""

    out: Path
    seconds: float
    stop_at: float
    steps: int
    smoke: bool
    resume: bool


OptionsT = TypeVar("OptionsT", bound=Options)


def phase_arguments(
    parser: argparse.ArgumentParser,
    arguments: list[str] | None,
    options: OptionsT,
    *,
    seconds: float,
) -> OptionsT:
    """Read a phase's arguments; a phase stops at its seconds or its steps, whichever ends first."""
    parser.add_argument("--out", type=Path, required=True, help="where results go")
    parser.add_argument("--seconds", type=float, default=seconds, help="training time")
    parser.add_argument(
        "--stop-at", type=float, default=math.inf, help="Unix time to stop training at"
    )
    parser.add_argument("--steps", type=int, default=_UNBOUNDED, help="training steps at most")
    parser.add_argument("--smoke", action="store_true", help="tiny pictures and pools, for a CPU")
    parser.add_argument("--resume", action="store_true", help="go on from the state in --out")
    parser.parse_args(arguments, options)
    options.out.mkdir(parents=True, exist_ok=True)
    return options


def training_seconds(options: Options) -> float:
    """Return how long to train from now on: the seconds asked for, or what is left of a lease."""
    return max(0.1, min(options.seconds, options.stop_at - time.time()))


def settings_for(options: Options) -> Scale:
    """Return the scale that the arguments ask for."""
    return SMOKE if options.smoke else FULL


def phase_device() -> torch.device:
    """Return the GPU, tuned for fixed sizes, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.benchmark_limit = 4
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True
    return torch.device("cuda")


@contextmanager
def seldom() -> Iterator[None]:
    """Do work whose shapes come up once or twice: a search for fast kernels costs more than it."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class Log:
    """One JSON object a line, to the terminal and to a file."""

    def __init__(self, folder: Path, name: str) -> None:
        """Append to ``folder/name.jsonl``."""
        self._path = folder / f"{name}.jsonl"

    def say(self, event: str, **facts: object) -> None:
        """Write an event with the seconds since the program began."""
        line = json.dumps({"at": round(time.monotonic() - _START, 1), "event": event, **facts})
        print(line, flush=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

"""Draws pictures with one engine in the ways that are measured."""

import asyncio
import io
import statistics
import time
from contextlib import aclosing
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from PIL import Image

from engines.base import Picture, Progress
from engines.diffusers import DiffusersEngine
from engines.spec import GenerationSpec
from ops.bench.timed_turn import TimedTurn

_UNDER_WAY = 3


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


def difference(one: bytes, other: bytes) -> dict[str, float]:
    """How far two pictures lie apart, in 1/255."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)), dtype=np.int16) for png in (one, other))
    gap = np.abs(a - b)
    return {"largest": float(gap.max()), "mean": float(gap.mean()), "contrast": float(a.std())}


def _step_seconds(turn: TimedTurn, steps: int) -> list[float]:
    """From the beginning of each drawing step to that of the next work of the same picture."""
    begun = turn.entered[-steps - 1 :]
    return [after - before for before, after in pairwise(begun)]

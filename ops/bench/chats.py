"""Chats that ask for the GPU while pictures are drawn: how long each waits until it is granted.

The chats are a stand-in for llama.cpp: each holds a lease of the scheduler's desk, as the proxy's
requests do, and for a number of tokens multiplies matrices on the same device. Used by `gpu`.
"""

import asyncio
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count, pairwise

import torch

from engines.base import Picture, Turn
from engines.diffusers import DiffusersEngine
from engines.diffusers.loader import synchronize
from engines.spec import GenerationSpec
from ops.bench.timed_turn import TimedTurn
from scheduler.gpu import Gpu
from scheduler.job import Job, JobId, Lane
from scheduler.lease import Tenant

MARGIN_SECONDS = 0.005
_PAUSE_SECONDS = (0.02, 0.08)

TITLES = (
    "    ms to the GPU at once     step      p50      p95      p99    added    token drawn"
    "  <= step + 5 ms"
)


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds from a chat's request to the GPU's grant, and to its first token.

    Attributes:
        at_once: Pictures that are drawn at once.
        step_seconds: Of as many undisturbed pictures; 0 where none is drawn.
        added_seconds: The 95th percentile over that without pictures.
        within: Whether that is at most one step and a margin.
    """

    mode: str
    chats: int
    p50_seconds: float
    p95_seconds: float
    p99_seconds: float
    first_token_p95_seconds: float
    at_once: int = 0
    step_seconds: float = 0.0
    added_seconds: float = 0.0
    within: bool = True
    pictures: int = 0

    def line(self) -> str:
        """Return the table's line under `TITLES`, in milliseconds."""
        times = (self.step_seconds, self.p50_seconds, self.p95_seconds, self.p99_seconds,
                 self.added_seconds, self.first_token_p95_seconds)  # fmt: skip
        told = "".join(f"{seconds * 1e3:9.1f}" for seconds in times)
        verdict = "" if not self.step_seconds else "  yes" if self.within else "  no"
        return f"    {self.mode:14}{self.at_once:6}{told}{self.pictures:6}{verdict}"


@dataclass(slots=True)
class Reply:
    """Tokens of one chat after another: each is a few products of matrices.

    They run in one stream of their own. Every new stream would get workspaces of its own from
    PyTorch, 64 MiB for each of 32, which in one process look like a leak of the engine's.
    """

    device: torch.device
    tokens: int = 16
    side: int = 4096
    matrix: torch.Tensor = field(init=False)
    stream: "torch.cuda.Stream | None" = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.device.type == "cuda":
            self.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]  # torch's gap
        dtype = torch.float16 if self.device.type == "cuda" else torch.float32
        self.matrix = torch.ones((self.side, self.side), dtype=dtype, device=self.device)

    def speak(self) -> float:
        """Make every token, in a thread of the caller's choice; return when the first was there."""
        with nullcontext() if self.stream is None else torch.cuda.stream(self.stream):
            return self._speak()

    def _speak(self) -> float:
        first = 0.0
        for _ in range(self.tokens):
            for _ in range(4):
                torch.mm(self.matrix, self.matrix)
            synchronize(self.device)
            first = first or time.perf_counter()
        return first


@dataclass(slots=True)
class Table:
    """Where pictures and chats meet: a shared GPU, or a mutex that each holds from end to end."""

    engine: DiffusersEngine
    spec: GenerationSpec
    gpu: Gpu = field(default_factory=Gpu)
    mutex: asyncio.Lock | None = None
    drawn: int = 0
    numbers: "count[int]" = field(default_factory=count)

    async def chat(self, reply: Reply) -> tuple[float, float]:
        """Return the seconds to the grant and to the first token."""
        asked = time.perf_counter()
        async with self._granted():
            granted = time.perf_counter()
            first = await asyncio.to_thread(reply.speak)
        return granted - asked, first - asked

    @asynccontextmanager
    async def _granted(self) -> AsyncIterator[None]:
        if self.mutex is not None:
            async with self.mutex:
                yield
            return
        async with self.gpu.desk.hold(Tenant.LLM, "chat"):
            yield

    async def feed(self) -> None:
        """Draw one picture after another beside the chats."""
        while True:
            number = next(self.numbers)
            spec = replace(self.spec, seed=number)
            if self.mutex is None:
                await self._draw_in_turns(spec)
            else:
                async with self.mutex:
                    await draw(self.engine, spec, TimedTurn(f"mutex-{number}"))
            self.drawn += 1

    async def _draw_in_turns(self, spec: GenerationSpec) -> None:
        name, now = JobId(f"chats-{spec.seed}"), datetime.now(UTC)
        job = Job(name, spec.seed, spec, self.engine.name, Lane.NORMAL, now)
        turn = self.gpu.turn(job=job, index=0, ticket=None, keep=_keep)
        try:
            await draw(self.engine, spec, turn)
        finally:
            turn.close()


async def draw(engine: DiffusersEngine, spec: GenerationSpec, turn: Turn) -> None:
    """Draw one picture and throw it away."""
    async with aclosing(engine.generate(spec, turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                return


async def _keep(_: str) -> None:
    """Keep no ticket."""


async def _step_seconds(engine: DiffusersEngine, spec: GenerationSpec, at_once: int) -> float:
    """Return the median step of undisturbed pictures, drawn at once, when all is warm."""
    gaps: list[float] = []
    for _ in range(2):
        turns = [TimedTurn(f"step-{number}") for number in range(at_once)]
        await asyncio.gather(
            *(draw(engine, replace(spec, seed=seed), turn) for seed, turn in enumerate(turns))
        )
        begun = turns[0].entered[-spec.steps - 1 :]
        gaps = [after - before for before, after in pairwise(begun)]
    return statistics.median(gaps)


async def measure_chats(
    engine: DiffusersEngine,
    spec: GenerationSpec,
    *,
    device: torch.device,
    chats: int,
    at_once: Sequence[int],
    side: int,
    say: Callable[[Waits], object],
) -> list[Waits]:
    """Measure without pictures, with pictures that park, and behind a mutex.

    Args:
        engine: Draws.
        spec: What it draws, again and again.
        device: The one that both share.
        chats: How many chats ask, one after another.
        at_once: Numbers of pictures that are drawn at once.
        side: Of the matrices.
        say: Told each result as soon as there is one.
    """
    reply = Reply(device, side=side)
    base = _waits("no pictures", await _chat(Table(engine, spec), reply, chats, 0))
    say(base)
    found = [base]
    # Behind a mutex there is one picture at a time, and at worst one chat waits for all of it.
    modes = [("parked", number, None) for number in at_once]
    for mode, drawing, mutex in (*modes, ("plain mutex", 1, asyncio.Lock())):
        step = await _step_seconds(engine, spec, drawing)
        table = Table(engine, spec, mutex=mutex)
        plain = _waits(mode, await _chat(table, reply, chats, drawing))
        added = plain.p95_seconds - base.p95_seconds
        told = replace(
            plain,
            at_once=drawing,
            step_seconds=step,
            added_seconds=added,
            within=added <= step + MARGIN_SECONDS,
            pictures=table.drawn,
        )
        say(told)
        found.append(told)
    return found


async def _chat(table: Table, reply: Reply, chats: int, drawing: int) -> list[tuple[float, float]]:
    """Chat at random moments while pictures are drawn; return what each waited."""
    feeding = [asyncio.create_task(table.feed()) for _ in range(drawing)]
    choice = random.Random(1)  # noqa: S311 - reproducible
    times = []
    for _ in range(chats):
        await asyncio.sleep(choice.uniform(*_PAUSE_SECONDS))
        times.append(await table.chat(reply))
    for task in feeding:
        task.cancel()
    ended = await asyncio.gather(*feeding, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error
    return times


def _waits(mode: str, times: list[tuple[float, float]]) -> Waits:
    grants, firsts = (sorted(part) for part in zip(*times, strict=True))
    p50, p95, p99 = (_quantile(grants, share) for share in (0.5, 0.95, 0.99))
    return Waits(mode, len(times), p50, p95, p99, _quantile(firsts, 0.95))


def _quantile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank quantile."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

"""Jobs and pictures that a test steps by hand."""

import asyncio
from datetime import UTC, datetime

from engines.base import EngineName
from engines.spec import GenerationSpec
from scheduler.gpu import Gpu
from scheduler.job import Job, JobId, Lane
from scheduler.turn import PictureTurn

SPEC = GenerationSpec(
    prompt="a card",
    model="test-card",
    width=512,
    height=512,
    steps=20,
    cfg=7.0,
    seed=1,
    sampler="euler",
)


def a_job(number: int = 1, lane: Lane = Lane.NORMAL) -> Job:
    """Return a queued job."""
    return Job(
        id=JobId(f"job-{number}"),
        number=number,
        spec=SPEC,
        engine=EngineName("fake"),
        lane=lane,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


class Parking:
    """Hears whether a picture is parked, and lets a test wait for it."""

    def __init__(self) -> None:
        self.heard: list[bool] = []
        self._news = asyncio.Event()

    def __call__(self, parked: bool) -> None:
        self.heard.append(parked)
        self._news.set()

    async def until(self, *heard: bool) -> None:
        """Wait until exactly this was heard."""
        while self.heard != list(heard):
            await self._news.wait()
            self._news.clear()


async def no_ticket(_: str) -> None:
    """Keep nothing."""


def a_turn(
    gpu: Gpu, number: int = 1, *, whole: bool = False, parking: Parking | None = None
) -> PictureTurn:
    """Return the turn of a job's first picture."""
    return gpu.turn(
        job=a_job(number),
        index=0,
        ticket=None,
        keep=no_ticket,
        whole=whole,
        parked=parking or Parking(),
    )

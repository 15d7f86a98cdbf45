"""Draws and stores the pictures of one job."""

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from opentelemetry import trace

from engines.base import Engine, Picture, Progress
from engines.errors import EngineProtocolError
from engines.outlast import outlast
from scheduler.errors import StoreDownError, StoreError
from scheduler.eta import Forecast
from scheduler.gpu import Gpu
from scheduler.job import Artifact, Job, Queued, Running, Status, Storing, Succeeded
from scheduler.ports import Clock, ImageStore
from scheduler.seats import Seat, Seats
from scheduler.table import JobTable
from scheduler.turn import PictureTurn

T = TypeVar("T")

_tracer = trace.get_tracer("kitty_images.scheduler")


def _give_back(seat: Seat, _: object) -> None:
    seat.release()


class Runner:
    """One running job: its pictures, drawn side by side where the engine has room."""

    def __init__(
        self,
        *,
        job: Job,
        engine: Engine,
        gpu: Gpu,
        seat: Seat,
        seats: Seats,
        cold: bool,
        table: JobTable,
        images: ImageStore,
        forecast: Forecast,
        clock: Clock,
    ) -> None:
        self._job = job
        self._engine = engine
        self._gpu = gpu
        self._seat = seat
        self._seats = seats
        self._mine = [seat]
        self._cold = cold
        self._table = table
        self._images = images
        self._forecast = forecast
        self._clock = clock
        self._turns: dict[int, PictureTurn] = {}
        self._missing: deque[int] = deque()
        self._puts: dict[int, asyncio.Future[Artifact]] = {}
        self._artifacts: dict[int, Artifact] = {}
        self._shares_done: dict[int, float] = {}
        self._latest: dict[int, Progress] = {}
        self._spooled = False
        self._unknown = False
        self._paused = False

    @property
    def seat(self) -> Seat:
        """The seat that the job was let in with."""
        return self._seat

    def pause(self, paused: bool) -> None:
        """Hold the job's pictures at their next step boundaries, or let them go on."""
        self._paused = paused
        for seat in self._mine:
            seat.rest(paused)
        for turn in self._turns.values():
            turn.pause(paused)

    async def run(self) -> Status:
        """Draw and store what is missing; return `Succeeded`, or `Storing` if the store is down.

        Raises:
            EngineError: a picture could not be drawn.
            StoreError: a picture could be neither stored nor spooled.
        """
        was = self._job.status
        tickets = was.tickets if isinstance(was, Queued) else {}
        self._unknown = isinstance(was, Queued) and was.again
        try:
            running = Running(self._clock.now(), paused=self._paused, tickets=tickets)
            await self._table.advance(self._job.id, running)
            if self._unknown:
                await self._find()
            self._missing = deque(i for i in range(self._job.count) if i not in self._artifacts)
            if self._missing:
                await self._draw_missing()
        except BaseException:
            await outlast(self._list_stored())
            raise
        artifacts = tuple(self._artifacts[index] for index in sorted(self._artifacts))
        if self._spooled:
            return Storing(self._clock.now(), artifacts=artifacts)
        return Succeeded(artifacts, self._clock.now())

    async def _find(self) -> None:
        """Find out which pictures earlier runs drew."""
        found = await self._images.find(self._job)
        self._artifacts |= {artifact.index: artifact for artifact in found if artifact is not None}
        # What was found may lie in the spool still: only an upload that succeeds proves it stored.
        self._spooled |= bool(self._artifacts)
        self._unknown = False

    async def _draw_missing(self) -> None:
        """Draw on our seat, and on spare ones while there are some."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(len(self._missing) - 1):
                    spare = self._seats.take_spare(self._job.lane)
                    if spare is None:
                        break
                    self._mine.append(spare)
                    drawing = group.create_task(self._draw_on(spare, group))
                    # A task that is cancelled before its first step runs no `finally` of its own.
                    drawing.add_done_callback(partial(_give_back, spare))
                await self._draw_on(self._seat, group)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _draw_on(self, seat: Seat, group: asyncio.TaskGroup) -> None:
        """Draw one missing picture after another; each is stored while the next is drawn."""
        try:
            while self._missing:
                index = self._missing.popleft()
                picture = await self._draw(index)
                # Begun at once: a cancel may end the next task before its first step.
                put = asyncio.ensure_future(self._images.put(self._job, index, picture))
                self._puts[index] = put
                group.create_task(self._keep(index, put))
        finally:
            seat.release()

    async def _draw(self, index: int) -> Picture:
        """Draw one picture; the engine is free of it when this returns or raises."""
        spec, started = self._job.spec.picture(index), self._clock.monotonic()
        self._latest[index] = Progress("waiting")
        turn = self._turn(index)
        try:
            with _tracer.start_as_current_span("engine") as span:
                span.set_attribute("engine", self._engine.name)
                async with aclosing(self._engine.generate(spec, turn)) as updates:
                    async for update in updates:
                        match update:
                            case Progress():
                                if update.phase != "parked":
                                    self._latest[index] = update
                                self._report(index, update)
                            case Picture():
                                break
                    else:
                        raise EngineProtocolError(f"{self._engine.name} ended without a picture")
                span.set_attribute("parked_seconds", turn.parked_seconds)
        finally:
            del self._turns[index]
            turn.close()
        seconds = self._clock.monotonic() - started - turn.held_seconds
        self._forecast.learn(self._engine.name, spec, cold=self._cold, seconds=seconds)
        return update

    def _turn(self, index: int) -> PictureTurn:
        """Open a picture's turn, with the ticket that an earlier run may have left."""
        status = self._table[self._job.id].status
        ticket = status.tickets.get(index) if isinstance(status, Running) else None

        async def keep(ticket: str) -> None:
            status = self._table[self._job.id].status
            if isinstance(status, Running):
                tickets = {**status.tickets, index: ticket}
                await self._table.advance(self._job.id, replace(status, tickets=tickets))

        turn = self._gpu.turn(
            job=self._job,
            index=index,
            ticket=ticket,
            keep=keep,
            whole=self._engine.capabilities.preemption == "job",
            parked=lambda parked: self._park(index, parked),
        )
        self._turns[index] = turn
        turn.pause(self._paused)
        return turn

    def _park(self, index: int, parked: bool) -> None:
        """Announce that a picture is held back, or goes on; it may be drawn by now."""
        if index in self._turns:
            latest = self._latest[index]
            phase = "parked" if parked else latest.phase
            self._report(index, replace(latest, phase=phase, preview=None))

    def _report(self, index: int, progress: Progress) -> None:
        """Announce progress, of the picture and of the whole job."""
        if progress.steps:
            self._shares_done[index] = progress.step / progress.steps
        done = (len(self._artifacts) + sum(self._shares_done.values())) / self._job.count
        self._table.report(self._job.id, progress, min(done, 1.0))

    async def _keep(self, index: int, put: asyncio.Future[Artifact]) -> None:
        """See a picture into the store; once it is drawn, no cancel loses it."""
        with _tracer.start_as_current_span("store"):
            try:
                artifact = await outlast(put)
            except StoreDownError:
                self._spooled = True
                return
        self._artifacts[index] = artifact
        self._shares_done.pop(index, None)
        status = self._table[self._job.id].status
        if self._job.count > 1 and isinstance(status, Running):
            artifacts = (*status.artifacts, artifact)
            await self._table.advance(self._job.id, replace(status, artifacts=artifacts))

    async def _list_stored(self) -> None:
        """Note in the job what is stored of it, before it ends without having drawn all.

        Pictures that were on their way to the store when the drawing broke off arrive there.
        """
        for index, put in self._puts.items():
            try:
                self._artifacts[index] = await put
            except StoreError as error:
                self._spooled |= isinstance(error, StoreDownError)
        if self._spooled or self._unknown:
            await self._find()
        status = self._table[self._job.id].status
        artifacts = tuple(self._artifacts[index] for index in sorted(self._artifacts))
        if isinstance(status, Running) and artifacts != status.artifacts:
            self._table.move(self._job.id, replace(status, artifacts=artifacts))

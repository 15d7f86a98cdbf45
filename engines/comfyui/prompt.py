"""One prompt on the server: sent or found again, followed to its end, cleared away."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import TypeVar

from engines.base import Progress
from engines.comfyui.client import Client
from engines.comfyui.listener import Listener
from engines.comfyui.messages import Message
from engines.comfyui.meter import Meter
from engines.comfyui.records import Drawn, Failed, Gone, Interrupted, Outcome, Standing, Waiting
from engines.comfyui.sketch import Graph
from engines.comfyui.ticket import Ticket
from engines.errors import EngineDownError, EngineTimeoutError, LostError
from engines.http import AnswerLostError
from engines.outlast import outlast

T = TypeVar("T")

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How patient the engine is.

    Attributes:
        poll_seconds: Between two looks at queue and history while the socket is quiet.
        quick_seconds: Between two looks at a prompt that is about to be over.
        quick_looks: How many of those; the history follows the socket within a moment.
        lost_looks: Looks in a row that must fail, or find nothing, before the prompt is lost.
        stall_seconds: How long a prompt whose turn it is may show no sign of life.
        silence_seconds: After which a websocket without frames is replaced.
        reconnect_seconds: Before a broken websocket is replaced.
        free_seconds: How long to watch memory become free.
    """

    poll_seconds: float = 2.0
    quick_seconds: float = 0.1
    quick_looks: int = 20
    lost_looks: int = 3
    stall_seconds: float = 600.0
    silence_seconds: float = 30.0
    reconnect_seconds: float = 1.0
    free_seconds: float = 5.0


class Prompt:
    """A prompt on the server, by its ticket."""

    def __init__(self, *, client: Client, ticket: Ticket, timing: Timing) -> None:
        self.ticket = ticket
        self.outcome: Outcome | None = None
        self._client = client
        self._timing = timing
        self._meter = Meter(
            prompt_id=ticket.prompt_id, classes=ticket.classes, passes=dict(ticket.passes)
        )
        self._news = asyncio.Event()
        self._claimed_over = self._look_now = self._unsure = False
        self._last_sign = 0.0

    def listener(self) -> Listener:
        """Return what must be entered before the prompt is sent, so that nothing is missed."""
        return Listener(
            server=self._client.server,
            client_id=self.ticket.client_id,
            on_message=self._hear,
            on_break=self._lose_socket,
            silence_seconds=self._timing.silence_seconds,
            pause_seconds=self._timing.reconnect_seconds,
        )

    async def submit(self, graph: Graph) -> None:
        """Send the prompt exactly once; `ticket` then holds the id that the server gave it.

        A cancellation waits for the answer: what was sent must be known before it is stopped.

        Raises:
            InvalidSpecError: the server refuses it.
            LostError: it was not taken in, or nobody knows.
        """
        ticket = self.ticket
        self._unsure = True
        try:
            given = await outlast(self._client.submit(graph, ticket.prompt_id, ticket.client_id))
        except (AnswerLostError, EngineTimeoutError):
            if not await self._was_taken_in():
                raise
        else:
            self._unsure = False
            self.ticket = replace(ticket, prompt_id=given)
            self._meter.prompt_id = given

    async def follow(self) -> AsyncGenerator[Progress]:
        """Tell how far it is until it is over; then `outcome` is known.

        Raises:
            EngineDownError: the server is gone, or does not know the prompt any more.
            EngineTimeoutError: nothing moves.
        """
        self._sign_of_life()
        looks = missing = failures = 0
        while self.outcome is None:
            self._look_now = False
            try:
                standing = await self._client.look(self.ticket.prompt_id)
            except LostError:
                failures += 1
                if failures >= self._timing.lost_looks:
                    raise
            else:
                failures = 0
                missing = missing + 1 if standing is Gone.GONE else 0
                self._judge(standing, missing)
            looks = looks + 1 if self._claimed_over or missing else 0
            soon = 0 < looks <= self._timing.quick_looks and not failures
            pause = self._timing.quick_seconds if soon else self._timing.poll_seconds
            async with aclosing(self._until(pause)) as news:
                async for progress in news:
                    yield progress

    async def abandon(self) -> None:
        """Stop the prompt, and return when it has left the server, or the server has left us.

        After a POST without an answer the prompt may come late: then several looks must miss it.
        """
        failures, misses, pause = 0, 0, self._timing.quick_seconds
        enough = self._timing.lost_looks if self._unsure else 1
        while misses < enough and failures < self._timing.lost_looks:
            try:
                if await self._client.waiting(self.ticket.prompt_id) is None:
                    misses += 1
                else:
                    misses = 0
                    await self._client.stop(self.ticket.prompt_id)
                failures = 0
            except LostError as error:
                failures += 1
                _log.warning("prompt %s cannot be stopped: %s", self.ticket.prompt_id, error)
            if misses < enough:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        await self.forget()

    async def forget(self) -> None:
        """Clear the server's memory of it."""
        with suppress(LostError):
            await self._client.forget(self.ticket.prompt_id)

    async def _was_taken_in(self) -> bool:
        for _ in range(self._timing.lost_looks):
            await asyncio.sleep(self._timing.quick_seconds)
            if await self._client.look(self.ticket.prompt_id) is not Gone.GONE:
                return True
        return False

    def _judge(self, standing: Standing, missing: int) -> None:
        """Take note of where the prompt is; raise when it is nowhere, or when nothing moves."""
        match standing:
            case Drawn() | Failed() | Interrupted():
                self.outcome = standing
                self._look_now = True
                if isinstance(standing, Drawn):
                    self._meter.complete()
            case Gone():
                if missing >= self._timing.lost_looks:
                    raise EngineDownError("the server does not know the prompt any more")
            case Waiting.BEHIND:
                self._sign_of_life()
            case Waiting.PENDING | Waiting.RUNNING:
                silent = asyncio.get_running_loop().time() - self._last_sign
                if silent > self._timing.stall_seconds:
                    raise EngineTimeoutError(f"{standing.value}, but silent for {silent:.1f} s")

    async def _until(self, seconds: float) -> AsyncGenerator[Progress]:
        """Tell the news of the next seconds; end early when it is time to look again."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            self._news.clear()
            for progress in self._meter.take():
                yield progress
            if self._look_now:
                return
            try:
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            except TimeoutError:
                return

    def _hear(self, message: Message) -> None:
        self._sign_of_life()
        self._meter.read(message)
        if self._meter.ends(message):
            self._claimed_over = self._look_now = True
        self._news.set()

    def _lose_socket(self) -> None:
        self._look_now = True
        self._news.set()

    def _sign_of_life(self) -> None:
        self._last_sign = asyncio.get_running_loop().time()

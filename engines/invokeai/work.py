"""One queued batch: submitted once, found again after a loss, followed to its end, or stopped."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from secrets import token_hex
from typing import Final

from engines.base import Progress, Turn
from engines.errors import EngineDownError, EngineProtocolError, EngineTimeoutError, LostError
from engines.http import AnswerLostError, NotSentError
from engines.invokeai.client import Client
from engines.invokeai.failures import failure
from engines.invokeai.feed import Feed, Socket
from engines.invokeai.messages import Changed, Disturbed, Item, Stepped
from engines.invokeai.meter import Meter
from engines.invokeai.parts import Plan
from engines.outlast import outlast
from engines.patience import ServerPatience

_log = logging.getLogger(__name__)

PATIENCE: Final = ServerPatience(
    poll_seconds=2.0,  # the socket hastens them
    lost_seconds=15.0,
    stall_seconds=1800.0,
    stop_seconds=300.0,
)

_REFUSALS_OF_THE_DEAD = 3


class Work:
    """A picture's batch on the server; the turn's ticket holds its name across our restarts."""

    def __init__(self, *, client: Client, turn: Turn, owner: str, patience: ServerPatience) -> None:
        self._client = client
        self._turn = turn
        self._owner = owner
        self._patience = patience
        self._destination = f"kitty-images:{turn.picture_id}"
        self._batch = _batch_of(turn, owner)
        self._item: Item | None = None
        self._stopped = False
        self._heard = self._changed = self._polled = 0.0

    async def find(self) -> bool:
        """Say whether the server has, or has drawn, the batch that the ticket names.

        A cancelled one does not count: it is drawn anew, under another name.
        """
        if not self._batch:
            return False
        items = await self._client.items(batch=self._batch, destination=self._destination)
        live = [item for item in items if item.status != "canceled"]
        if items and not live:
            self._batch = ""
        self._item = live[0] if live else None
        return self._item is not None

    async def draw(self, plan: Plan, socket: Socket) -> AsyncGenerator[Progress]:
        """Queue the plan unless the batch was found, and report until it is drawn.

        Closing this stops the drawing and returns when the server's worker is free of it.

        Raises:
            EngineError: it was not drawn. The ticket is kept only if the server may still draw it.
        """
        meter = Meter(plan.passes)
        try:
            if self._item is None or not self._item.ended:
                async with socket.listening() as feed:
                    item = self._item or await self._submit(plan)
                    self._heard = self._changed = _now()
                    while not item.ended:
                        if progress := await self._advance(item, feed, meter):
                            yield progress
                        item = self._item or item
            await self._conclude()
            if (last := meter.finished()) is not None:
                yield last
        except (GeneratorExit, asyncio.CancelledError):
            await outlast(self.stop())
            raise

    async def picture(self, plan: Plan) -> bytes:
        """Fetch what was drawn; a connection that breaks meanwhile is tried again.

        Raises:
            EngineError: the picture cannot be had.
        """
        name = self._item.images.get(plan.output) if self._item else None
        if name is None:
            await self.forget()
            raise EngineProtocolError("the item was completed without a picture")
        for _ in range(2):
            with suppress(AnswerLostError):
                return await self._client.picture(name)
        return await self._client.picture(name)

    async def forget(self) -> None:
        """Let the next attempt draw anew."""
        await self._turn.keep_ticket("")

    async def stop(self) -> None:
        """Cancel the batch, sent or only named by the ticket, and wait until the worker is free.

        The database calls an item cancelled at once; the worker goes on to its next step, and
        through a decoding or a loading to its end.
        """
        if not self._batch or self._stopped:
            return
        deadline, refusals = _now() + self._patience.stop_seconds, 0
        while _now() < deadline:
            try:
                if await self._is_stopped():
                    self._stopped = True
                    return
                refusals = 0
            except NotSentError:
                refusals += 1
                if refusals == _REFUSALS_OF_THE_DEAD:
                    return  # nobody there who could draw
            except LostError as error:
                _log.info("cancelling %s: %s", self._batch, error)
            await asyncio.sleep(min(self._patience.poll_seconds, 0.1))
        _log.warning("%s was cancelled, but the server is still at it", self._batch)

    async def _is_stopped(self) -> bool:
        """Cancel what is not, and say whether the worker has left it."""
        items = [self._item] if self._item else await self._look_up()
        free = True
        for item in items:
            cancelled = await self._client.cancel(item.number)
            if (
                cancelled is None
                or not cancelled.begun
                or cancelled.status in ("completed", "failed")
            ):
                continue
            queue = await self._client.queue()
            free &= not queue.processing or queue.current not in (None, item.number)
        return free

    async def _look_up(self) -> list[Item]:
        return await self._client.items(batch=self._batch, destination=self._destination)

    async def _submit(self, plan: Plan) -> Item:
        """Queue the plan exactly once, under a name that is kept before it is sent."""
        if not self._batch:
            self._batch = f"{self._turn.picture_id}-{token_hex(4)}"
            await self._turn.keep_ticket(f"{self._owner}:{self._batch}")
        try:
            numbers = await outlast(
                self._client.enqueue(
                    batch=self._batch, destination=self._destination, graph=plan.graph
                )
            )
            items = [Item(number, self._batch, "pending") for number in numbers]
        except (AnswerLostError, EngineTimeoutError):
            items = await self._look_up()
            if not items:
                raise
        self._item, *repeats = items
        for repeat in repeats:  # an earlier submission arrived after all
            await self._client.cancel(repeat.number)
        return self._item

    async def _advance(self, item: Item, feed: Feed, meter: Meter) -> Progress | None:
        """Take the next piece of news, from the socket or by a look at the queue."""
        due = self._polled + self._patience.poll_seconds
        if _now() < due:
            message = await feed.next(due - _now())
            match message:
                case Stepped(batch=batch) if batch == self._batch:
                    self._changed = _now()
                    return meter.read(message)
                case Changed(batch=batch) if batch == self._batch:
                    pass
                case Stepped() | Changed():
                    self._changed = _now()  # another's turn: the worker lives
                    return None
                case Disturbed() | None:
                    pass
        await self._poll(item)
        if self._item is not None and not self._item.ended:
            return meter.at("waiting") if self._item.status == "pending" else None
        return None

    async def _poll(self, item: Item) -> None:
        """Look at the item; a server that is out of reach for a while is forgiven."""
        self._polled = _now()
        try:
            seen = await self._client.item(item.number)
        except LostError:
            if _now() - self._heard > self._patience.lost_seconds:
                raise
            return
        self._heard = _now()
        if seen is None:
            await self.forget()
            raise EngineDownError(f"item {item.number} has vanished from the server's queue")
        if seen.status != item.status:
            self._changed = _now()
        self._item = seen
        if not seen.ended and _now() - self._changed > self._patience.stall_seconds:
            await outlast(self.stop())
            await self.forget()
            raise EngineTimeoutError(
                f"item {item.number} has stood at {seen.status!r} for too long"
            )

    async def _conclude(self) -> None:
        """Raise what an item that ended otherwise than completed stands for."""
        item = self._item
        if item is None or item.status == "completed":
            return
        await self.forget()
        if item.status == "failed":
            raise failure(item)
        raise EngineDownError(
            f"item {item.number} was canceled, not by us: the server was restarted, or somebody"
            " cancelled it there"
        )


def _batch_of(turn: Turn, owner: str) -> str:
    """Return the batch that the turn's ticket names.

    Empty without a ticket, and for one of another engine's or of another picture's.
    """
    prefix = f"{owner}:{turn.picture_id}-"
    ticket = turn.ticket or ""
    return ticket.removeprefix(f"{owner}:") if ticket.startswith(prefix) else ""


def _now() -> float:
    return asyncio.get_running_loop().time()

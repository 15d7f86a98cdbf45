"""One call in flight: a POST that blocks until the picture is done, watched from the side."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing, suppress
from typing import Final, TypeVar

from engines.a1111.client import Client
from engines.a1111.looks import progress, read_preview
from engines.a1111.passes import EXTRAS, Call
from engines.base import Progress
from engines.errors import EngineProtocolError, EngineTimeoutError, LostError
from engines.http import Answer, AnswerLostError
from engines.outlast import outlast
from engines.patience import ServerPatience

T = TypeVar("T")

PATIENCE: Final = ServerPatience(
    poll_seconds=0.5,  # every look makes the server encode a preview
    stall_seconds=600.0,
    stop_seconds=120.0,
)

_QUIET_LOOKS = 2
"""So often in a row nothing of ours must be seen: between the lock and the first step, and while
a cut request still travels, one look may miss it."""

_MAYBE_DRAWING = (AnswerLostError, EngineTimeoutError, EngineProtocolError)
"""What a call can fail with though the server draws on; a request that was not sent is not here."""


class Tower:
    """Sends calls, watches them, and sees to it that none is left in the air.

    Attributes:
        tasks: Whether the server tells our drawings from others (`/internal/progress`). Where it
            does not, nothing is interrupted, for it might be somebody else's.
    """

    def __init__(self, client: Client, patience: ServerPatience) -> None:
        self.tasks = True
        self._left: set[str] = set()
        self._client = client
        self._patience = patience

    async def fly(
        self, call: Call, task: str, *, done: int, total: int
    ) -> AsyncGenerator[Progress | Answer]:
        """Send a call; yield its progress, then the answer, whatever its status.

        Closing it interrupts the drawing and returns when the server is free of it.

        Raises:
            LostError: the answer is lost; as far as can be seen, the server is free of it.
        """
        post, answer = asyncio.create_task(self._client.draw(call.path, call.named(task))), None
        try:
            watch = self._watch(post, call, task, done=done, total=total)
            async with aclosing(watch) as updates:
                async for update in updates:
                    yield update
            answer = await post
        finally:
            if answer is None:
                await outlast(self._land(post, task))
        yield answer

    async def settle(self, tasks: Collection[str]) -> None:
        """Wait until the server has none of `tasks`, nor any that we could not see end.

        Raises:
            EngineTimeoutError: it does not let go of them.
            LostError: it could not be asked.
        """
        self._left.update(tasks)
        if self._left:
            await self._quiet(tuple(self._left) if self.tasks else None)
            self._left.clear()

    async def idle(self) -> None:
        """Wait until the server draws nothing for anybody.

        Raises:
            EngineTimeoutError: it goes on and on.
            LostError: it could not be asked.
        """
        await self._quiet(None)

    async def _quiet(self, tasks: Collection[str] | None) -> None:
        """Wait until the server has none of `tasks`; with None, until it has nothing at all."""
        loop = asyncio.get_running_loop()
        deadline, quiet = loop.time() + self._patience.stall_seconds, 0
        while True:
            quiet = 0 if await self._has(tasks) else quiet + 1
            if quiet >= _QUIET_LOOKS:
                return
            if not quiet and loop.time() > deadline:
                raise EngineTimeoutError("the server does not let go of an earlier drawing")
            await asyncio.sleep(self._patience.poll_seconds)

    async def _watch(
        self, post: "asyncio.Task[Answer]", call: Call, task: str, *, done: int, total: int
    ) -> AsyncGenerator[Progress]:
        """Report progress until the call is answered; it never falls.

        Raises:
            EngineTimeoutError: nothing moves any more.
        """
        loop = asyncio.get_running_loop()
        look = Look(self._client, call, task, tasks=self.tasks, done=done, total=total)
        stalled, best, mark = 0.0, done, look.mark
        while True:
            began = loop.time()
            await asyncio.wait([post], timeout=self._patience.poll_seconds)
            if post.done():
                return
            with suppress(LostError):  # the call itself will tell, or stall
                await look.take()
            stalled = 0.0 if look.mark != mark else stalled + loop.time() - began
            mark = look.mark
            if stalled > self._patience.stall_seconds:
                raise EngineTimeoutError(f"no step for {self._patience.stall_seconds:g} seconds")
            best = max(best, look.progress.step)
            yield Progress(look.progress.phase, best, total, look.preview)

    async def _land(self, post: "asyncio.Task[Answer]", task: str) -> None:
        """Interrupt our drawing until its call returns, and drop what it returns.

        Where the call's connection broke, wait until the server no longer has the drawing.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience.stop_seconds
        while not post.done() and loop.time() < deadline:
            with suppress(LostError):  # the call will tell
                await self._has([task] if self.tasks else None)
            await asyncio.wait([post], timeout=self._patience.poll_seconds)
        post.cancel()
        await asyncio.wait([post])
        if post.cancelled() or isinstance(post.exception(), _MAYBE_DRAWING):
            self._left.add(task)
            with suppress(LostError):  # the next drawing tries again
                await self.settle(())

    async def _has(self, tasks: Collection[str] | None) -> bool:
        """Say whether the server has any of `tasks`, and interrupt the one that runs."""
        if tasks is None:
            return (await self._client.state()).busy
        looks = [await self._client.task(task) for task in tasks]
        state = await self._client.state()
        if any(look.active for look in looks) and state.busy:
            await self._client.interrupt()
            return True
        # where nothing runs, `active` and `queued` are what failed calls left behind
        return any(look.queued for look in looks) and state.busy


class Look:
    """Looks at a call again and again, and keeps what was seen last.

    Attributes:
        mark: Differs from the one before if anything moved.
        preview: A JPEG that has not been seen before, else None.
    """

    def __init__(
        self, client: Client, call: Call, task: str, *, tasks: bool, done: int, total: int
    ) -> None:
        self.progress = Progress("waiting", done, total)
        self.mark: tuple[object, ...] = ()
        self.preview: bytes | None = None
        self._client = client
        self._call = call
        self._task = task if tasks and call.path != EXTRAS else ""
        self._done = done
        self._total = total
        self._preview_id = -1

    async def take(self) -> None:
        """Look once.

        Raises:
            LostError: the server could not be asked.
        """
        self.preview = None
        fraction = await (self._named() if self._task else self._unnamed())
        if fraction is None:
            self.progress = Progress("waiting", self._done, self._total)
        else:
            steps = self._call.steps
            self.progress = progress(fraction, done=self._done, steps=steps, total=self._total)

    async def _named(self) -> float | None:
        """Return how far our drawing is, None while it waits for others."""
        task = await self._client.task(self._task, preview_id=self._preview_id)
        if task.active:
            self.mark = (task.fraction, task.preview_id)
            if task.preview:
                self.preview = await asyncio.to_thread(read_preview, task.preview)
                self._preview_id = task.preview_id
            return task.fraction
        state = await self._client.state()
        self.mark = (task.text, state.fraction, state.started)
        return None

    async def _unnamed(self) -> float | None:
        """Return how far whatever runs is: most likely ours, for we send one at a time."""
        state = await self._client.state()
        self.mark = (state.fraction, state.started)
        return state.fraction if state.busy else None

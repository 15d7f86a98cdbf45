"""When engines give their memory on a GPU to others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from engines.errors import EngineError

RELEASE_SECONDS = 10.0

_log = logging.getLogger(__name__)


class MemoryPolicy(StrEnum):
    """When the engines are asked to release their memory."""

    KEEP = "keep"
    IDLE = "idle"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRules:
    """The policy; `idle_seconds` is how long no picture has wanted the GPU, for `idle`."""

    policy: MemoryPolicy = MemoryPolicy.KEEP
    idle_seconds: float = 300.0


class Memory:
    """Applies a policy to the engines of one GPU.

    With `idle` a timer runs while no picture wants the GPU; with `always` memory is freed before
    a chat gets the GPU.
    """

    def __init__(self, *, rules: MemoryRules) -> None:
        self._rules = rules
        self._releases: list[Callable[[], Awaitable[None]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._releasing: asyncio.Task[None] | None = None
        self._then: Callable[[], object] | None = None

    @property
    def at_hand_over(self) -> bool:
        """Whether a chat must wait until memory is freed for it."""
        return self._rules.policy is MemoryPolicy.ALWAYS

    def attach(self, release: Callable[[], Awaitable[None]]) -> None:
        """Take in how another engine's memory is freed."""
        self._releases.append(release)

    def wanted(self, wanted: bool) -> None:
        """Take in whether pictures want the GPU."""
        if wanted and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif not wanted and self._timer is None and self._rules.policy is MemoryPolicy.IDLE:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._rules.idle_seconds, self.free)

    def free(self, then: Callable[[], object] = lambda: None) -> None:
        """Free the memory and call `then` afterwards; only what is asked last is done.

        What is under way began before this, and engines may have loaded again meanwhile.
        """
        self._then = then
        if self._releasing is None or self._releasing.done():
            self._releasing = asyncio.create_task(self._free())

    async def aclose(self) -> None:
        """Stop the timer and wait for what is under way; may be called twice."""
        if self._timer is not None:
            self._timer.cancel()
        if self._releasing is not None:
            await asyncio.wait([self._releasing])

    async def _free(self) -> None:
        """Free it, once more if that was asked for meanwhile."""
        while (then := self._then) is not None:
            self._then = None
            await self._ask_all()
            if self._then is None:
                then()

    async def _ask_all(self) -> None:
        """Ask every engine; one that cannot is noted and not waited for long."""
        for release in self._releases:
            try:
                async with asyncio.timeout(RELEASE_SECONDS):
                    await release()
            except (EngineError, TimeoutError) as error:
                _log.warning("an engine kept its memory: %s", str(error) or "it took too long")

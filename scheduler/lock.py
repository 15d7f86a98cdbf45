"""Shares a GPU with other processes: takes their lock when we want the device, lets go when not."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from scheduler.errors import LockDownError

_log = logging.getLogger(__name__)


class DeviceLock(Protocol):
    """A lock that processes share, with a time to live.

    Every method raises `LockDownError` when nobody keeps the lock any more.
    """

    async def take(self) -> bool:
        """Take the lock; False if somebody else has it."""

    async def renew(self) -> bool:
        """Let it live on; False if it is no longer ours."""

    async def give_back(self) -> None:
        """Release it if it is still ours."""

    async def aclose(self) -> None:
        """Forget its keeper; raises nothing, and may be called twice."""


class Ownership(StrEnum):
    """How we stand with other processes."""

    FREE = "free"
    OURS = "ours"
    THEIRS = "theirs"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRules:
    """How the lock is kept.

    Attributes:
        required: Without the keeper nothing runs; else we go on alone, and say so.
        renew_seconds: How often it is renewed; several times within its time to live.
        retry_seconds: How often it is asked for while somebody else has it.
        hold_seconds: For how long pictures keep it from other processes at a time.
        aside_seconds: For how long they then leave it to whoever wants it.
    """

    required: bool = False
    renew_seconds: float = 3.0
    retry_seconds: float = 0.1
    hold_seconds: float = 30.0
    aside_seconds: float = 0.3


class Owner:
    """Keeps the lock for as long as it is wanted.

    1. Not wanted: given back, once nobody of ours is on the device.
    2. Wanted: asked for, again and again while others have it.
    3. Ours: renewed, or taken again if it got lost; theirs if somebody else was faster.
    4. Held for long, and by pictures alone: stepped aside from for a moment, so that others who
       ask now and then get their turn.
    5. Its keeper is gone: we own the device if that is allowed, and go on asking.
    """

    def __init__(
        self,
        *,
        lock: DeviceLock,
        rules: LockRules,
        wanted: Callable[[], bool],
        leased: Callable[[], bool],
        vacant: Callable[[], bool],
        own: Callable[[bool], object],
        seconds: Callable[[], float],
    ) -> None:
        """`own` is told whether the device is ours.

        The others say whether anybody of ours wants it, whether anybody but pictures does, and
        whether nobody is on it.
        """
        self.state = Ownership.FREE
        self._lock = lock
        self._rules = rules
        self._wanted = wanted
        self._leased = leased
        self._vacant = vacant
        self._own = own
        self._seconds = seconds
        self._since = 0.0
        self._renew_at = 0.0
        self._aside_until = 0.0
        self._news = asyncio.Event()
        self._ended = asyncio.Event()

    def look(self) -> None:
        """Look again: something has changed."""
        self._news.set()

    def end(self) -> None:
        """Let `run` return soon, in the midst of no call to the lock's keeper."""
        self._ended.set()
        self._news.set()

    async def run(self) -> None:
        """Keep the lock until `end`; then give it back."""
        while not self._ended.is_set():
            self._news.clear()
            try:
                seconds = await self._step()
            except Exception as error:  # noqa: BLE001
                # Else it would lapse, or never be taken, and nobody would hear of it.
                _log.exception("keeping the GPU's lock hit a bug")
                self._become(Ownership.DOWN, why=repr(error))
                seconds = self._rules.renew_seconds
            # Nothing that happens among ourselves makes others let go, or brings the keeper back.
            away = self.state in (Ownership.THEIRS, Ownership.DOWN)
            await _pause(self._ended if away else self._news, seconds)
        if self.state is Ownership.OURS:
            await self._give_back()
        await self._lock.aclose()

    async def _step(self) -> float | None:
        """Do what is to be done now; return after how many seconds to look again."""
        match self.state:
            case Ownership.OURS:
                return await self._keep()
            case Ownership.FREE | Ownership.THEIRS if not self._wanted():
                self.state = Ownership.FREE
                return None
            case Ownership.FREE if not self._leased() and self._aside_until > self._seconds():
                return self._aside_until - self._seconds()
            case Ownership.FREE | Ownership.THEIRS | Ownership.DOWN:
                return await self._ask()

    async def _ask(self) -> float:
        """Rules 2 and 5."""
        try:
            ours = await self._lock.take()
        except LockDownError as error:
            self._become(Ownership.DOWN, why=str(error))
            return self._rules.renew_seconds
        self._since = self._seconds()
        self._renew_at = self._since + self._rules.renew_seconds
        self._become(Ownership.OURS if ours else Ownership.THEIRS)
        return self._rules.renew_seconds if ours else self._rules.retry_seconds

    async def _keep(self) -> float:
        """Rules 1, 3 and 4."""
        long_enough = self._since + self._rules.hold_seconds <= self._seconds()
        leaving = not self._wanted() or (long_enough and not self._leased())
        self._own(not leaving)
        if leaving and self._vacant():
            self._aside_until = self._seconds() + self._rules.aside_seconds * long_enough
            await self._give_back()
            return 0.0
        if self._renew_at <= self._seconds():
            try:
                ours = await self._lock.renew() or await self._lock.take()
            except LockDownError as error:
                self._become(Ownership.DOWN, why=str(error))
                return self._rules.renew_seconds
            self._renew_at = self._seconds() + self._rules.renew_seconds
            if not ours:
                self._become(Ownership.THEIRS)
                return self._rules.retry_seconds
        return max(0.0, self._renew_at - self._seconds())

    async def _give_back(self) -> None:
        self.state = Ownership.FREE
        try:
            await self._lock.give_back()
        except LockDownError as error:
            _log.warning("the GPU's lock could not be given back; it will lapse: %s", error)

    def _become(self, state: Ownership, *, why: str = "") -> None:
        """Note how we stand, say so in the log, and tell the GPU."""
        before, self.state = self.state, state
        if state is Ownership.DOWN and before is not state:
            how = "nothing runs" if self._rules.required else "other processes are not kept out"
            _log.warning("the GPU's lock cannot be kept, so %s: %s", how, why)
        elif before is Ownership.DOWN and state is not before:
            _log.warning("the GPU's lock can be kept again; it is %s", state.value)
        elif before is Ownership.OURS and state is Ownership.THEIRS:
            _log.warning("the GPU's lock was lost to another process; pictures park")
        self._own(state is Ownership.OURS or (state is Ownership.DOWN and not self._rules.required))


async def _pause(event: asyncio.Event, seconds: float | None) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return

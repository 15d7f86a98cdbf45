"""Where leases of one GPU are asked for, renewed and given back."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from typing import TypeAlias

from scheduler.errors import GpuBusyError, ShuttingDownError
from scheduler.lease import (
    Ask,
    CloseGate,
    Decision,
    Expired,
    Granted,
    Interrupt,
    Lease,
    OpenGate,
    Refused,
    Tenant,
)
from scheduler.leases import Leases
from scheduler.news import LeaseExpired, News, Waited
from scheduler.ports import Clock

GateDecision: TypeAlias = CloseGate | OpenGate | Interrupt

_log = logging.getLogger(__name__)


class Desk:
    """Gives the state machine its time, and those who wait their answers.

    Everything here is called on the event loop.
    """

    def __init__(
        self,
        *,
        gpu: str,
        leases: Leases,
        clock: Clock,
        before: Callable[[float], object],
        act: Callable[[float, GateDecision], object],
        after: Callable[[], object],
        publish: Callable[[News], object],
    ) -> None:
        """`before` and `after` frame every event; `act` does what is decided about the gate."""
        self.leases = leases
        self._gpu = gpu
        self._clock = clock
        self._before = before
        self._act = act
        self._after = after
        self._publish = publish
        self._grants: dict[str, asyncio.Future[Lease]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    def close(self) -> None:
        """Refuse who still waits, and whoever comes; may be called twice."""
        self._closed = True
        for grant in self._grants.values():
            if not grant.done():
                grant.set_exception(ShuttingDownError())
        if self._alarm is not None:
            self._alarm.cancel()

    async def acquire(
        self, tenant: Tenant, holder: str, *, ttl_seconds: float = inf, wait_seconds: float = inf
    ) -> Lease:
        """Wait for a lease; it lives for `ttl_seconds` if it is not renewed.

        Raises:
            GpuBusyError: it was not granted within `wait_seconds`.
            ShuttingDownError: too late.
        """
        if self._closed:
            raise ShuttingDownError
        now = self._clock.monotonic()
        ask = Ask(
            id=secrets.token_hex(8),
            tenant=tenant,
            holder=holder,
            since=now,
            ttl_seconds=ttl_seconds,
            deadline=now + wait_seconds,
        )
        grant: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self._grants[ask.id] = grant
        try:
            self.event(lambda now: self.leases.ask(now, ask))
            return await grant
        except BaseException:
            self.event(lambda now: self.leases.withdraw(now, ask.id))
            raise
        finally:
            del self._grants[ask.id]

    def renew(self, lease_id: str, token: int, *, ttl_seconds: float) -> Lease:
        """Let a lease live on for a while from now.

        Raises:
            LeaseLostError: it is lost, or keeps others waiting for too long.
        """
        self.event(self.leases.tick)
        lease = self.leases.renew(self._clock.monotonic(), lease_id, token, ttl_seconds)
        self._set_alarm()
        return lease

    def release(self, lease_id: str, token: int) -> None:
        """End a lease.

        Raises:
            LeaseLostError: it is lost already.
        """
        self.event(lambda now: self.leases.release(now, lease_id, token))

    @asynccontextmanager
    async def hold(
        self, tenant: Tenant, holder: str, *, wait_seconds: float = inf
    ) -> AsyncIterator[Lease]:
        """Hold a lease for the length of the block.

        Raises:
            GpuBusyError: it was not granted within `wait_seconds`.
            ShuttingDownError: too late.
        """
        lease = await self.acquire(tenant, holder, wait_seconds=wait_seconds)
        try:
            yield lease
        finally:
            self.event(lambda now: self.leases.withdraw(now, lease.id))

    def event(self, happen: Callable[[float], list[Decision]]) -> None:
        """Let the machine take in an event, do what it decides, and set the alarm."""
        now = self._clock.monotonic()
        self._before(now)
        for decision in happen(now):
            self._do(now, decision)
        self._set_alarm()
        self._after()

    def _set_alarm(self) -> None:
        """See that the machine hears of the time when it next matters."""
        if self._alarm is not None:
            self._alarm.cancel()
        wait_seconds = self.leases.next_wake() - self._clock.monotonic()
        if wait_seconds == inf or self._closed:
            self._alarm = None
            return
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_later(max(0.0, wait_seconds), self.event, self.leases.tick)

    def _do(self, now: float, decision: Decision) -> None:
        """Carry out one decision; a waiter that was just cancelled withdraws in a moment."""
        match decision:
            case Granted(lease):
                self._publish(Waited(self._gpu, lease.tenant, lease.waited_seconds))
                if not (grant := self._grants[lease.id]).done():
                    grant.set_result(lease)
            case Refused(ask, holders):
                if not (grant := self._grants[ask.id]).done():
                    grant.set_exception(_busy(holders))
            case Expired(lease):
                _log.warning("the lease of %r on GPU %s expired", lease.holder, self._gpu)
                self._publish(LeaseExpired(self._gpu, lease.tenant))
            case CloseGate() | OpenGate() | Interrupt():
                self._act(now, decision)


def _busy(holders: tuple[str, ...]) -> GpuBusyError:
    who = ", ".join(holders) or "a picture that cannot be parked, or another process"
    return GpuBusyError(f"the GPU is still held by {who}", holders=holders)

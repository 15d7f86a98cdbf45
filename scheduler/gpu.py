"""One device that several parties share: its gate, its desk, its lock and its memory."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from scheduler.desk import Desk, GateDecision
from scheduler.eta import Eta
from scheduler.gate import Gate, unheard
from scheduler.job import Job, JobId
from scheduler.lease import CloseGate, Interrupt, OpenGate, Rules, Tenant
from scheduler.leases import Leases
from scheduler.lock import DeviceLock, LockRules, Owner, Ownership
from scheduler.memory import Memory, MemoryRules
from scheduler.news import Interrupted, News, Parked
from scheduler.ports import Clock, SystemClock
from scheduler.turn import PictureTurn
from scheduler.usage import Closures, HourShares, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """An engine as its GPU knows it.

    Attributes:
        wanting: Says whether jobs wait for it.
        opened: Told that pictures may step again.
        interrupt: Sends a running job back to the queue; False if it does not run there.
        release: Frees the engine's memory.
    """

    wanting: Callable[[], bool]
    opened: Callable[[], object]
    interrupt: Callable[[JobId], bool]
    release: Callable[[], Awaitable[None]]


class Gpu:
    """A GPU by name: pictures pass its gate, chats and programs hold leases from its desk.

    Without a lock nothing has to be started.
    """

    def __init__(
        self,
        name: str = "local",
        *,
        rules: Rules = Rules(),  # noqa: B008 - frozen
        memory: MemoryRules = MemoryRules(),  # noqa: B008 - frozen
        lock: DeviceLock | None = None,
        lock_rules: LockRules = LockRules(),  # noqa: B008 - frozen
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self.rules = rules
        self._clock = clock or SystemClock()
        seconds = self._clock.monotonic
        self.gate = Gate(closed=lock is not None, seconds=seconds, changed=self._changed)
        # A service that starts again must not grant a token that it has granted before.
        first_token = int(self._clock.now().timestamp() * 1e6)
        self.leases = Leases(rules=rules, token=first_token, owned=lock is None)
        self.desk = Desk(
            gpu=name,
            leases=self.leases,
            clock=self._clock,
            before=self._book,
            act=self._act,
            after=self._look,
            publish=self._publish,
        )
        self._owner = (
            Owner(
                lock=lock,
                rules=lock_rules,
                wanted=lambda: self._leased() or self._images_want(),
                leased=self._leased,
                vacant=self._vacant,
                own=self._own,
                seconds=seconds,
            )
            if lock is not None
            else None
        )
        self._memory = Memory(rules=memory)
        self._usage = Usage()
        self._closures = Closures()
        self._owning: asyncio.Task[None] | None = None
        self._residents: list[Resident] = []
        self._listeners: list[Callable[[News], object]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._poked = False
        self._images_wanted = False

    async def start(self) -> None:
        """Begin to keep the lock that other processes share, if there is one."""
        if self._owner is not None:
            self._owning = asyncio.create_task(self._owner.run(), name=f"gpu {self.name}")

    async def aclose(self) -> None:
        """Refuse who still waits, and give the lock back; may be called twice."""
        self.desk.close()
        await self._memory.aclose()
        if self._owner is not None and self._owning is not None:
            self._owner.end()
            await asyncio.wait([self._owning])

    def attach(self, resident: Resident) -> None:
        """Introduce an engine."""
        self._residents.append(resident)
        self._memory.attach(resident.release)

    def listen(self, listener: Callable[[News], object]) -> None:
        """Tell somebody what happens from now on; on the event loop."""
        self._listeners.append(listener)

    @property
    def lock_state(self) -> Ownership | None:
        """How we stand with other processes; None when no lock is shared with them."""
        return self._owner.state if self._owner is not None else None

    def shares(self) -> HourShares:
        """Return what part of the last hour each class had the GPU."""
        now = self._clock.monotonic()
        self._book(now)
        return self._usage.shares(now)

    def shut_for(self) -> Eta | None:
        """Return how much longer pictures will be held back; None when that is not known."""
        return self._closures.remaining(self._clock.monotonic())

    def turn(
        self,
        *,
        job: Job,
        index: int,
        ticket: str | None,
        keep: Callable[[str], Awaitable[None]],
        whole: bool = False,
        parked: Callable[[bool], object] = unheard,
    ) -> PictureTurn:
        """Return a picture's turn; close it when the picture takes no more steps.

        `whole` pictures stay on the GPU from their first step to their last. `parked` is told, on
        the event loop, when the picture is parked and when it goes on.
        """
        self._loop = asyncio.get_running_loop()

        def tell(is_parked: bool, seconds: float) -> None:
            if not is_parked:
                self._publish(Parked(self.name, job.id, seconds))
            parked(is_parked)

        return PictureTurn(
            job=job,
            index=index,
            gate=self.gate,
            ticket=ticket,
            keep=keep,
            whole=whole,
            parked=lambda is_parked, seconds: self._soon(lambda: tell(is_parked, seconds)),
        )

    def poke(self) -> None:
        """Look again who wants the GPU."""
        self._loop = asyncio.get_running_loop()
        self._poked = False
        was, self._images_wanted = self._images_wanted, self._images_want()
        self._memory.wanted(self._images_wanted)
        self._note_closure()
        self.desk.event(lambda now: self.leases.want(now, self._images_wanted))
        if was and not self._images_wanted:
            self.desk.event(self.leases.done)

    def _act(self, now: float, decision: GateDecision) -> None:
        """Do what was decided about the pictures."""
        match decision:
            case CloseGate():
                self._loop = asyncio.get_running_loop()
                self.gate.close(lambda: self._soon(self._emptied))
                self._note_closure()
            case OpenGate():
                self.gate.open()
                self._note_closure()
                for resident in self._residents:
                    resident.opened()
            case Interrupt():
                self._interrupt(now)

    def _interrupt(self, now: float) -> None:
        """Send the jobs of whole pictures that are inside back to the queue."""
        for job_id in {v.job_id for v in self.gate.visitors() if v.inside and v.whole}:
            if any(resident.interrupt(job_id) for resident in self._residents):
                self.leases.lost_work(now)
                self._publish(Interrupted(self.name, job_id))

    def _emptied(self) -> None:
        """Hand over, once nobody is inside and, if need be, memory is free."""
        if self._memory.at_hand_over and self.gate.closed and self.gate.empty:
            self._memory.free(then=self._hand_over)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        # The gate may have been opened, and even closed again, since this was called for.
        if self.gate.closed and self.gate.empty:
            self.desk.event(self.leases.emptied)

    def _note_closure(self) -> None:
        shut = self.gate.closed and self._images_wanted
        self._closures.note(self._clock.monotonic(), shut)

    def _own(self, owned: bool) -> None:
        if owned != self.leases.owned:
            self.desk.event(lambda now: self.leases.own(now, owned))

    def _images_want(self) -> bool:
        return self.gate.wanted or any(resident.wanting() for resident in self._residents)

    def _leased(self) -> bool:
        return bool(self.leases.roll.leases or self.leases.roll.asks)

    def _vacant(self) -> bool:
        return self.leases.gate == "closed" and not self.leases.roll.leases

    def _book(self, now: float) -> None:
        llm = self.leases.roll.holds(Tenant.LLM)
        self._usage.book(now, llm=llm, images_total=self.gate.busy_seconds())

    def _look(self) -> None:
        if self._owner is not None:
            self._owner.look()

    def _changed(self) -> None:
        """Hear from the gate, on any thread, that somebody came, parked or went."""
        if not self._poked:
            self._poked = True
            self._soon(self.poke)

    def _soon(self, act: Callable[[], object]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(act)

    def _publish(self, news: News) -> None:
        for listener in self._listeners:
            listener(news)

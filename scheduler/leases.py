"""Decides who has a GPU: a pure state machine, with no clock and no tasks of its own."""

from collections.abc import Iterator
from math import inf
from typing import Literal

from scheduler.errors import LeaseLostError
from scheduler.lease import (
    Ask,
    CloseGate,
    Credit,
    Decision,
    Interrupt,
    Lease,
    LlmPolicy,
    OpenGate,
    Rules,
    Tenant,
)
from scheduler.roll import Roll


class Leases:
    """Leases of one GPU, and the gate in front of its pictures.

    Events come in with the time (seconds that never run back), decisions go out. After every
    event it is decided, in this order:

    1. A lease past its expiry is lost: its holder is taken for dead. An ask past its deadline is
       refused.
    2. Whose turn is it?
       a. Nobody's, while another process has the device.
       b. The images', during their slice.
       c. The images', when nobody asks for or holds an `llm` lease.
       d. The images', when they want the GPU and their credit is due; their slice, as long as
          their credit, begins once the last `llm` lease has gone.
       e. Else the chat's.
    3. Nobody's turn: the gate is shut; nobody is granted anything.
    4. The chat's turn:
       a. The gate is shut, so that pictures park at their next step boundary.
       b. Pictures that cannot be parked are interrupted after `patience_seconds` if that is the
          policy. Those of a slice are not: else a picture that is longer than the chat's breaks
          would never be finished.
       c. When nobody is inside and no `images` lease is held, every `llm` ask is granted: llama.cpp
          serves several at once.
    5. The images' turn:
       a. New `llm` asks wait, and `llm` leases run out or are released.
       b. When none is held the gate is opened and every `images` ask is granted.

    A lease is renewed unless it is lost already, or overstays: the other class waits, and it was
    held for `longest_hold_seconds`, or it is an `images` lease and 4b applies to it.
    """

    def __init__(self, *, rules: Rules, token: int = 0, owned: bool = True) -> None:
        self.gate: Literal["open", "closing", "closed"] = "open" if owned else "closed"
        self.owned = owned
        self.roll = Roll(token=token)
        self._rules = rules
        self._wanted = False
        self._credit = Credit(rules)
        self._credit_at_open = 0.0
        self._slice_until: float | None = None
        self._protected = False
        self._chat_since: float | None = None
        self._interrupted = False

    @property
    def credit_seconds(self) -> float:
        """How far the images lag behind their share; below zero they are ahead."""
        return self._credit.seconds

    def ask(self, now: float, ask: Ask) -> list[Decision]:
        """Take in somebody who wants a lease."""
        self._account(now)
        self.roll.add(ask)
        return self._settle(now)

    def withdraw(self, now: float, ask_id: str) -> list[Decision]:
        """Forget somebody who no longer waits, even if the grant is on its way."""
        self._account(now)
        self.roll.strike(ask_id)
        return self._settle(now)

    def renew(self, now: float, lease_id: str, token: int, ttl_seconds: float) -> Lease:
        """Let a lease live on for a while from now; changes nothing for others.

        Raises:
            LeaseLostError: it is lost, or overstays.
        """
        self._account(now)
        lease = self.roll.held(lease_id, token)
        if lease.expires <= now:
            raise LeaseLostError("the lease has expired")
        if self._overstays(lease, now):
            raise LeaseLostError("others have waited for the GPU for too long")
        return self.roll.prolong(lease, now + ttl_seconds)

    def release(self, now: float, lease_id: str, token: int) -> list[Decision]:
        """End a lease.

        Raises:
            LeaseLostError: it is lost already, or the token is not its own.
        """
        self._account(now)
        self.roll.strike(self.roll.held(lease_id, token).id)
        return self._settle(now)

    def emptied(self, now: float) -> list[Decision]:
        """Take in that nobody is inside the closed gate."""
        self._account(now)
        if self.gate == "closing":
            self.gate = "closed"
        return self._settle(now)

    def want(self, now: float, wanted: bool) -> list[Decision]:
        """Take in whether pictures want the GPU."""
        self._account(now)
        self._wanted = wanted
        return self._settle(now)

    def done(self, now: float) -> list[Decision]:
        """Take in that the last picture went away: it needs no more of its slice."""
        self._account(now)
        self._slice_until = None
        return self._settle(now)

    def own(self, now: float, owned: bool) -> list[Decision]:
        """Take in whether the device is ours and no other process's."""
        self._account(now)
        self.owned = owned
        return self._settle(now)

    def lost_work(self, now: float) -> None:
        """Take in that an interrupt cost a picture: what the images had was worth nothing."""
        self._account(now)
        self._credit.seconds = max(self._credit.seconds, self._credit_at_open)

    def tick(self, now: float) -> list[Decision]:
        """Take in that time has passed."""
        self._account(now)
        return self._settle(now)

    def next_wake(self) -> float:
        """Return when `tick` will have something to decide if nothing else happens; or infinity."""
        until = inf if self._slice_until is None else self._slice_until
        return min(until, self._interrupt_at(), *self.roll.deadlines(), inf)

    def _account(self, now: float) -> None:
        """Book the time since the last event; before anything is changed."""
        self._credit.account(
            now,
            llm_holds=self.roll.holds(Tenant.LLM),
            llm_waits=self.roll.waits(Tenant.LLM),
            images_hold=self.owned and (self.gate != "closed" or self.roll.holds(Tenant.IMAGES)),
            wanted=self._images_want(),
        )

    def _settle(self, now: float) -> list[Decision]:
        """Decide; the numbers are those of the class's docstring."""
        decisions: list[Decision] = list(self.roll.lapse(now))  # 1
        turn = self._turn(now)
        if turn is not Tenant.LLM:
            self._chat_since = None
        elif self._chat_since is None:
            self._chat_since = now
        match turn:
            case None:  # 3
                decisions += self._shut(now)
            case Tenant.LLM:  # 4
                decisions += self._shut(now)
                if self.gate == "closed" and not self.roll.holds(Tenant.IMAGES):
                    decisions += self.roll.grant(now, Tenant.LLM)
                    self._chat_since = None
            case Tenant.IMAGES if not self.roll.holds(Tenant.LLM):  # 5b
                decisions += self._open()
                decisions += self.roll.grant(now, Tenant.IMAGES)
            case Tenant.IMAGES:  # 5a
                pass
        return decisions

    def _turn(self, now: float) -> Tenant | None:
        """Rule 2."""
        if self._slice_until is not None and (now >= self._slice_until or not self.owned):
            self._slice_until = None
        if not self.owned:
            return None
        if self._slice_until is not None:
            return Tenant.IMAGES
        held = self.roll.holds(Tenant.LLM)
        if not held and not self.roll.waits(Tenant.LLM):
            self._protected = False
            return Tenant.IMAGES
        if not self._images_want() or not self._credit.due:
            return Tenant.LLM
        if not held:
            self._slice_until = now + self._credit.seconds
            self._protected = True
        return Tenant.IMAGES

    def _shut(self, now: float) -> Iterator[Decision]:
        """Rules 3, 4a and 4b."""
        if self.gate == "open":
            self.gate = "closing"
            self._interrupted = False
            yield CloseGate()
        if now >= self._interrupt_at():
            self._interrupted = True
            yield Interrupt()

    def _open(self) -> Iterator[Decision]:
        """Rule 5b."""
        if self.gate != "open":
            self.gate = "open"
            self._credit_at_open = self._credit.seconds
            yield OpenGate()

    def _interrupt_at(self) -> float:
        """Return when rule 4b strikes."""
        if self.gate != "closing" or self._interrupted or self._protected:
            return inf
        return self._impatient_at()

    def _impatient_at(self) -> float:
        """Return when the chat, if it waits, has waited for long enough to be rude."""
        if self._chat_since is None or self._rules.policy is not LlmPolicy.INTERRUPT:
            return inf
        return self._chat_since + self._rules.patience_seconds

    def _overstays(self, lease: Lease, now: float) -> bool:
        """Say whether a lease must make room for the other class."""
        if lease.tenant is Tenant.IMAGES:
            waits, rude = self._chat_since is not None, now >= self._impatient_at()
        else:
            waits, rude = self._images_want() and self._credit.due, False
        return rude or (waits and now - lease.since >= self._rules.longest_hold_seconds)

    def _images_want(self) -> bool:
        """Say whether pictures, or programs of their class, want the GPU."""
        return self._wanted or self.roll.waits(Tenant.IMAGES)

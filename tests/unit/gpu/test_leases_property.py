"""Whatever happens in whatever order: never two classes at once, and everybody gets a turn."""

from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.errors import LeaseLostError
from scheduler.lease import (
    Ask,
    CloseGate,
    Decision,
    Expired,
    Granted,
    Interrupt,
    Lease,
    LlmPolicy,
    OpenGate,
    Refused,
    Rules,
    Tenant,
)
from scheduler.leases import Leases

SECONDS = st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0, 10.0, 40.0])
TENANTS = st.sampled_from(Tenant)


class Sharing(RuleBasedStateMachine):
    """A GPU's world: pictures that step, chats and programs that come, hang, die and lie."""

    @initialize(
        policy=st.sampled_from(LlmPolicy),
        patience=SECONDS,
        share=st.sampled_from([0.0, 0.1, 0.5]),
        owned=st.booleans(),
    )
    def begin(self, policy: LlmPolicy, patience: float, share: float, owned: bool) -> None:
        rules = Rules(
            policy=policy, patience_seconds=patience, images_share=share, longest_hold_seconds=60.0
        )
        self.machine = Leases(rules=rules, token=100, owned=owned)
        self.now = 0.0
        self.gate_open = owned
        self.empty_pending = False
        self.inside: list[bool] = []
        self.held: dict[str, Lease] = {}
        self.old: list[Lease] = []
        self.waiting: dict[str, Ask] = {}
        self.count = 0
        self.top_token = 100

    def take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Granted(lease):
                    assert self.machine.owned, "granted what another process has"
                    assert lease.token > self.top_token
                    self.top_token = lease.token
                    assert self.waiting.pop(lease.id).tenant is lease.tenant
                    self.held[lease.id] = lease
                case Refused(ask, _):
                    assert ask.deadline <= self.now
                    del self.waiting[ask.id]
                case Expired(lease):
                    assert lease.expires <= self.now
                    self.old.append(self.held.pop(lease.id))
                case CloseGate():
                    assert self.gate_open
                    self.gate_open, self.empty_pending = False, not self.inside
                case OpenGate():
                    assert not self.gate_open
                    assert self.machine.owned
                    self.gate_open, self.empty_pending = True, False
                case Interrupt():
                    if any(self.inside):
                        self.machine.lost_work(self.now)
                        self.inside = [whole for whole in self.inside if not whole]
                        self.empty_pending = not self.inside

    @rule(seconds=SECONDS)
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (wake := self.machine.next_wake()) <= until:
            self.now = max(self.now, wake)
            before = self.machine.next_wake()
            self.take(self.machine.tick(self.now))
            assert self.machine.next_wake() > before or before > self.now, "wakes for nothing"
        self.now = until
        self.take(self.machine.tick(self.now))

    @rule(tenant=TENANTS, ttl=SECONDS, wait=st.one_of(SECONDS, st.just(inf)))
    def somebody_asks(self, tenant: Tenant, ttl: float, wait: float) -> None:
        self.count += 1
        ask = Ask(
            id=f"a{self.count}",
            tenant=tenant,
            holder=f"h{self.count}",
            since=self.now,
            ttl_seconds=ttl or inf,
            deadline=self.now + wait,
        )
        self.waiting[ask.id] = ask
        self.take(self.machine.ask(self.now, ask))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def a_waiter_leaves(self, data: st.DataObject) -> None:
        ask_id = data.draw(st.sampled_from(sorted(self.waiting)))
        del self.waiting[ask_id]
        self.take(self.machine.withdraw(self.now, ask_id))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def a_holder_releases(self, data: st.DataObject) -> None:
        lease = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        self.old.append(lease)
        self.take(self.machine.release(self.now, lease.id, lease.token))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ttl=SECONDS.filter(bool))
    def a_holder_renews(self, data: st.DataObject, ttl: float) -> None:
        lease = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        try:
            renewed = self.machine.renew(self.now, lease.id, lease.token, ttl)
        except LeaseLostError:
            assert lease.id in {held.id for held in self.machine.roll.leases}
        else:
            self.held[lease.id] = renewed

    @precondition(lambda self: self.old or self.held)
    @rule(data=st.data())
    def a_late_holder_comes(self, data: st.DataObject) -> None:
        lease = data.draw(st.sampled_from(self.old or list(self.held.values())))
        token = lease.token if self.old else lease.token - 1
        with pytest.raises(LeaseLostError):
            self.machine.renew(self.now, lease.id, token, 10.0)
        with pytest.raises(LeaseLostError):
            self.machine.release(self.now, lease.id, token)

    @rule(wanted=st.booleans())
    def pictures_want(self, wanted: bool) -> None:
        self.take(self.machine.want(self.now, wanted))

    @rule()
    def the_last_picture_is_done(self) -> None:
        self.take(self.machine.done(self.now))

    @precondition(lambda self: self.gate_open)
    @rule(whole=st.booleans())
    def a_picture_enters(self, whole: bool) -> None:
        self.inside.append(whole)

    @precondition(lambda self: self.inside)
    @rule()
    def a_picture_leaves(self) -> None:
        self.inside.pop()
        self.empty_pending = not self.inside and not self.gate_open

    @precondition(lambda self: self.empty_pending)
    @rule()
    def the_gate_is_found_empty(self) -> None:
        self.empty_pending = False
        self.take(self.machine.emptied(self.now))

    @rule(owned=st.booleans())
    def another_process_comes_or_goes(self, owned: bool) -> None:
        self.take(self.machine.own(self.now, owned))

    @invariant()
    def never_two_classes(self) -> None:
        tenants = {lease.tenant for lease in self.machine.roll.leases}
        if self.inside or self.gate_open:
            tenants.add(Tenant.IMAGES)
        assert len(tenants) <= 1

    @invariant()
    def nothing_is_left_undecided(self) -> None:
        assert self.machine.tick(self.now) == []
        assert {ask.id for ask in self.machine.roll.asks} == set(self.waiting)
        assert {lease.id for lease in self.machine.roll.leases} == set(self.held)

    @invariant()
    def the_gate_is_as_the_machine_thinks(self) -> None:
        assert self.gate_open == (self.machine.gate == "open")
        if self.machine.gate == "closing":
            assert self.inside or self.empty_pending, "lost: nobody will say that it is empty"

    def teardown(self) -> None:
        """From anywhere: when holders let go and pictures step on, everybody gets a turn."""
        self.take(self.machine.own(self.now, True))
        granted_by = self.now + 1000.0
        while self.waiting or not self.gate_open:
            assert self.now <= granted_by, f"stuck: {self.waiting}, gate {self.machine.gate}"
            self.inside.clear()
            if not self.gate_open and self.machine.gate == "closing":
                self.the_gate_is_found_empty()
            for lease in tuple(self.held.values()):
                self.held.pop(lease.id)
                self.take(self.machine.release(self.now, lease.id, lease.token))
            self.time_passes(0.5)


Sharing.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestSharing = Sharing.TestCase

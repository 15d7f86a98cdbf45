"""Who gets the GPU and who loses it: each rule of the decision tree, one story at a time."""

import pytest

from scheduler.errors import LeaseLostError
from scheduler.lease import (
    CloseGate,
    Expired,
    Granted,
    Interrupt,
    LlmPolicy,
    OpenGate,
    Refused,
    Rules,
)
from scheduler.leases import Leases
from tests.unit.gpu.asking import RUDE, chat, drawing, granted, program


def test_a_chat_waits_for_the_step_and_no_longer() -> None:
    machine = drawing()
    assert machine.ask(1.0, chat("a", since=1.0)) == [CloseGate()]
    [grant] = machine.emptied(1.25)
    assert isinstance(grant, Granted)
    assert grant.lease.waited_seconds == 0.25
    assert machine.release(2.0, "a", grant.lease.token) == [OpenGate()]


def test_chats_share_the_gpu() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.ask(0.0, chat("b"))
    assert granted(machine.emptied(0.1)) == ["a", "b"]
    assert granted(machine.ask(0.2, chat("c"))) == ["c"]


def test_the_gate_opens_with_the_last_release() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.ask(0.0, chat("b"))
    machine.emptied(0.1)
    assert machine.release(0.2, "a", 1) == []
    assert machine.release(0.3, "b", 2) == [OpenGate()]


def test_a_chat_that_leaves_before_its_turn_gives_the_step_back() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    assert machine.withdraw(0.05, "a") == [OpenGate()]
    assert machine.emptied(0.1) == [], "too late to mean anything"
    assert machine.gate == "open"


def test_a_dead_holder_loses_its_lease_on_time_and_comes_too_late() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a", ttl_seconds=10.0))
    machine.emptied(0.0)
    assert machine.next_wake() == 10.0
    assert machine.tick(9.99) == []
    [expired, opened] = machine.tick(10.0)
    assert isinstance(expired, Expired)
    assert opened == OpenGate()
    with pytest.raises(LeaseLostError):
        machine.renew(10.1, "a", 1, 10.0)
    with pytest.raises(LeaseLostError):
        machine.release(10.1, "a", 1)


def test_a_renewal_counts_from_now() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a", ttl_seconds=10.0))
    machine.emptied(0.0)
    assert machine.renew(6.0, "a", 1, 10.0).expires == 16.0
    assert machine.tick(15.0) == []


def test_a_renewal_at_the_moment_of_expiry_is_too_late() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a", ttl_seconds=10.0))
    machine.emptied(0.0)
    with pytest.raises(LeaseLostError):
        machine.renew(10.0, "a", 1, 10.0)


def test_an_older_token_is_refused_while_the_lease_lives() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    with pytest.raises(LeaseLostError):
        machine.release(1.0, "a", 0)


def test_somebody_who_waited_long_enough_is_refused_and_told_who_is_in_the_way() -> None:
    machine = drawing()
    machine.ask(0.0, program("render", ttl_seconds=100.0))
    machine.ask(0.0, chat("a", deadline=3.0))
    machine.emptied(0.0)
    [refused, opened] = machine.tick(3.0)
    assert isinstance(refused, Refused)
    assert refused.holders == ("render",)
    assert opened == OpenGate()


def test_a_whole_picture_is_waited_for() -> None:
    machine = drawing(Rules(policy=LlmPolicy.WAIT, patience_seconds=5.0))
    machine.ask(0.0, chat("a"))
    assert machine.tick(1000.0) == []
    assert granted(machine.emptied(1000.0)) == ["a"]


def test_a_whole_picture_is_interrupted_when_patience_ends() -> None:
    machine = drawing(RUDE)
    machine.ask(1.0, chat("a", since=1.0))
    assert machine.next_wake() == 6.0
    assert machine.tick(5.9) == []
    assert machine.tick(6.0) == [Interrupt()]
    assert machine.tick(7.0) == [], "once is enough"
    assert granted(machine.emptied(7.1)) == ["a"]


def test_patience_begins_anew_with_every_wait() -> None:
    machine = drawing(RUDE)
    machine.ask(0.0, chat("a"))
    machine.withdraw(4.0, "a")
    assert machine.ask(4.0, chat("b", since=4.0)) == [CloseGate()]
    assert machine.next_wake() == 9.0


def test_a_program_of_the_images_class_shares_with_pictures_but_not_with_chats() -> None:
    machine = drawing()
    assert granted(machine.ask(0.0, program("render"))) == ["render"]
    assert machine.gate == "open"
    machine.ask(1.0, chat("a"))
    assert machine.emptied(1.1) == [], "the program still holds it"
    assert granted(machine.release(2.0, "render", 1)) == ["a"]
    assert machine.ask(2.5, program("other")) == []


def test_a_program_may_not_renew_past_the_chats_patience() -> None:
    machine = drawing(RUDE)
    machine.ask(0.0, program("render", ttl_seconds=8.0))
    machine.ask(1.0, chat("a", since=1.0))
    machine.emptied(1.0)
    machine.renew(2.0, "render", 1, 8.0)
    with pytest.raises(LeaseLostError):
        machine.renew(6.0, "render", 1, 8.0)
    assert machine.tick(9.9) == []
    assert granted(machine.tick(10.0)) == ["a"]


def test_another_process_has_the_device() -> None:
    machine = Leases(rules=Rules(), owned=False)
    machine.want(0.0, True)
    assert machine.ask(0.0, chat("a")) == []
    assert granted(machine.own(5.0, True)) == ["a"]
    assert machine.own(6.0, False) == []
    assert machine.release(7.0, "a", 1) == [], "nor do pictures step meanwhile"
    assert machine.own(8.0, True) == [OpenGate()]


def test_pictures_park_when_the_device_is_lost() -> None:
    machine = drawing()
    assert machine.own(1.0, False) == [CloseGate()]

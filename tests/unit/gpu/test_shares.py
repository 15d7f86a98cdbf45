"""What pictures and chats leave each other: shares, slices, credit and debt."""

from itertools import count

import pytest

from scheduler.errors import LeaseLostError
from scheduler.lease import CloseGate, Decision, Granted, Interrupt, LlmPolicy, OpenGate, Rules
from scheduler.leases import Leases
from tests.unit.gpu.asking import RUDE, chat, drawing, granted, program


def test_an_endless_chat_leaves_pictures_their_share() -> None:
    """Replies of 0.1 to 3.9 s overlap for ever; pictures step in 0.3 s whenever they may."""
    machine, now, shares, longest = drawing(), 0.0, {True: 0.0, False: 0.0}, 0.0
    ends: dict[str, float] = {}
    tokens: dict[str, int] = {}

    def take(decisions: list[Decision]) -> None:
        nonlocal longest
        for decision in decisions:
            if isinstance(decision, Granted):
                longest = max(longest, decision.lease.waited_seconds)
                tokens[decision.lease.id] = decision.lease.token
                ends[decision.lease.id] = now + (3.9 if decision.lease.token % 2 else 0.1)

    for number in count():
        if now >= 1000.0:
            break
        now += 0.1
        take(machine.tick(now))
        if machine.gate == "closing" and number % 3 == 0:
            take(machine.emptied(now))
        for name in [name for name, end in ends.items() if end <= now]:
            del ends[name]
            take(machine.release(now, name, tokens[name]))
        if number % 5 == 0:
            take(machine.ask(now, chat(f"c{number}", since=now)))
        shares[machine.gate != "closed"] += 0.1
    assert 0.09 <= shares[True] / 1000.0 <= 0.13
    assert longest <= 2 * 1.0 + 3.9 + 0.3


@pytest.mark.parametrize(
    ("reply", "least"), [(5.0, 0.09), (30.0, 0.095), (80.0, 0.095), (900.0, 0.01)]
)
def test_long_replies_one_after_another_leave_pictures_their_share_too(
    reply: float, least: float
) -> None:
    """A reply cannot be broken off, so pictures get all that it owes them when it has ended."""
    machine, now, drawn, longest = drawing(), 0.0, 0.0, 0.0
    for number in range(50):
        asked = now
        taken = machine.ask(now, chat(f"c{number}", since=now))
        while not granted(taken):
            now = now if machine.gate == "closing" else machine.next_wake()
            taken = machine.emptied(now) if machine.gate == "closing" else machine.tick(now)
        drawn += now - asked
        longest = max(longest, now - asked)
        now += reply
        machine.release(now, f"c{number}", number + 1)
    assert least <= drawn / now <= 0.105
    assert longest <= 10.0


def test_who_would_rather_have_pictures_wait_bounds_their_slice() -> None:
    machine = drawing(Rules(longest_slice_seconds=2.0))
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    machine.ask(80.0, chat("b", since=80.0))
    assert machine.release(80.0, "a", 1) == [OpenGate()]
    assert machine.next_wake() == pytest.approx(82.0)


def test_no_share_means_that_chats_come_first_for_ever() -> None:
    machine = drawing(Rules(images_share=0.0))
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    assert granted(machine.ask(10_000.0, chat("b", since=10_000.0))) == ["b"]


def test_a_share_that_nobody_wants_makes_no_chat_wait() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    machine.want(0.0, False)
    assert granted(machine.ask(100.0, chat("b", since=100.0))) == ["b"]


def in_a_slice(rules: Rules) -> Leases:
    """Return a GPU at 20.0: pictures have begun the slice that a reply of 18 s owed them."""
    machine = drawing(rules)
    machine.ask(2.0, chat("a", since=2.0))
    machine.emptied(2.0)
    assert machine.ask(20.0, chat("b", since=20.0)) == [], "the images are due"
    assert machine.release(20.0, "a", 1) == [OpenGate()]
    return machine


def test_a_slice_ends_with_its_time() -> None:
    machine = in_a_slice(Rules())
    assert machine.next_wake() == pytest.approx(22.0)
    assert machine.tick(22.0) == [CloseGate()]
    assert granted(machine.emptied(22.1)) == ["b"]


def test_a_slice_ends_early_when_the_last_picture_is_done() -> None:
    machine = in_a_slice(Rules())
    machine.want(20.5, False)
    assert machine.done(20.5) == [CloseGate()]
    assert granted(machine.emptied(20.5)) == ["b"]


def test_a_whole_picture_that_was_begun_in_a_slice_is_finished() -> None:
    machine = in_a_slice(RUDE)
    assert machine.tick(22.0) == [CloseGate()]
    assert machine.tick(50.0) == [], "never interrupted"
    assert granted(machine.emptied(52.0)) == ["b"]
    assert machine.credit_seconds == pytest.approx(-30.0, abs=0.5), "but paid for"


def test_interrupted_pictures_are_owed_the_time_that_they_lost() -> None:
    machine = drawing(RUDE)
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    machine.release(8.0, "a", 1)
    owed = machine.credit_seconds
    machine.ask(10.0, chat("b", since=10.0))
    assert machine.tick(15.0) == [Interrupt()]
    machine.lost_work(15.0)
    assert machine.credit_seconds == owed > 0.8


def test_a_lease_that_never_ends_is_not_renewed_when_others_wait_too_long() -> None:
    machine = drawing(Rules(longest_hold_seconds=60.0))
    machine.ask(0.0, chat("a", ttl_seconds=30.0))
    machine.emptied(0.0)
    for now in (20.0, 40.0, 59.0):
        machine.renew(now, "a", 1, 30.0)
    with pytest.raises(LeaseLostError):
        machine.renew(61.0, "a", 1, 30.0)
    assert OpenGate() in machine.tick(89.0)


def test_a_program_never_ends_its_lease_past_the_longest_hold_while_a_chat_waits() -> None:
    machine = drawing(Rules(policy=LlmPolicy.WAIT, longest_hold_seconds=60.0))
    machine.ask(0.0, program("render", ttl_seconds=30.0))
    machine.renew(20.0, "render", 1, 50.0)
    machine.ask(30.0, chat("a", since=30.0))
    machine.renew(59.0, "render", 1, 30.0)
    with pytest.raises(LeaseLostError):
        machine.renew(60.0, "render", 1, 30.0)


def test_a_program_gets_the_images_share_too() -> None:
    machine = Leases(rules=Rules())
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    machine.ask(0.0, program("render"))
    assert machine.ask(20.0, chat("b", since=20.0)) == []
    assert granted(machine.release(21.0, "a", 1)) == ["render"]


def test_a_slice_ends_when_the_device_is_lost() -> None:
    machine = in_a_slice(Rules())
    assert machine.own(20.5, False) == [CloseGate()]
    assert machine.next_wake() == float("inf")


def test_pictures_may_be_interrupted_again_after_their_slice() -> None:
    machine = in_a_slice(RUDE)
    machine.withdraw(21.0, "b")
    assert machine.tick(30.0) == []
    machine.ask(40.0, chat("c", since=40.0))
    assert machine.tick(45.0) == [Interrupt()]


def test_every_chat_has_its_own_interrupt() -> None:
    machine = drawing(RUDE)
    for start in (0.0, 100.0):
        machine.ask(start, chat("a", since=start))
        assert machine.tick(start + 5.0) == [Interrupt()]
        [grant] = machine.emptied(start + 5.1)
        assert isinstance(grant, Granted)
        machine.release(start + 6.0, "a", grant.lease.token)


def credit_after(machine: Leases, now: float) -> float:
    machine.tick(now)
    return machine.credit_seconds


def test_credit_grows_while_pictures_want_what_a_chat_has() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    assert credit_after(machine, 4.5) == pytest.approx(0.5)
    machine.want(4.5, False)
    assert credit_after(machine, 9.0) == pytest.approx(0.5), "nobody was kept waiting"


def test_time_counts_as_it_was_until_something_happens() -> None:
    for happen in (lambda m: m.withdraw(4.5, "a"), lambda m: m.want(4.5, False)):
        machine = drawing()
        machine.ask(0.0, chat("a"))
        machine.emptied(0.0)
        happen(machine)
        assert machine.credit_seconds == pytest.approx(0.5)
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.own(4.0, False)
    assert machine.credit_seconds == -4.0


def test_credit_is_paid_back_by_time_without_a_chat_and_nothing_is_saved_up() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    machine.emptied(0.0)
    machine.release(9.0, "a", 1)
    assert credit_after(machine, 9.4) == pytest.approx(0.6)
    assert credit_after(machine, 100.0) == 0.0


def test_debt_is_forgotten_as_time_passes_without_a_chat() -> None:
    machine = drawing()
    machine.ask(0.0, chat("a"))
    assert credit_after(machine, 4.0) == -4.0
    machine.withdraw(4.0, "a")
    assert credit_after(machine, 5.0) == -3.0
    assert credit_after(machine, 100.0) == 0.0

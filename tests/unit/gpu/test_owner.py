"""How the lock that processes share is kept, step by step, with the time in the test's hand."""

import asyncio

import pytest
from typing_extensions import override

from scheduler.lock import DeviceLock, LockRules, Owner, Ownership

RULES = LockRules(renew_seconds=3.0, retry_seconds=0.1, hold_seconds=30.0, aside_seconds=5.0)


class Lock(DeviceLock):
    """A lock that nobody else ever wants."""

    def __init__(self) -> None:
        self.held = False
        self.bugs = 0

    @override
    async def take(self) -> bool:
        if self.bugs:
            self.bugs -= 1
            raise RuntimeError("a bug of the client")
        self.held = True
        return True

    @override
    async def renew(self) -> bool:
        return self.held

    @override
    async def give_back(self) -> None:
        self.held = False

    @override
    async def aclose(self) -> None:
        self.held = False


class Rig:
    """An owner, what it is told, and its clock."""

    def __init__(self, rules: LockRules) -> None:
        self.now, self.lock = 0.0, Lock()
        self.wanted, self.leased, self.vacant = True, False, True
        self.owner = Owner(
            lock=self.lock,
            rules=rules,
            wanted=lambda: self.wanted,
            leased=lambda: self.leased,
            vacant=lambda: self.vacant,
            own=lambda _: None,
            seconds=lambda: self.now,
        )

    async def at(self, now: float) -> float | None:
        """Let the time pass; return when it is looked again."""
        self.now = now
        return await self.owner._step()

    async def aside(self) -> None:
        """Take the lock at 0 and step aside from it at 30."""
        await self.at(0.0)
        assert self.lock.held
        await self.at(29.9)
        assert self.lock.held
        await self.at(30.0)
        assert not self.lock.held


@pytest.fixture
def rig() -> Rig:
    return Rig(RULES)


async def test_pictures_stay_aside_for_as_long_as_they_are_told(rig: Rig) -> None:
    await rig.aside()
    assert await rig.at(30.0) == 5.0
    assert await rig.at(34.0) == 1.0
    assert not rig.lock.held
    await rig.at(35.0)
    assert rig.lock.held


async def test_a_chat_that_comes_meanwhile_is_not_kept_aside(rig: Rig) -> None:
    await rig.aside()
    rig.leased = True
    await rig.at(30.0)
    assert rig.lock.held


async def test_who_steps_aside_for_no_time_is_back_at_once() -> None:
    rig = Rig(LockRules(hold_seconds=30.0, aside_seconds=0.0))
    await rig.aside()
    await rig.at(30.0)
    assert rig.lock.held


async def test_who_had_no_use_for_it_any_more_is_not_kept_aside(rig: Rig) -> None:
    await rig.at(0.0)
    rig.wanted = False
    await rig.at(1.0)
    assert (rig.lock.held, rig.owner.state) == (False, Ownership.FREE)
    rig.wanted = True
    await rig.at(1.0)
    assert rig.lock.held


async def test_nobody_steps_aside_in_the_midst_of_a_step(rig: Rig) -> None:
    await rig.at(0.0)
    rig.vacant = False
    await rig.at(31.0)
    assert rig.lock.held
    rig.vacant = True
    await rig.at(32.0)
    assert not rig.lock.held


async def test_a_bug_is_told_and_the_lock_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(LockRules(renew_seconds=0.01))
    rig.lock.bugs = 1
    keeping = asyncio.create_task(rig.owner.run())
    while not rig.lock.held:
        assert not keeping.done(), "the bug ended it"
        await asyncio.sleep(0.01)
    rig.owner.end()
    await keeping
    assert "a bug of the client" in caplog.text
    assert not rig.lock.held

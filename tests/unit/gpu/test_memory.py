"""When engines let go of their memory, and that nobody waits for it in vain."""

import asyncio
from dataclasses import replace

import pytest

from engines.errors import EngineDownError
from scheduler.gpu import Gpu
from scheduler.lease import Lease, Tenant
from scheduler.memory import MemoryPolicy, MemoryRules
from tests.unit.gpu.chats import ask, resident
from tests.unit.gpu.pictures import Parking, a_turn


async def test_memory_is_freed_before_a_chat_gets_the_gpu() -> None:
    gpu, order = Gpu(memory=MemoryRules(policy=MemoryPolicy.ALWAYS)), []
    gpu.attach(resident(release=lambda: order.append("freed")))
    gpu.attach(resident(release=lambda: order.append("freed too")))
    await gpu.desk.acquire(Tenant.LLM, "a chat")
    order.append("granted")
    await gpu.desk.acquire(Tenant.LLM, "another")
    assert order == ["freed", "freed too", "granted"]


async def test_an_engine_that_keeps_its_memory_keeps_no_chat_waiting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise EngineDownError("gone")

    gpu = Gpu(memory=MemoryRules(policy=MemoryPolicy.ALWAYS))
    gpu.attach(resident(release=fail))
    await gpu.desk.acquire(Tenant.LLM, "a chat")
    assert "kept its memory: gone" in caplog.text


async def test_memory_is_freed_when_no_picture_came_for_a_while() -> None:
    gpu = Gpu(memory=MemoryRules(policy=MemoryPolicy.IDLE, idle_seconds=0.02))
    freed = asyncio.Event()
    gpu.attach(resident(release=freed.set))
    gpu.poke()
    turn = a_turn(gpu)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(freed.wait(), 0.1)
    turn.close()
    await freed.wait()
    await gpu.aclose()


async def test_nothing_is_freed_by_default() -> None:
    gpu, freed = Gpu(), []
    gpu.attach(resident(release=lambda: freed.append(1)))
    await gpu.desk.acquire(Tenant.LLM, "a chat")
    assert freed == []


class Freeing:
    """An engine that frees its memory when it is told to, on a GPU where that comes first."""

    def __init__(self) -> None:
        self.gpu = Gpu(memory=MemoryRules(policy=MemoryPolicy.ALWAYS))
        self.gpu.attach(replace(resident(), release=self._release))
        self.turn = a_turn(self.gpu)
        self.go_on, self.done = asyncio.Event(), Parking()
        self._begun = asyncio.Event()

    async def _release(self) -> None:
        self._begun.set()
        await self.go_on.wait()
        self.done(True)

    async def given_up(self) -> asyncio.Task[Lease]:
        """Free for a chat that leaves; the picture goes on, and another chat waits for its step."""
        first = await ask(self.gpu)
        await self._begun.wait()
        first.cancel()
        await asyncio.wait([first])
        assert self.turn.enter()
        return await ask(self.gpu)


async def settled() -> None:
    """Let what was set going on the event loop be done."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_hand_over_that_was_given_up_does_not_count_for_the_next() -> None:
    freeing = Freeing()
    chat = await freeing.given_up()
    freeing.go_on.set()
    await freeing.done.until(True)
    await settled()
    assert freeing.gpu.leases.roll.leases == ()
    freeing.turn.leave()
    await chat


async def test_what_was_loaded_while_memory_was_freed_is_freed_again() -> None:
    freeing = Freeing()
    chat = await freeing.given_up()
    freeing.turn.leave()
    await settled()
    freeing.go_on.set()
    await chat
    assert freeing.done.heard == [True, True]

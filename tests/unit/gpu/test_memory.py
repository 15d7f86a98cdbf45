"""When engines let go of their memory, and that nobody waits for it in vain."""

import asyncio
from dataclasses import replace

import pytest

from engines.errors import EngineDownError
from scheduler.gpu import Gpu
from scheduler.lease import Tenant
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


async def test_a_hand_over_that_was_given_up_does_not_count_for_the_next() -> None:
    """Memory is being freed for a chat that leaves; a picture goes on; the next chat must wait."""
    gpu, freeing = Gpu(memory=MemoryRules(policy=MemoryPolicy.ALWAYS)), Parking()
    go_on, freed = asyncio.Event(), asyncio.Event()

    async def release() -> None:
        freeing(True)
        await go_on.wait()
        freed.set()

    turn = a_turn(gpu)
    gpu.attach(replace(resident(), release=release))
    first = await ask(gpu)
    await freeing.until(True)
    first.cancel()
    await asyncio.wait([first])
    assert turn.enter()
    second = await ask(gpu)
    go_on.set()
    await freed.wait()
    for _ in range(3):
        await asyncio.sleep(0)
    assert gpu.leases.roll.leases == ()
    turn.leave()
    await second


async def test_what_was_loaded_while_memory_was_freed_is_freed_again() -> None:
    """The picture of the test above has loaded its model again, before the freeing has ended."""
    gpu, freeing = Gpu(memory=MemoryRules(policy=MemoryPolicy.ALWAYS)), Parking()
    go_on, order = asyncio.Event(), []

    async def release() -> None:
        freeing(True)
        await go_on.wait()
        order.append("freed")

    turn = a_turn(gpu)
    gpu.attach(replace(resident(), release=release))
    first = await ask(gpu)
    await freeing.until(True)
    first.cancel()
    await asyncio.wait([first])
    assert turn.enter()
    second = await ask(gpu)
    turn.leave()
    order.append("drawn")
    for _ in range(3):
        await asyncio.sleep(0)
    go_on.set()
    await second
    assert order == ["drawn", "freed", "freed"]

"""The GPU with real time, real tasks and real threads, but pictures stepped by hand."""

import asyncio
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Self

import pytest

from engines.errors import EngineDownError
from scheduler.errors import GpuBusyError, LeaseLostError, ShuttingDownError
from scheduler.gpu import Gpu, Resident
from scheduler.job import JobId
from scheduler.lease import Lease, LlmPolicy, Rules, Tenant
from scheduler.memory import MemoryPolicy, MemoryRules
from scheduler.news import Interrupted, LeaseExpired, News, Parked, Waited
from tests.unit.gpu.pictures import Parking, a_turn


async def ask(gpu: Gpu, tenant: Tenant = Tenant.LLM, **more: float) -> asyncio.Task[Lease]:
    """Return a task that waits for a lease and has asked for it."""
    task = asyncio.create_task(gpu.desk.acquire(tenant, "a chat", **more))
    await asyncio.sleep(0)
    return task


def news_of(gpu: Gpu) -> list[News]:
    heard: list[News] = []
    gpu.listen(heard.append)
    return heard


def resident(
    *,
    interrupt: Callable[[JobId], bool] = lambda _: False,
    opened: Callable[[], object] = lambda: None,
    release: Callable[[], object] = lambda: None,
) -> Resident:
    async def released() -> None:
        release()

    return Resident(wanting=lambda: False, opened=opened, interrupt=interrupt, release=released)


async def test_a_chat_gets_the_gpu_between_two_steps_and_the_picture_goes_on() -> None:
    gpu, parking = Gpu(), Parking()
    heard = news_of(gpu)
    turn, woken = a_turn(gpu, parking=parking), asyncio.Event()
    turn.on_change(woken.set)
    assert turn.enter()
    chat = await ask(gpu)
    assert not chat.done()
    assert gpu.gate.closed
    turn.leave()
    lease = await chat
    assert not turn.enter()
    await parking.until(True)
    gpu.desk.release(lease.id, lease.token)
    await woken.wait()
    assert turn.enter()
    await parking.until(True, False)
    assert turn.held_seconds > 0
    match heard:
        case [Waited(tenant=Tenant.LLM), Parked(job_id="job-1", seconds=seconds)]:
            assert seconds == turn.held_seconds
        case _:
            pytest.fail(str(heard))


async def test_without_pictures_a_chat_waits_for_nobody() -> None:
    gpu = Gpu()
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        assert gpu.gate.closed
    assert not gpu.gate.closed


async def test_a_chat_that_leaves_while_it_waits_frees_the_picture() -> None:
    gpu = Gpu()
    turn = a_turn(gpu)
    turn.enter()
    chat = await ask(gpu)
    chat.cancel()
    await asyncio.wait([chat])
    turn.leave()
    assert turn.enter()


async def test_a_grant_that_nobody_receives_is_taken_back() -> None:
    gpu = Gpu()
    turn = a_turn(gpu)
    turn.enter()
    chat = await ask(gpu)
    chat.cancel()
    turn.leave()
    gpu.desk.event(gpu.leases.emptied)
    await asyncio.wait([chat])
    assert chat.cancelled()
    assert gpu.leases.roll.leases == ()
    assert not gpu.gate.closed


async def test_who_waited_long_enough_hears_who_is_in_the_way() -> None:
    gpu = Gpu()
    async with gpu.desk.hold(Tenant.IMAGES, "a renderer"):
        with pytest.raises(GpuBusyError) as caught:
            await gpu.desk.acquire(Tenant.LLM, "a chat", wait_seconds=0.01)
    assert caught.value.holders == ("a renderer",)
    assert "a renderer" in str(caught.value)


async def test_a_forgotten_lease_ends_by_itself() -> None:
    gpu, opened = Gpu(), asyncio.Event()
    heard = news_of(gpu)
    gpu.attach(resident(opened=opened.set))
    lease = await gpu.desk.acquire(Tenant.LLM, "a dead one", ttl_seconds=0.02)
    await opened.wait()
    assert heard[1:] == [LeaseExpired("local", Tenant.LLM)]
    with pytest.raises(LeaseLostError):
        gpu.desk.renew(lease.id, lease.token, ttl_seconds=1.0)


async def test_a_renewed_lease_lives_on() -> None:
    gpu, opened = Gpu(), asyncio.Event()
    gpu.attach(resident(opened=opened.set))
    lease = await gpu.desk.acquire(Tenant.LLM, "alive", ttl_seconds=0.05)
    renewed = gpu.desk.renew(lease.id, lease.token, ttl_seconds=1000.0)
    assert renewed.expires > lease.expires + 900
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened.wait(), 0.1)


async def test_a_lease_may_be_given_a_shorter_life() -> None:
    gpu, opened = Gpu(), asyncio.Event()
    gpu.attach(resident(opened=opened.set))
    lease = await gpu.desk.acquire(Tenant.LLM, "going", ttl_seconds=1000.0)
    gpu.desk.renew(lease.id, lease.token, ttl_seconds=0.01)
    await opened.wait()


async def test_tokens_grow_from_one_service_to_the_next() -> None:
    first = await Gpu().desk.acquire(Tenant.LLM, "a")
    second = await Gpu().desk.acquire(Tenant.LLM, "b")
    assert second.token > first.token


@pytest.mark.parametrize("policy", LlmPolicy)
async def test_a_picture_that_cannot_be_parked(policy: LlmPolicy) -> None:
    gpu = Gpu(rules=Rules(policy=policy, patience_seconds=0.01))
    interrupted: asyncio.Queue[JobId] = asyncio.Queue()
    heard = news_of(gpu)
    gpu.attach(resident(interrupt=lambda job_id: interrupted.put_nowait(job_id) is None))
    whole, stepping = a_turn(gpu, 1, whole=True), a_turn(gpu, 2)
    a_turn(gpu, 3, whole=True)
    assert whole.enter()
    assert stepping.enter()
    chat = await ask(gpu)
    if policy is LlmPolicy.INTERRUPT:
        assert await interrupted.get() == "job-1"
        assert heard == [Interrupted("local", JobId("job-1"))]
    stepping.leave()
    whole.leave()
    await chat
    assert interrupted.empty(), "and nobody else"


async def test_a_parked_picture_that_is_cancelled_says_so() -> None:
    gpu, parking = Gpu(), Parking()
    heard = news_of(gpu)
    turn = a_turn(gpu, parking=parking)
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        assert not turn.enter()
        await parking.until(True)
        turn.close()
        await parking.until(True, False)
    assert isinstance(heard[-1], Parked)


async def test_a_paused_picture_is_not_called_parked() -> None:
    gpu, parking, woken = Gpu(), Parking(), []
    turn = a_turn(gpu, parking=parking)
    turn.on_change(lambda: woken.append(1))
    turn.pause(True)
    assert not turn.enter()
    assert not gpu.gate.wanted
    turn.pause(False)
    assert woken == [1]
    assert turn.enter()
    await asyncio.sleep(0)
    assert parking.heard == []
    assert turn.held_seconds > 0


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


async def test_the_end_refuses_who_waits_and_who_comes() -> None:
    gpu = Gpu()
    turn = a_turn(gpu)
    turn.enter()
    chat = await ask(gpu)
    for _ in range(2):
        await gpu.aclose()
    with pytest.raises(ShuttingDownError):
        await chat
    with pytest.raises(ShuttingDownError):
        await gpu.desk.acquire(Tenant.LLM, "late")


class Crowd:
    """Pictures that step in threads of their own as fast as they can, and chats among them."""

    def __init__(self, pictures: int) -> None:
        self.gpu = Gpu()
        self.steps = [0] * pictures
        self.meetings = 0
        self.turns = [a_turn(self.gpu, place) for place in range(pictures)]
        self._threads = [
            threading.Thread(target=self._draw, args=(place,)) for place in range(pictures)
        ]
        self._chatting, self._ending = threading.Event(), threading.Event()

    def _draw(self, place: int) -> None:
        turn, woken = self.turns[place], threading.Event()
        turn.on_change(woken.set)
        while not self._ending.is_set():
            woken.clear()
            if not turn.enter():
                woken.wait(10.0)
                continue
            self.steps[place] += 1
            self.meetings += self._chatting.is_set()
            turn.leave()

    async def chat(self, seed: int) -> None:
        """Ask again and again; every fifth time, leave at some moment."""
        choice = random.Random(seed)  # noqa: S311 - reproducible
        for _ in range(100):
            patience = None if choice.random() < 0.8 else choice.random() * 0.0002
            with suppress(TimeoutError):
                async with asyncio.timeout(patience), self.gpu.desk.hold(Tenant.LLM, "a chat"):
                    await self._talk()
            await asyncio.sleep(choice.random() * 0.0002)

    async def _talk(self) -> None:
        self._chatting.set()
        try:
            await asyncio.sleep(0)
        finally:
            if len(self.gpu.leases.roll.leases) == 1:
                self._chatting.clear()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self.gpu.gate.open()
        for thread in self._threads:
            thread.join()


async def test_threads_that_step_never_meet_a_chat() -> None:
    with Crowd(pictures=5) as crowd:
        await asyncio.gather(*(crowd.chat(seed) for seed in range(3)))
    assert crowd.meetings == 0
    assert min(crowd.steps) > 0
    assert crowd.gpu.leases.roll.leases == ()


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


@pytest.mark.parametrize("tenant", Tenant)
async def test_who_does_not_want_to_wait_gets_what_is_free(tenant: Tenant) -> None:
    gpu = Gpu()
    for _ in range(2):  # at the second time the gate is as the first lease has left it
        lease = await gpu.desk.acquire(tenant, "a program", wait_seconds=0)
        assert gpu.leases.roll.leases == (lease,)
        gpu.desk.release(lease.id, lease.token)


async def test_who_does_not_want_to_wait_waits_for_nobody() -> None:
    gpu, other = Gpu(), {Tenant.LLM: Tenant.IMAGES, Tenant.IMAGES: Tenant.LLM}
    for tenant in Tenant:
        held = await gpu.desk.acquire(tenant, "a holder")
        with pytest.raises(GpuBusyError) as busy:
            await gpu.desk.acquire(other[tenant], "a program", wait_seconds=0)
        assert busy.value.holders == ("a holder",)
        assert gpu.leases.roll.asks == ()
        gpu.desk.release(held.id, held.token)
    turn = a_turn(gpu)
    assert turn.enter()
    with pytest.raises(GpuBusyError):
        await gpu.desk.acquire(Tenant.LLM, "a program", wait_seconds=0)
    turn.leave()
    assert turn.enter()
    turn.leave()

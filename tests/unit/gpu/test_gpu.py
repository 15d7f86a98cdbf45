"""The GPU with real time and real tasks, but pictures stepped by hand."""

import asyncio

import pytest

from scheduler.errors import GpuBusyError, LeaseLostError, ShuttingDownError
from scheduler.gpu import Gpu
from scheduler.job import JobId
from scheduler.lease import LlmPolicy, Rules, Tenant
from scheduler.news import Interrupted, LeaseExpired, Parked, Waited
from tests.unit.gpu.chats import ask, news_of, resident
from tests.unit.gpu.pictures import Parking, a_turn


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

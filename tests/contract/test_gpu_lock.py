"""A GPU whose lock KITTY's processes share: who draws, who waits, and what a lost Redis means."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from math import inf

import pytest
from redis.asyncio import Redis

from scheduler.errors import GpuBusyError
from scheduler.gpu import Gpu
from scheduler.lease import Tenant
from scheduler.lock import LockRules, Ownership
from service.gpu_lock import RedisLock
from tests.contract.redis import KEY, RedisServer
from tests.unit.gpu.pictures import Parking, a_turn

pytestmark = pytest.mark.server

RULES = LockRules(renew_seconds=0.05, retry_seconds=0.01)

Start = Callable[..., Awaitable[Gpu]]


@pytest.fixture
async def start(redis_server: RedisServer) -> AsyncIterator[Start]:
    """Start a GPU that shares its lock."""
    async with AsyncExitStack() as stack:

        async def started(rules: LockRules = RULES) -> Gpu:
            lock = RedisLock(url=redis_server.url, gpu="local", ttl_seconds=2)
            gpu = Gpu(lock=lock, lock_rules=rules)
            await gpu.start()
            stack.push_async_callback(gpu.aclose)
            return gpu

        yield started


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Look until it is so; Redis tells nobody by itself."""
    async with asyncio.timeout(10):
        while True:
            now = condition()
            if now if isinstance(now, bool) else await now:
                return
            await asyncio.sleep(0.01)


async def test_our_pictures_keep_others_out_until_they_are_drawn(
    start: Start, kitty: Redis
) -> None:
    gpu, woken = await start(), asyncio.Event()
    turn = a_turn(gpu)
    turn.on_change(woken.set)
    assert not turn.enter(), "not before the lock is ours"
    await woken.wait()
    assert turn.enter()
    assert await kitty.exists(KEY)
    turn.leave()
    turn.close()
    await until(lambda: _free(kitty))
    assert gpu.lock_state is Ownership.FREE


async def _free(kitty: Redis) -> bool:
    return not await kitty.exists(KEY)


async def test_a_lease_is_held_under_the_lock(start: Start, kitty: Redis) -> None:
    gpu = await start()
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        assert await kitty.exists(KEY)
        await kitty.pexpire(KEY, 300)
        await until(lambda: _renewed(kitty))
    await until(lambda: _free(kitty))


async def _renewed(kitty: Redis) -> bool:
    return bool(await kitty.pttl(KEY) > 1000)


async def test_another_process_keeps_us_out(start: Start, kitty: Redis) -> None:
    await kitty.set(KEY, "another", nx=True, ex=60)
    gpu, parking, woken = await start(), Parking(), asyncio.Event()
    turn = a_turn(gpu, parking=parking)
    turn.on_change(woken.set)
    assert not turn.enter()
    await parking.until(True)
    with pytest.raises(GpuBusyError, match="another process"):
        await gpu.desk.acquire(Tenant.LLM, "a chat", wait_seconds=0.1)
    assert gpu.lock_state is Ownership.THEIRS
    await kitty.delete(KEY)
    await woken.wait()
    assert turn.enter()


async def test_pictures_park_when_the_lock_turns_out_to_be_anothers(
    start: Start, kitty: Redis
) -> None:
    gpu, parking = await start(), Parking()
    turn = a_turn(gpu, parking=parking)
    await until(lambda: not gpu.gate.closed)
    await kitty.set(KEY, "another", ex=60)
    await until(lambda: gpu.gate.closed)
    assert not turn.enter()
    assert gpu.lock_state is Ownership.THEIRS
    assert await kitty.get(KEY) == b"another"


async def test_a_lock_that_was_evicted_is_taken_again(
    start: Start, kitty: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    gpu = await start()
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        await kitty.delete(KEY)
        await until(lambda: _taken(kitty))
        assert gpu.lock_state is Ownership.OURS
    assert "lost to another" not in caplog.text


async def _taken(kitty: Redis) -> bool:
    return bool(await kitty.exists(KEY))


async def test_two_services_never_draw_at_once(start: Start) -> None:
    gpus, inside, most = [await start(), await start()], 0, 0

    async def chat(gpu: Gpu) -> None:
        nonlocal inside, most
        for _ in range(10):
            async with gpu.desk.hold(Tenant.LLM, "a chat"):
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.002)
                inside -= 1

    await asyncio.gather(*(chat(gpu) for gpu in gpus))
    assert most == 1


async def test_without_redis_we_go_on_alone_and_say_so(
    start: Start, redis_server: RedisServer, kitty: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    gpu = await start()
    turn = a_turn(gpu)
    await until(lambda: not gpu.gate.closed)
    redis_server.kill()
    await until(lambda: gpu.lock_state is Ownership.DOWN)
    assert turn.enter()
    turn.leave()
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        assert not turn.enter(), "the rules among ourselves still hold"
    assert "other processes are not kept out" in caplog.text
    redis_server.start()
    await until(lambda: gpu.lock_state is Ownership.OURS)
    assert await kitty.exists(KEY)
    assert "can be kept again" in caplog.text


async def test_without_redis_nothing_runs_if_that_is_the_setting(
    start: Start, redis_server: RedisServer
) -> None:
    gpu = await start(LockRules(renew_seconds=0.05, retry_seconds=0.01, required=True))
    turn, woken = a_turn(gpu), asyncio.Event()
    await until(lambda: not gpu.gate.closed)
    redis_server.kill()
    await until(lambda: gpu.gate.closed)
    assert not turn.enter()
    turn.on_change(woken.set)
    redis_server.start()
    await woken.wait()
    assert turn.enter()


async def test_pictures_step_aside_now_and_then(start: Start, kitty: Redis) -> None:
    rules = LockRules(renew_seconds=0.05, retry_seconds=0.01, hold_seconds=0.1, aside_seconds=0.1)
    gpu, woken = await start(rules), asyncio.Event()
    turn = a_turn(gpu)
    turn.on_change(woken.set)
    await until(lambda: not gpu.gate.closed)
    await until(lambda: _set(kitty, "another"))
    await until(lambda: gpu.lock_state is Ownership.THEIRS)
    woken.clear()
    await kitty.delete(KEY)
    await woken.wait()


async def _set(kitty: Redis, value: str) -> bool:
    return bool(await kitty.set(KEY, value, nx=True, ex=60))


async def test_a_chat_is_not_asked_to_step_aside(start: Start, kitty: Redis) -> None:
    gpu = await start(LockRules(renew_seconds=0.02, hold_seconds=0.0, aside_seconds=inf))
    async with gpu.desk.hold(Tenant.LLM, "a chat"):
        for _ in range(3):
            await kitty.pexpire(KEY, 500)
            await until(lambda: _renewed(kitty))
        await gpu.desk.acquire(Tenant.LLM, "another chat", wait_seconds=1.0)


async def test_the_lock_is_kept_until_the_step_is_done(start: Start, kitty: Redis) -> None:
    gpu = await start(LockRules(renew_seconds=0.02, hold_seconds=0.1, aside_seconds=60.0))
    turn = a_turn(gpu)
    await until(turn.enter)
    await until(lambda: gpu.gate.closed)
    await kitty.pexpire(KEY, 500)
    await until(lambda: _renewed(kitty))
    turn.leave()
    await until(lambda: _free(kitty))


async def test_the_end_gives_the_lock_back(start: Start, kitty: Redis) -> None:
    gpu = await start()
    a_turn(gpu)
    await until(lambda: not gpu.gate.closed)
    await gpu.aclose()
    assert not await kitty.exists(KEY)

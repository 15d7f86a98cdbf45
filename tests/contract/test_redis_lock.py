"""The lock that KITTY's processes share, against a real Redis that is killed and started again."""

from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from scheduler.errors import LockDownError
from service.gpu_lock import RedisLock
from tests.contract.redis import KEY, RedisServer

pytestmark = pytest.mark.server


@pytest.fixture
async def locks(redis_server: RedisServer) -> AsyncIterator[tuple[RedisLock, RedisLock]]:
    pair = tuple(RedisLock(url=redis_server.url, gpu="local", ttl_seconds=2) for _ in range(2))
    yield pair[0], pair[1]
    for lock in pair:
        await lock.aclose()


async def test_the_convention(locks: tuple[RedisLock, RedisLock], kitty: Redis) -> None:
    lock, _ = locks
    assert await lock.take()
    assert await kitty.get(KEY) == lock.value.encode()
    assert 0 < await kitty.ttl(KEY) <= 2
    assert not await kitty.set(KEY, "another", nx=True, ex=9)
    await lock.give_back()
    assert await kitty.get(KEY) is None


async def test_who_has_it_keeps_others_out(locks: tuple[RedisLock, RedisLock]) -> None:
    one, two = locks
    assert await one.take()
    assert await one.take(), "again is fine"
    assert not await two.take()
    assert not await two.renew()
    await two.give_back()
    assert await one.renew(), "nobody deletes what is not theirs"
    await one.give_back()
    assert await two.take()


async def test_renewing_prolongs(locks: tuple[RedisLock, RedisLock], kitty: Redis) -> None:
    lock, _ = locks
    await lock.take()
    await kitty.pexpire(KEY, 500)
    assert await lock.renew()
    assert await kitty.pttl(KEY) > 1000


async def test_a_lock_that_is_found_again_lives_on(
    locks: tuple[RedisLock, RedisLock], kitty: Redis
) -> None:
    """After a while without Redis it may be about to lapse."""
    lock, _ = locks
    await lock.take()
    await kitty.pexpire(KEY, 500)
    assert await lock.take()
    assert await kitty.pttl(KEY) > 1000


async def test_without_redis(locks: tuple[RedisLock, RedisLock], redis_server: RedisServer) -> None:
    lock, _ = locks
    await lock.take()
    redis_server.kill()
    for call in (lock.take, lock.renew, lock.give_back):
        with pytest.raises(LockDownError):
            await call()
    redis_server.start()
    assert not await lock.renew(), "it forgot us"
    assert await lock.take()

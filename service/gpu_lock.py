"""The lock `lock:gpu:<name>` in Redis, by which KITTY's processes keep out of each other's way.

KITTY's convention: the value is a UUID, set with `SET NX EX`, and the key is deleted only by
whoever finds its own value there. We renew it too, since pictures take longer than its life.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from scheduler.errors import LockDownError

_DELETE = """
if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) end
return 0
"""
_RENEW = """
if redis.call("get", KEYS[1]) == ARGV[1] then
  return redis.call("expire", KEYS[1], ARGV[2])
end
return 0
"""


class RedisLock:
    """One GPU's lock; implements `scheduler.lock.DeviceLock`."""

    def __init__(
        self, *, url: str, gpu: str, ttl_seconds: int = 10, timeout_seconds: float = 1.0
    ) -> None:
        """Connects to nothing yet.

        Raises:
            ValueError: the URL is wrong.
        """
        self.key = f"lock:gpu:{gpu}"
        self.value = str(uuid4())
        self._ttl_seconds = ttl_seconds
        self._redis = Redis.from_url(
            url,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            # The URL's options are looked at here, else only when it is too late to say so.
            self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except TypeError as error:
            raise ValueError(str(error)) from error
        self._delete = self._redis.register_script(_DELETE)
        self._renew = self._redis.register_script(_RENEW)

    async def take(self) -> bool:
        """Take the lock; False if somebody else has it."""
        async with _translated():
            done = await self._redis.set(self.key, self.value, nx=True, ex=self._ttl_seconds)
            # An answer that got lost may have been a yes; what is ours already may soon lapse.
            return bool(done) or await self._prolong()

    async def renew(self) -> bool:
        """Let it live on; False if it is no longer ours."""
        async with _translated():
            return await self._prolong()

    async def give_back(self) -> None:
        """Release it if it is still ours."""
        async with _translated():
            await self._delete(keys=[self.key], args=[self.value])

    async def aclose(self) -> None:
        """Disconnect; may be called twice."""
        await self._redis.aclose()

    async def _prolong(self) -> bool:
        """Begin the lock's life anew, if it is ours."""
        return bool(await self._renew(keys=[self.key], args=[self.value, self._ttl_seconds]))


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise LockDownError(f"Redis: {error}") from error

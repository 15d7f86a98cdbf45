"""Carries an answer from a fast server to a client of any speed."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator


class SlowClientError(Exception):
    """The client reads too slowly for what is kept for it."""


class Pipe:
    """Bytes in the order of their coming, bounded; whoever fills it waits while it is full.

    So the server's answer ends, and with it the use of the GPU, when the server is done and not
    when the client has read it.
    """

    def __init__(self, *, limit_bytes: int, stall_seconds: float) -> None:
        self._limit_bytes = limit_bytes
        self._stall_seconds = stall_seconds
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._filled, self._drained = asyncio.Event(), asyncio.Event()

    async def put(self, chunk: bytes) -> None:
        """Add bytes as soon as there is room.

        Raises:
            SlowClientError: none was made for too long.
        """
        while self._size and self._size + len(chunk) > self._limit_bytes:
            self._drained.clear()
            try:
                await asyncio.wait_for(self._drained.wait(), self._stall_seconds)
            except TimeoutError:
                raise SlowClientError from None
        self._chunks.append(chunk)
        self._size += len(chunk)
        self._filled.set()

    def end(self) -> None:
        """Let the reader stop after what is there."""
        self._ended = True
        self._filled.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._size -= len(chunk)
                self._drained.set()
                yield chunk
            if self._ended:
                return
            self._filled.clear()
            await self._filled.wait()

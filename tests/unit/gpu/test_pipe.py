"""What is kept of an answer for a client that reads slowly, and who waits for whom."""

import asyncio

import pytest

from service.llm.pipe import Pipe, SlowClientError


async def test_no_more_is_kept_than_was_said() -> None:
    pipe = Pipe(limit_bytes=10, stall_seconds=3600.0)
    for piece in (b"12345", b"67890"):
        await pipe.put(piece)
    more = asyncio.create_task(pipe.put(b"more"))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not more.done()
    reader = aiter(pipe)
    assert await anext(reader) == b"12345"
    await more
    pipe.end()
    assert [piece async for piece in reader] == [b"67890", b"more"]


async def test_a_piece_that_is_larger_than_that_passes_alone() -> None:
    pipe = Pipe(limit_bytes=1, stall_seconds=0.0)
    await pipe.put(b"large")
    with pytest.raises(SlowClientError):
        await pipe.put(b"more")
    pipe.end()
    assert [piece async for piece in pipe] == [b"large"]

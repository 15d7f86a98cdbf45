"""Calls to the drawing thread: each is answered, whatever becomes of its asker or of the thread."""

import asyncio
import threading
from dataclasses import replace

import pytest
import torch

from engines.diffusers.studio import Studio
from engines.errors import EngineDownError
from tests.unit.diffusers.conftest import MakeEngine

PATIENCE_SECONDS = 30.0
"""A call that is lost is never answered; without an end the test would never fail."""


class Occupied:
    """Keeps the drawing thread busy until the test lets it go."""

    def __init__(self) -> None:
        self.begun, self._go = threading.Event(), threading.Event()

    def __call__(self, _: Studio) -> None:
        self.begun.set()
        self._go.wait()

    def end(self) -> None:
        """Let the thread go on."""
        self._go.set()


async def test_who_gives_up_a_call_ends_nothing_for_others(make_engine: MakeEngine) -> None:
    engine, occupied = make_engine(), Occupied()
    first = asyncio.ensure_future(engine.call(occupied))
    await asyncio.to_thread(occupied.begun.wait)
    given_up = asyncio.ensure_future(engine.release_memory())
    after = asyncio.ensure_future(engine.call(lambda studio: studio.device.type))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    occupied.end()
    await first
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await after == "cpu"


async def test_a_call_that_the_thread_cannot_answer_any_more_is_refused(
    make_engine: MakeEngine,
) -> None:
    engine = make_engine()
    engine._furnishing = replace(engine._furnishing, device="cuda")
    if torch.cuda.is_available():
        pytest.skip("the device is there")
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(EngineDownError, match="cuda is not there"):
            await engine.call(lambda studio: studio.device.type)

"""Pictures in threads of their own, and chats among them."""

import asyncio
import random
import threading
from contextlib import suppress
from typing import Self

from scheduler.gpu import Gpu
from scheduler.lease import Tenant
from tests.unit.gpu.pictures import a_turn


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

"""A picture that InvokeAI draws is followed step by step."""

from contextlib import aclosing

from engines.base import Picture, Progress
from engines.invokeai.engine import InvokeAiEngine
from tests.contract.bench_invokeai import SPEC
from tests.fakes.drawing import draw
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.turn import FreeTurn


async def test_every_step_is_reported_once_though_events_come_twice(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.queue.twice = True
    _, progress = await draw(engine, SPEC)
    steps = [p for p in progress if p.phase == "drawing"]
    assert [p.step for p in steps] == [0, 1, 2, 3]
    assert all(p.preview and p.preview.startswith(b"\xff\xd8") for p in steps)


async def test_a_silent_socket_only_costs_the_progress(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.queue.silent = True
    picture, progress = await draw(engine, SPEC)
    assert picture.seed == SPEC.seed
    assert [(p.step, p.steps) for p in progress if p.phase == "drawing"] == [(3, 3)]


async def test_a_paused_worker_is_waited_for(server: FakeInvokeAi, engine: InvokeAiEngine) -> None:
    server.queue.resume(started=False)
    async with aclosing(engine.generate(SPEC, FreeTurn())) as updates:
        assert await anext(updates) == Progress("waiting", 0, 3)
        server.queue.resume(started=True)
        assert [u.seed async for u in updates if isinstance(u, Picture)] == [SPEC.seed]

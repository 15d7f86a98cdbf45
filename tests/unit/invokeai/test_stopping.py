"""Work on InvokeAI is stopped, and its worker is free afterwards."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from engines.base import Progress
from engines.invokeai.engine import InvokeAiEngine
from tests.contract.bench_invokeai import SPEC, engine_on
from tests.fakes.drawing import draw
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.turn import FreeTurn


async def test_closing_asks_until_the_worker_is_free(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.hold()
    server.stage.linger()
    updates = engine.generate(SPEC, FreeTurn())
    async for update in updates:
        if isinstance(update, Progress) and update.step:
            break
    closing = asyncio.ensure_future(updates.aclose())
    for _ in range(3):
        server.looked.clear()
        look = asyncio.ensure_future(server.looked.wait())
        await asyncio.wait([closing, look], return_when=asyncio.FIRST_COMPLETED)
        look.cancel()
        assert not closing.done(), "it left while the worker was still at the cancelled picture"
    assert server.queue.items[0].status == "canceled"
    server.stage.let_go()
    await closing
    assert not server.queue.processing


async def test_a_cancel_during_the_submission_stops_what_was_submitted(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    reader = asyncio.ensure_future(draw(engine, SPEC, turn))
    server.stage.on_accept = reader.cancel
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert [item.status for item in server.queue.items] == ["canceled"]
    assert not server.queue.processing
    assert not turn.held


@pytest.mark.parametrize("at_once", [False, True])
async def test_earlier_work_is_stopped_even_when_closed_before_its_turn(
    server: FakeInvokeAi, engine: InvokeAiEngine, tmp_path: Path, *, at_once: bool
) -> None:
    server.stage.hold()
    before = FreeTurn()
    frozen = engine.generate(SPEC, before)
    assert await anext(frozen)
    await server.stage.drawing()
    heir, turn = engine_on(server, tmp_path), FreeTurn(ticket=before.ticket, shut=True)
    reader = asyncio.ensure_future(draw(heir, SPEC, turn))
    await (asyncio.sleep(0) if at_once else turn.refused())
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert [item.status for item in server.queue.items] == ["canceled"]
    assert not server.queue.processing
    await frozen.aclose()
    await heir.aclose()


async def test_a_picture_that_still_waits_is_cancelled_without_waiting_for_others(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.hold()
    other = server.queue.enqueue("default", {"batch_id": "other", "graph": _graph()})
    await server.stage.drawing()
    updates = engine.generate(SPEC, FreeTurn())
    assert await anext(updates) == Progress("waiting", 0, 3)
    await updates.aclose()
    assert [item.status for item in server.queue.items] == ["in_progress", "canceled"]
    assert not server.queue.items[1].begun
    server.queue.cancel(other)


def _graph() -> Mapping[str, object]:
    """Return somebody else's graph: a picture of three steps."""
    nodes = {
        "noise": {"type": "noise", "width": 64, "height": 64, "seed": 1, "is_intermediate": True},
        "denoise": {"type": "denoise_latents", "steps": 3, "is_intermediate": True},
        "out": {"type": "l2i", "is_intermediate": False},
    }
    return {"nodes": nodes, "edges": []}

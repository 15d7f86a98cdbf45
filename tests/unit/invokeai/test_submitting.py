"""Work is sent to InvokeAI once, found again, and drawn anew when it is lost."""

from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from engines.base import Progress
from engines.errors import BadPictureError, EngineDownError, EngineProtocolError, LostError
from engines.invokeai.engine import InvokeAiEngine
from tests.contract.bench_invokeai import SPEC, engine_on
from tests.fakes.drawing import draw
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.stage import Flaw, Phase
from tests.fakes.turn import FreeTurn


async def test_a_full_queue_is_a_lost_engine_and_the_ticket_still_good(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.full = True
    turn = FreeTurn()
    with pytest.raises(EngineDownError, match="full"):
        await draw(engine, SPEC, turn)
    assert server.stage.begun == 0
    server.full = False
    await draw(engine, SPEC, turn)
    assert len(turn.tickets) == 1


async def test_of_two_items_of_one_batch_the_second_is_cancelled(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.on_accept = _once_more(server)
    picture, _ = await draw(engine, SPEC)
    assert picture.seed == SPEC.seed
    assert [item.status for item in server.queue.items] == ["completed", "canceled"]


def _once_more(server: FakeInvokeAi) -> Callable[[], None]:
    """Return a hook that queues what was just queued again, as a repeated request would."""

    def again() -> None:
        server.stage.on_accept = lambda: None
        server.queue.enqueue("default", server.queue.items[-1].batch)

    return again


@pytest.mark.parametrize("ticket", ["comfyui:job-0-5f0f2b1a", "5f0f2b1a", "invokeai:job-7-5f0f"])
async def test_a_ticket_of_another_engine_or_picture_is_none_of_ours(
    server: FakeInvokeAi, engine: InvokeAiEngine, ticket: str
) -> None:
    turn = FreeTurn(ticket=ticket)
    await draw(engine, SPEC, turn)
    assert server.stage.begun == 1
    assert str(turn.ticket).startswith("invokeai:job-0-")


async def test_a_picture_that_was_finished_meanwhile_is_only_fetched(
    server: FakeInvokeAi, engine: InvokeAiEngine, tmp_path: Path
) -> None:
    turn = FreeTurn()
    first, _ = await draw(engine, SPEC, turn)
    heir = engine_on(server, tmp_path)
    again, _ = await draw(heir, SPEC, FreeTurn(ticket=turn.ticket))
    assert again.png == first.png
    assert server.stage.begun == 1
    await heir.aclose()


async def test_a_picture_that_was_cancelled_meanwhile_is_drawn_anew_under_another_name(
    server: FakeInvokeAi, engine: InvokeAiEngine, tmp_path: Path
) -> None:
    server.stage.hold()
    before = FreeTurn()
    updates = engine.generate(SPEC, before)
    assert await anext(updates)
    await server.stage.drawing()
    await updates.aclose()
    server.stage.release()
    heir = engine_on(server, tmp_path)
    after = FreeTurn(ticket=before.ticket)
    picture, _ = await draw(heir, SPEC, after)
    assert picture.seed == SPEC.seed
    assert [item.status for item in server.queue.items] == ["canceled", "completed"]
    assert after.ticket != before.ticket
    await heir.aclose()


async def test_a_short_absence_of_the_server_is_forgiven(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.cut(Phase.DRAWING)
    server.deaf = 2
    turn = FreeTurn()
    picture, _ = await draw(engine, SPEC, turn)
    assert picture.seed == SPEC.seed
    assert server.deaf == 0
    assert server.stage.begun == 1
    assert len(turn.tickets) == 1


async def test_a_picture_whose_bytes_break_off_is_fetched_again(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.cut(Phase.FETCHING)
    picture, _ = await draw(engine, SPEC)
    assert picture.seed == SPEC.seed
    assert not server.stage.cuts(Phase.FETCHING)


async def test_a_failure_that_happened_meanwhile_is_told_once(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.cut(Phase.ANSWER)
    server.stage.error = "out_of_memory"
    turn = FreeTurn()
    with pytest.raises(Exception, match="CUDA out of memory"):
        await draw(engine, SPEC, turn)
    assert turn.ticket == ""
    await draw(engine, SPEC, turn)
    assert server.stage.begun == 2


async def test_a_picture_that_is_none_is_drawn_anew_by_the_next_attempt(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.stage.spoil(Flaw.FLAT)
    turn = FreeTurn()
    with pytest.raises(BadPictureError):
        await draw(engine, SPEC, turn)
    await draw(engine, SPEC, turn)
    assert server.stage.begun == 2


async def test_a_picture_that_was_deleted_on_the_server_is_drawn_anew(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    turn = FreeTurn()
    await draw(engine, SPEC, turn)
    server.queue.images.clear()
    with pytest.raises(EngineProtocolError, match="404"):
        await draw(engine, SPEC, turn)
    await draw(engine, SPEC, turn)
    assert server.stage.begun == 2


async def test_an_item_that_was_deleted_is_lost_and_drawn_anew(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.queue.resume(started=False)
    turn = FreeTurn()
    async with aclosing(engine.generate(SPEC, turn)) as updates:
        assert await anext(updates) == Progress("waiting", 0, 3)
        server.queue.items.clear()
        with pytest.raises(EngineDownError, match="vanished"):
            await anext(updates)
    assert turn.ticket == ""


async def test_a_server_that_lost_its_work_is_asked_again(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.queue.crashes = True
    turn = FreeTurn()
    with pytest.raises(LostError):
        await draw(engine, SPEC, turn)
    picture, _ = await draw(engine, SPEC, turn)
    assert picture.seed == SPEC.seed
    assert server.stage.begun == 2

"""A prompt is stopped, or lost: what the server still does, and what becomes of the picture."""

import asyncio
from contextlib import aclosing
from pathlib import Path

import pytest

from engines.base import Picture, Progress
from engines.comfyui.engine import ComfyUiEngine
from engines.errors import EngineDownError, LostError
from tests.contract.bench_comfyui import SPEC, engine_on
from tests.fakes.comfyui import FakeComfyUi, Manners, fake_comfyui
from tests.fakes.drawing import draw, first_step
from tests.fakes.turn import FreeTurn
from tests.unit.comfyui.queueing import both_kinds, put


async def cancelled_as_sent(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> asyncio.Task[tuple[Picture, list[Progress]]]:
    """Cancel a drawing as soon as its prompt is on its way."""
    drawing = asyncio.create_task(draw(engine, SPEC))
    await server.asked.wait_for("POST /prompt")
    drawing.cancel()
    return drawing


@both_kinds
async def test_a_prompt_that_waits_is_withdrawn_and_the_running_one_stays(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    theirs = put(server, "theirs")
    await server.stage.drawing()
    drawing = await cancelled_as_sent(server, engine)
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert server.worker.running is theirs
    assert not theirs.interrupted.is_set()
    assert server.worker.pending == []
    server.stage.release()


@both_kinds
async def test_an_interrupt_that_gets_lost_is_repeated(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.worker.deaf = 2
    updates = engine.generate(SPEC, FreeTurn())
    await first_step(updates)
    await updates.aclose()
    assert not server.stage.busy
    assert server.worker.deaf == 0
    assert server.worker.history == {}


async def test_the_oldest_servers_are_not_told_to_interrupt_what_is_not_ours(
    tmp_path: Path,
) -> None:
    async with fake_comfyui(Manners(newer=False, targets_interrupts=False)) as server:
        engine = engine_on(server, tmp_path)
        server.stage.hold()
        server.worker.deaf = 1
        theirs = put(server, "theirs")
        await server.stage.drawing()
        drawing = await cancelled_as_sent(server, engine)
        with pytest.raises(asyncio.CancelledError):
            await drawing
        assert not theirs.interrupted.is_set()
        assert "POST /interrupt" not in server.asked
        await engine.aclose()


async def test_a_cancellation_waits_for_the_answer_to_what_was_sent(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.door.clear()
    drawing = await cancelled_as_sent(server, engine)
    await asyncio.wait([drawing], timeout=0.05)
    server.door.set()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert server.stage.begun == 1
    assert not server.stage.busy


async def test_closing_while_looking_for_earlier_work_stops_that_work(
    server: FakeComfyUi, engine: ComfyUiEngine, tmp_path: Path
) -> None:
    server.stage.hold()
    before = FreeTurn()
    frozen = engine.generate(SPEC, before)
    await first_step(frozen)
    again = engine_on(server, tmp_path)
    updates = again.generate(SPEC, FreeTurn(ticket=before.ticket))
    assert await anext(updates) == Progress("waiting")
    await updates.aclose()
    assert not server.stage.busy
    await frozen.aclose()
    await again.aclose()


async def test_what_arrives_after_its_sender_was_cut_off_is_still_stopped(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.door.clear()
    drawing = await cancelled_as_sent(server, engine)
    await asyncio.sleep(0)
    server.cut_connections()
    await server.asked.wait_for("GET /queue")
    server.door.set()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert server.stage.begun == 1
    assert not server.stage.busy


async def test_somebody_elses_interrupt_makes_the_picture_to_be_drawn_again(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    drawing = asyncio.create_task(draw(engine, SPEC, turn))
    await server.stage.drawing()
    server.worker.interrupt(None)
    with pytest.raises(EngineDownError, match="interrupted"):
        await drawing
    server.stage.release()
    picture, _ = await draw(engine, SPEC, turn)
    assert picture.seed == SPEC.seed
    assert server.worker.history == {}


async def test_work_on_a_server_that_cannot_be_reached_is_left_alone_and_found_again(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.drops = 1000
    turn = FreeTurn()
    with pytest.raises(EngineDownError):
        await draw(engine, SPEC, turn)
    server.drops = 0
    await server.stage.drawing()
    assert server.stage.busy
    server.stage.release()
    await draw(engine, SPEC, turn)
    assert server.stage.begun == server.stage.finished == 1


@both_kinds
async def test_a_restart_that_forgets_everything_is_a_lost_engine(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    async with aclosing(engine.generate(SPEC, turn)) as updates:
        await first_step(updates)
        await server.restart()
        with pytest.raises(LostError, match="does not know the prompt"):
            _ = [update async for update in updates]
    server.stage.release()
    picture, _ = await draw(engine, SPEC, turn)
    assert picture.seed == SPEC.seed

"""A prompt is followed to its picture, whatever the server tells of it."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from engines.base import Picture, Progress
from engines.comfyui.engine import ComfyUiEngine
from engines.errors import EngineError, LostError
from tests.contract.bench_comfyui import SPEC, TIMING, engine_on
from tests.fakes.comfyui import FakeComfyUi
from tests.fakes.drawing import draw, first_step
from tests.fakes.stage import Flaw, Phase
from tests.fakes.turn import FreeTurn
from tests.unit.comfyui.queueing import put


async def first_preview(engine: ComfyUiEngine) -> bytes:
    async with aclosing(engine.generate(SPEC, FreeTurn())) as updates:
        async for update in updates:
            if isinstance(update, Progress) and update.preview:
                return update.preview
    pytest.fail("no preview")


@pytest.mark.parametrize("negotiates", [True, False])
async def test_previews_are_ours_whether_they_say_so_or_not(
    server: FakeComfyUi, engine: ComfyUiEngine, negotiates: bool
) -> None:
    server.sockets.negotiates = negotiates
    server.stage.hold()
    assert (await first_preview(engine)).startswith(b"\xff\xd8")


async def test_previews_that_name_their_prompt_are_asked_for(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    await draw(engine, SPEC)
    assert server.sockets.greeted == ["feature_flags"]


async def test_previews_of_other_formats_become_jpegs(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.worker.previews = "PNG"
    server.stage.hold()
    assert (await first_preview(engine)).startswith(b"\xff\xd8")


async def test_another_prompt_is_waited_for_and_tells_nothing(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    put(server, "theirs")
    await server.stage.drawing()
    updates = engine.generate(SPEC, FreeTurn())
    assert await anext(updates) == Progress("waiting")
    waiting = asyncio.create_task(anext(updates))
    await server.asked.wait_for("GET /queue")
    assert not waiting.done()
    server.stage.release()
    update = await waiting
    assert isinstance(update, Progress)
    assert update.phase == "encoding"  # theirs has loaded the model
    await updates.aclose()


async def test_a_server_that_stumbles_is_asked_again_but_not_for_ever(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.hiccups = TIMING.lost_looks - 1
    await draw(engine, SPEC)
    server.hiccups = 1000
    with pytest.raises(LostError, match="500"):
        await draw(engine, SPEC.picture(1))
    assert not server.stage.busy


@pytest.mark.parametrize("kind", ["execution_success", "executing", "progress", "progress_state"])
async def test_events_that_never_come_are_not_needed(
    server: FakeComfyUi, engine: ComfyUiEngine, kind: str
) -> None:
    server.sockets.untold = {kind}
    _, told = await draw(engine, SPEC)
    assert told[-1].step == told[-1].steps == SPEC.steps


async def test_a_silent_socket_is_replaced_and_the_poll_decides(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    server.sockets.silent = True
    engine = engine_on(server, tmp_path, replace(TIMING, silence_seconds=0.02))
    server.stage.hold()
    drawing = asyncio.create_task(draw(engine, SPEC))
    await server.asked.wait_for("GET /ws", times=3)
    server.stage.release()
    picture, told = await drawing
    assert picture.seed == SPEC.seed
    assert Progress("drawing", 4, 4) in told
    await engine.aclose()


async def test_events_that_come_twice_count_once(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.sockets.twice = True
    _, told = await draw(engine, SPEC)
    steps = [p.step for p in told if p.phase == "drawing" and p.preview is None]
    assert steps == sorted(set(steps))


async def test_a_success_without_a_history_is_looked_for_until_it_is_written(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.worker.history_gate.clear()
    drawing = asyncio.create_task(draw(engine, SPEC))
    await server.sockets.sent.wait_for("execution_success")
    await server.asked.wait_for("GET /queue", times=2)
    assert not drawing.done()
    server.worker.history_gate.set()
    picture, _ = await drawing
    assert picture.seed == SPEC.seed


async def test_the_end_of_an_old_socket_that_takes_the_new_one_with_it(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    updates = engine.generate(SPEC, FreeTurn())
    await first_step(updates)
    server.sockets.open.clear()  # as the old handler's end does
    server.stage.release()
    async with aclosing(updates):
        assert [u async for u in updates if isinstance(u, Picture)]


async def test_the_same_picture_again_runs_only_what_saves_it(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    first, _ = await draw(engine, SPEC)
    server.worker.ran.clear()
    server.worker.files.clear()  # somebody has cleared the output folder
    second, told = await draw(engine, SPEC)
    assert second.png == first.png
    assert server.worker.ran == ["7"]
    assert told[-1].step == SPEC.steps


async def test_an_output_that_names_no_file_is_a_bad_picture_that_is_not_found_again(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.spoil(Flaw.FOREIGN)
    turn = FreeTurn()
    with pytest.raises(EngineError, match="gave no picture"):
        await draw(engine, SPEC, turn)
    await draw(engine, SPEC.picture(1), turn)
    assert server.stage.begun == 2


@pytest.mark.parametrize("cut_at", [0, 1, 40, 100])
async def test_a_picture_cut_at_any_byte_is_fetched_again(
    server: FakeComfyUi, engine: ComfyUiEngine, cut_at: int
) -> None:
    server.files.cut_at = cut_at
    server.stage.cut(Phase.FETCHING)
    await draw(engine, SPEC)
    assert server.asked.count("GET /view") == 2
    assert server.stage.begun == 1

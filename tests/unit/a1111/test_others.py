"""Others draw on the same server, and what of ours may still be drawn there."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.base import Progress
from engines.card import test_card as card
from engines.errors import EngineTimeoutError, LostError
from tests.contract.bench_a1111 import SPEC, engine_on
from tests.fakes.drawing import draw
from tests.fakes.meanwhile import meanwhile
from tests.fakes.stage import Phase
from tests.fakes.turn import FreeTurn
from tests.unit.a1111.others import users_drawing

Start = Callable[..., Any]


async def test_somebody_elses_drawing_is_never_interrupted(start: Start) -> None:
    server, engine = await start()
    users = await users_drawing(server)
    turn = FreeTurn()
    updates = engine.generate(SPEC, turn)
    async for update in updates:
        if server.stage.begun == 2 and isinstance(update, Progress):
            assert update.phase == "waiting"
            break
    closing = asyncio.create_task(updates.aclose())  # type: ignore[arg-type]
    await meanwhile(closing, server.asked("POST", "/internal/progress", times=5))
    assert not closing.done(), "a request that waits for the lock cannot be taken back"
    assert server.webui.interrupts == 0
    server.stage.release()
    theirs = base64.b64decode((await users)["images"][0])
    assert theirs == card(width=64, height=64, seed=5), "somebody else's picture is half done"
    await closing
    assert not server.stage.busy


async def test_a_lost_drawing_is_stopped_before_it_is_given_up(start: Start) -> None:
    server, engine = await start()
    server.stage.cut(Phase.DRAWING)
    with pytest.raises(LostError):
        await draw(engine, SPEC)
    assert not server.stage.busy
    assert server.webui.interrupts >= 1


async def test_a_lost_drawing_that_still_waits_is_waited_for(start: Start, tmp_path: Path) -> None:
    server, engine = await start()
    users = await users_drawing(server)
    before = FreeTurn()
    frozen = engine.generate(SPEC, before)
    async for _ in frozen:
        if server.stage.begun == 2:
            break
    after = engine_on(server, tmp_path)
    drawing = asyncio.create_task(draw(after, SPEC, FreeTurn(ticket=before.ticket)))
    looks = server.requests.count(("POST", "/internal/progress"))
    await meanwhile(drawing, server.asked("POST", "/internal/progress", times=looks + 10))
    assert server.stage.begun == 2, "a second drawing was piled upon the first"
    assert server.webui.interrupts == 0
    server.stage.release()
    await users
    await drawing
    assert server.stage.begun == 3
    await frozen.aclose()  # type: ignore[attr-defined]
    await after.aclose()


async def test_a_drawing_that_could_not_be_stopped_is_remembered(
    start: Start, tmp_path: Path
) -> None:
    server, _ = await start()
    engine = engine_on(server, tmp_path, stall_seconds=0.2, stop_seconds=0.05)
    server.stage.hold()
    server.stage.linger()
    reader = asyncio.create_task(draw(engine, SPEC))
    await meanwhile(reader, server.stage.drawing())
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert server.stage.busy, "the fake should go on for as long as it likes"
    with pytest.raises(EngineTimeoutError, match="does not let go"):
        await draw(engine, SPEC)
    assert server.stage.begun == 1
    server.stage.let_go()
    server.stage.release()
    await draw(engine, SPEC)
    assert server.stage.most_at_once == 1
    await engine.aclose()


async def test_memory_is_taken_only_when_nobody_draws(start: Start) -> None:
    server, engine = await start()
    users = await users_drawing(server)
    releasing = asyncio.create_task(engine.release_memory())
    await meanwhile(releasing, server.asked("GET", "/sdapi/v1/progress", times=3))
    assert server.webui.device == "cuda"
    server.stage.release()
    await users
    await releasing
    assert server.webui.device == "cpu"


async def test_the_model_is_put_back_before_the_next_picture(start: Start) -> None:
    server, engine = await start()
    await draw(engine, SPEC)
    await engine.release_memory()
    assert server.webui.device == "cpu"
    await draw(engine, SPEC)
    reloads = server.requests.count(("POST", "/sdapi/v1/reload-checkpoint"))
    await draw(engine, SPEC)
    assert server.requests.count(("POST", "/sdapi/v1/reload-checkpoint")) == reloads


async def test_a_model_that_was_taken_before_our_restart_is_put_back(start: Start) -> None:
    server, engine = await start()
    server.webui.loaded, server.webui.device = "tiny", "cpu"
    await draw(engine, SPEC)

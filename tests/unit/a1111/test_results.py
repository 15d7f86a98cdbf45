"""What comes back from A1111: previews, pictures, failures."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from engines.base import Progress
from engines.errors import BadPictureError, EngineError
from tests.contract.bench_a1111 import SPEC
from tests.fakes.drawing import draw
from tests.fakes.meanwhile import meanwhile
from tests.fakes.turn import FreeTurn

Start = Callable[..., Any]


@pytest.mark.parametrize("what", ["model", "sampler", "scheduler"])
async def test_a_silent_fallback_is_refused(start: Start, what: str) -> None:
    server, engine = await start()
    server.webui.fall_back = {what}
    with pytest.raises(BadPictureError, match="the server drew with"):
        await draw(engine, SPEC)


async def test_a_picture_that_somebody_else_interrupted_is_refused(start: Start) -> None:
    server, engine = await start()
    server.stage.hold()
    drawing = asyncio.create_task(draw(engine, SPEC))
    await meanwhile(drawing, server.stage.drawing())
    server.webui.interrupt()
    with pytest.raises(BadPictureError, match="interrupted"):
        await drawing


async def test_previews_are_shown_once_each(start: Start) -> None:
    server, engine = await start()
    server.stage.hold()
    previews: list[bytes | None] = []
    async with aclosing(engine.generate(SPEC, FreeTurn())) as updates:
        async for update in updates:
            if isinstance(update, Progress) and (update.preview or previews):
                previews.append(update.preview)
            if len(previews) == 3:
                break
    assert previews[0] is not None
    assert previews[0].startswith(b"\xff\xd8")
    assert previews[1:] == [None, None]


async def test_progress_does_not_fall_when_an_extension_adds_passes(start: Start) -> None:
    server, engine = await start()
    server.stage.hold()
    steps: list[int] = []
    async with aclosing(engine.generate(SPEC, FreeTurn())) as updates:
        async for update in updates:
            if not isinstance(update, Progress) or not update.step:
                continue
            steps.append(update.step)
            if update.step == 1:
                server.webui.state.sampling_step = 5
            if steps.count(5) == 1:
                server.webui.state.job_count = 2
            if steps.count(5) == 3:
                break
    assert steps == sorted(steps)


async def test_facts_tell_what_drew_it(start: Start) -> None:
    _, engine = await start()
    picture, _ = await draw(engine, SPEC)
    assert picture.facts["engine_version"] == "v1.10.1"
    assert picture.facts["model_hash"] == "1a2b3c4d5e"
    assert picture.facts["sampler"] == "DPM++ 2M Karras"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("out_of_memory", "out_of_memory"),
        ("bad_picture", "bad_picture"),
        ("invalid_spec", "invalid_spec"),
        ("engine_protocol", "engine_protocol"),
    ],
)
async def test_failures_and_the_ghosts_that_they_leave(start: Start, error: str, code: str) -> None:
    server, engine = await start()
    turn = FreeTurn()
    server.stage.error = error
    with pytest.raises(EngineError) as caught:
        await draw(engine, SPEC, turn)
    assert caught.value.code == code
    assert server.webui.current is not None, "the fake should claim that the drawing is active"
    await draw(engine, SPEC, turn)
    assert server.webui.interrupts == 0


async def test_a_ghost_in_the_queue_is_not_waited_for(start: Start) -> None:
    server, engine = await start()
    server.webui.pending.append("task(before-0)")
    await draw(engine, SPEC, FreeTurn(ticket="a1111:before"))
    assert server.stage.finished == 1

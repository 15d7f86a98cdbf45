"""Older servers, Forge, and servers that lack something."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from engines.base import Feature, Progress
from engines.errors import EngineProtocolError, EngineTimeoutError, OutOfMemoryError
from tests.contract.bench_a1111 import SPEC
from tests.fakes.drawing import draw
from tests.fakes.turn import FreeTurn
from tests.unit.a1111.others import users_drawing

Start = Callable[..., Any]


async def test_new_files_are_looked_for_before_one_is_said_to_be_missing(start: Start) -> None:
    server, engine = await start()
    await draw(engine, SPEC)
    server.new_checkpoints = ["fresh"]
    picture, _ = await draw(engine, replace(SPEC, model="fresh"))
    assert picture.facts["model"] == "fresh.safetensors [0000000000]"


async def test_it_looks_again_only_while_nobody_s_picture_would_make_it_wait(
    start: Start,
) -> None:
    server, engine = await start()
    await engine.models()
    server.new_checkpoints = ["fresh"]
    users = await users_drawing(server)
    with pytest.raises(EngineTimeoutError, match="it draws"):
        await engine.look_again()
    assert "/sdapi/v1/refresh-checkpoints" not in [path for _, path in server.requests]
    server.stage.release()
    await users
    assert "fresh" not in [card.name for card in await engine.models()]
    await engine.look_again()
    assert "fresh" in [card.name for card in await engine.models()]


async def test_before_schedulers_existed(start: Start) -> None:
    server, engine = await start(old=True)
    server.webui.options.pop("show_progress_every_n_steps")
    server.webui.samplers.append("DPM++ 2M Karras")
    await draw(engine, SPEC)
    assert server.bodies[0]["sampler_name"] == "DPM++ 2M Karras"
    assert "scheduler" not in server.bodies[0]


async def test_forge(start: Start) -> None:
    server, engine = await start(forge=True)
    picture, _ = await draw(engine, SPEC)
    assert str(picture.facts["engine_version"]).startswith("f2")
    assert any(card.kind == "vae" for card in await engine.models())
    server.stage.error = "out_of_memory"
    with pytest.raises(EngineProtocolError, match="Internal Server Error"):
        await draw(engine, SPEC)  # it does not say what went wrong
    await draw(engine, SPEC)


async def test_without_names_for_drawings_nothing_is_interrupted(start: Start) -> None:
    server, engine = await start(nowebui=True)
    health = await engine.probe()
    assert health.ok
    assert "--nowebui" in health.detail
    assert Feature.PREVIEWS not in engine.capabilities.features
    _, progress = await draw(engine, SPEC)
    assert progress[-1].step == SPEC.steps
    server.stage.hold()
    updates = engine.generate(SPEC, FreeTurn())
    async for update in updates:
        if isinstance(update, Progress) and update.phase == "drawing":
            break
    closing = asyncio.create_task(updates.aclose())  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert not closing.done()
    server.stage.release()
    await closing
    assert server.webui.interrupts == 0
    assert not server.stage.busy


async def test_a_server_without_the_api_is_no_engine(start: Start) -> None:
    server, engine = await start()
    server.without_api = True
    health = await engine.probe()
    assert not health.ok
    assert "--api" in health.detail


async def test_running_out_of_memory_is_said_in_the_servers_words(start: Start) -> None:
    server, engine = await start()
    server.stage.error = "out_of_memory"
    with pytest.raises(OutOfMemoryError, match="Tried to allocate"):
        await draw(engine, SPEC)

"""What an InvokeAI server can do, whom it lets in, and the memory that it takes."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from engines.base import Feature
from engines.errors import EngineProtocolError, InvalidSpecError
from engines.http import Server
from engines.invokeai.client import Client
from engines.invokeai.engine import InvokeAiEngine
from engines.spec import Tiling
from tests.contract.bench_invokeai import SPEC, engine_on
from tests.fakes.drawing import draw
from tests.fakes.invokeai import FakeInvokeAi


async def test_a_node_that_is_missing_costs_a_feature_and_the_specs_that_need_it(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.lacks = frozenset({"seamless"})
    assert (await engine.probe()).ok
    assert Feature.TILING not in engine.capabilities.features
    with pytest.raises(InvalidSpecError, match="seamless"):
        await draw(engine, replace(SPEC, tiling=Tiling.BOTH))
    assert server.stage.begun == 0


async def test_a_node_that_every_picture_needs_makes_it_unfit(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.lacks = frozenset({"l2i"})
    health = await engine.probe()
    assert not health.ok
    assert "l2i" in health.detail


async def test_an_update_of_the_server_is_noticed(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    assert (await engine.probe()).version == "6.14.2"
    server.version, server.lacks = "6.15.0", frozenset({"seamless"})
    assert (await engine.probe()).version == "6.15.0"
    assert Feature.TILING not in engine.capabilities.features


@pytest.mark.parametrize("version", ["5.15.0", "5.6.0rc1"])
async def test_an_old_release_is_unfit(
    server: FakeInvokeAi, engine: InvokeAiEngine, version: str
) -> None:
    server.version = version
    health = await engine.probe()
    assert not health.ok
    assert version in health.detail


async def test_a_server_with_users_wants_a_token_or_credentials(
    server: FakeInvokeAi, engine: InvokeAiEngine, tmp_path: Path
) -> None:
    server.login = ("kitty@example.org", "secret")
    with pytest.raises(EngineProtocolError, match="401"):
        await draw(engine, SPEC)
    known = engine_on(server, tmp_path, credentials=server.login, token="worn out")
    await draw(known, SPEC)
    await known.aclose()
    wrong = engine_on(server, tmp_path, credentials=("kitty@example.org", "guess"))
    assert not (await wrong.probe()).ok
    await wrong.aclose()


async def test_a_queue_of_our_own_has_its_own_items_and_events(
    server: FakeInvokeAi, tmp_path: Path
) -> None:
    engine = engine_on(server, tmp_path, queue_id="kitty")
    _, progress = await draw(engine, SPEC)
    assert {item.queue for item in server.queue.items} == {"kitty"}
    assert [p.step for p in progress if p.phase == "drawing"] == [0, 1, 2, 3]
    other = Client(server=Server(base_url=server.url))
    with pytest.raises(EngineProtocolError, match="500"):
        await other.item(1)
    await other.aclose()
    await engine.aclose()


async def test_memory_is_taken_while_the_worker_rests(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    await engine.release_memory()
    assert server.emptied == 1
    assert server.queue.started


async def test_a_worker_that_rests_for_nobody_any_more_goes_on(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    releasing = asyncio.create_task(engine.release_memory())
    while server.queue.started:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)  # it is noticed before the answer has arrived
    releasing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await releasing
    assert server.queue.started


async def test_a_worker_that_was_paused_stays_paused(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    server.queue.resume(started=False)
    await engine.release_memory()
    assert server.emptied == 1
    assert not server.queue.started


async def test_a_server_that_is_down_holds_nothing(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    await server.stop()
    await engine.release_memory()
    assert server.emptied == 0

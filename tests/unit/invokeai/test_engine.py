"""The engine on a fake server: what the engines' common trial does not ask of it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from engines.base import EngineName, Feature, Picture, Progress
from engines.card import test_card as card
from engines.errors import (
    BadPictureError,
    EngineDownError,
    EngineProtocolError,
    InvalidSpecError,
    LostError,
)
from engines.http import Server
from engines.inputs import Inputs
from engines.invokeai.client import Client
from engines.invokeai.engine import InvokeAiEngine
from engines.invokeai.work import PATIENCE
from engines.spec import GenerationSpec, Tiling
from tests.fakes.drawing import draw
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.invokeai_answers import record
from tests.fakes.stage import Flaw, Phase
from tests.fakes.turn import FreeTurn

SPEC = GenerationSpec(
    prompt="a lighthouse",
    model="tiny",
    width=64,
    height=48,
    steps=3,
    cfg=7.0,
    seed=41,
    sampler="euler",
)
QUICK = replace(PATIENCE, poll_seconds=0.02, lost_seconds=0.2)


@pytest.fixture
async def server() -> AsyncIterator[FakeInvokeAi]:
    server = FakeInvokeAi()
    server.install(record("tiny"), record("big", base="sdxl"))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(tmp_path)


def make(server: FakeInvokeAi, inputs: Inputs, **more: object) -> InvokeAiEngine:
    given = {"name": EngineName("invokeai"), "base_url": server.url, "patience": QUICK, **more}
    return InvokeAiEngine(inputs=inputs, **given)  # type: ignore[arg-type]


@pytest.fixture
async def engine(server: FakeInvokeAi, inputs: Inputs) -> AsyncIterator[InvokeAiEngine]:
    engine = make(server, inputs)
    yield engine
    await engine.aclose()


# -- reporting


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


# -- submitting


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
    server: FakeInvokeAi, engine: InvokeAiEngine, inputs: Inputs
) -> None:
    turn = FreeTurn()
    first, _ = await draw(engine, SPEC, turn)
    heir = make(server, inputs)
    again, _ = await draw(heir, SPEC, FreeTurn(ticket=turn.ticket))
    assert again.png == first.png
    assert server.stage.begun == 1
    await heir.aclose()


async def test_a_picture_that_was_cancelled_meanwhile_is_drawn_anew_under_another_name(
    server: FakeInvokeAi, engine: InvokeAiEngine, inputs: Inputs
) -> None:
    server.stage.hold()
    before = FreeTurn()
    updates = engine.generate(SPEC, before)
    assert await anext(updates)
    await server.stage.drawing()
    await updates.aclose()
    server.stage.release()
    heir = make(server, inputs)
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


# -- stopping


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
    server: FakeInvokeAi, engine: InvokeAiEngine, inputs: Inputs, *, at_once: bool
) -> None:
    server.stage.hold()
    before = FreeTurn()
    frozen = engine.generate(SPEC, before)
    assert await anext(frozen)
    await server.stage.drawing()
    heir, turn = make(server, inputs), FreeTurn(ticket=before.ticket, shut=True)
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


# -- what it sends along


async def test_pictures_are_uploaded_once_each_and_a_mask_is_turned_over(
    server: FakeInvokeAi, engine: InvokeAiEngine, inputs: Inputs
) -> None:
    image = inputs.keep(card(width=80, height=48, seed=3), field="init_image")
    mask = inputs.keep(card(width=80, height=48, seed=4), field="mask")
    picture, _ = await draw(engine, replace(SPEC, init_image=image, mask=mask))
    assert [category for _, category in server.uploads] == ["user", "mask"]
    assert server.queue.images["upload-1.png"] == inputs.read(image)
    assert server.queue.images["upload-2.png"] != inputs.read(mask)
    assert picture.shortfalls == ()


async def test_a_board_is_found_by_name_or_made(server: FakeInvokeAi, inputs: Inputs) -> None:
    for name, key in (("board-1", "board-1"), ("Old", "board-1"), ("New", "board-2")):
        engine = make(server, inputs, board=name)
        await draw(engine, SPEC, FreeTurn(picture_id=name))
        graph = server.queue.items[-1].batch["graph"]
        assert [n["board"] for n in graph["nodes"].values() if "board" in n] == [{"board_id": key}]
        await engine.aclose()


async def test_facts_tell_how_to_draw_it_again(engine: InvokeAiEngine) -> None:
    picture, _ = await draw(engine, replace(SPEC, prompt="a (cat:1.2)"))
    assert picture.facts["model_hash"] == "blake3:mainsd-1tiny"
    assert picture.facts["engine_version"] == "6.14.2"
    assert picture.facts["prompt"] == "a (cat)1.200"


# -- what the server is


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
    server: FakeInvokeAi, engine: InvokeAiEngine, inputs: Inputs
) -> None:
    server.login = ("kitty@example.org", "secret")
    with pytest.raises(EngineProtocolError, match="401"):
        await draw(engine, SPEC)
    known = make(server, inputs, credentials=server.login, token="worn out")
    await draw(known, SPEC)
    await known.aclose()
    wrong = make(server, inputs, credentials=("kitty@example.org", "guess"))
    assert not (await wrong.probe()).ok
    await wrong.aclose()


async def test_a_queue_of_our_own_has_its_own_items_and_events(
    server: FakeInvokeAi, inputs: Inputs
) -> None:
    engine = make(server, inputs, queue_id="kitty")
    _, progress = await draw(engine, SPEC)
    assert {item.queue for item in server.queue.items} == {"kitty"}
    assert [p.step for p in progress if p.phase == "drawing"] == [0, 1, 2, 3]
    other = Client(server=Server(base_url=server.url))
    with pytest.raises(EngineProtocolError, match="500"):
        await other.item(1)
    await other.aclose()
    await engine.aclose()


# -- its memory


async def test_memory_is_taken_while_the_worker_rests(
    server: FakeInvokeAi, engine: InvokeAiEngine
) -> None:
    await engine.release_memory()
    assert server.emptied == 1
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

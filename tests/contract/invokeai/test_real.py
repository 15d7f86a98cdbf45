"""The adapter against InvokeAI itself, drawing with random models of a few megabytes."""

import asyncio
import io
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from engines.base import Feature, Progress
from engines.card import test_card as card
from engines.errors import (
    EngineError,
    EngineProtocolError,
    InvalidSpecError,
    LostError,
    ModelNotFoundError,
)
from engines.http import Server
from engines.inputs import Inputs
from engines.invokeai.client import Client
from engines.invokeai.engine import InvokeAiEngine
from engines.invokeai.schema import read_schema
from engines.spec import InputRef, Lora
from tests.contract.invokeai.pictures import LONG, SPEC, begin, engine_on, opened, pixels, wishes
from tests.contract.invokeai.server import VERSION, RealInvokeAi
from tests.fakes.drawing import draw
from tests.fakes.invokeai_graphs import NODES, RECORDED
from tests.fakes.pictures import half_mask, png_of
from tests.fakes.turn import FreeTurn

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]


# -- what it is


async def test_it_is_healthy_and_can_do_all_that_the_graphs_know(engine: InvokeAiEngine) -> None:
    health = await engine.probe()
    assert health.ok, health.detail
    assert health.version == VERSION
    assert engine.capabilities.features == frozenset(Feature) - {Feature.RESUME}


async def test_the_fake_server_knows_the_same_nodes(client: Client) -> None:
    schema = read_schema(await client.openapi())
    assert {kind: schema.nodes[kind] for kind in NODES} == dict(NODES)
    assert schema.schedulers == frozenset(RECORDED["schedulers"])


async def test_models_of_every_kind_are_listed(engine: InvokeAiEngine) -> None:
    models = {model.name: model for model in await engine.models()}
    assert {(name, model.kind, model.base) for name, model in models.items()} == {
        ("tiny-sd15", "checkpoint", "sd15"),
        ("tiny-sdxl", "checkpoint", "sdxl"),
        ("tiny-control", "controlnet", "sd15"),
        ("tiny-lora", "lora", "sd15"),
        ("tiny-upscaler", "upscaler", "any"),
    }
    assert models["tiny-sd15"].answers_to("tiny-sd15")
    assert models["tiny-sdxl"].defaults.width == 1024
    assert all(model.error == "" for model in models.values())


# -- drawing


async def test_a_picture_comes_with_rising_progress_and_previews(engine: InvokeAiEngine) -> None:
    picture, progress = await draw(engine, replace(SPEC, seed=100))
    assert (picture.width, picture.height, picture.seed) == (64, 64, 100)
    assert picture.shortfalls == ()
    assert str(picture.facts["model_hash"]).startswith("blake3:")
    steps = [update.step for update in progress]
    assert steps == sorted(steps)
    assert {update.steps for update in progress} == {4}
    assert steps[-1] == 4
    previews = [update.preview for update in progress if update.preview]
    assert previews
    with Image.open(io.BytesIO(previews[-1])) as preview:
        assert preview.format == "JPEG"


async def test_the_seed_alone_decides_the_picture(engine: InvokeAiEngine) -> None:
    first, _ = await draw(engine, SPEC)
    again, _ = await draw(engine, SPEC)
    other, _ = await draw(engine, SPEC.picture(1))
    assert pixels(first) == pixels(again)
    assert pixels(first) != pixels(other)


@pytest.mark.parametrize("wish", list(wishes(InputRef(""), InputRef(""))))
async def test_every_wish_changes_the_picture(
    engine: InvokeAiEngine, inputs: Inputs, drawn: dict[str, bytes], wish: str
) -> None:
    image = inputs.keep(card(width=80, height=48, seed=3), field="init_image")
    mask = inputs.keep(png_of(half_mask(64, 64)), field="mask")
    spec = replace(SPEC, **wishes(image, mask)[wish])
    picture, _ = await draw(engine, spec)
    assert (picture.width, picture.height) == spec.output_size
    assert picture.shortfalls == ()
    seen = pixels(picture)
    assert seen not in drawn.values()
    drawn[wish] = seen


async def test_a_mask_protects_what_is_black(engine: InvokeAiEngine, inputs: Inputs) -> None:
    image = inputs.keep(card(width=64, height=64, seed=3), field="init_image")
    mask = inputs.keep(png_of(half_mask(64, 64)), field="mask")
    spec = replace(SPEC, init_image=image, mask=mask, strength=1.0)
    picture, _ = await draw(engine, spec)
    drawn, original = opened(picture.png), opened(inputs.read(image))
    protected, free = (0, 0, 24, 64), (40, 0, 64, 64)
    assert drawn.crop(protected).tobytes() == original.crop(protected).tobytes()
    assert drawn.crop(free).tobytes() != original.crop(free).tobytes()


# -- failing


async def test_refusals_and_failures_have_our_codes(engine: InvokeAiEngine) -> None:
    with pytest.raises(ModelNotFoundError):
        await draw(engine, replace(SPEC, model="absent"))
    with pytest.raises(InvalidSpecError) as caught:
        await draw(engine, replace(SPEC, cfg=0.5))
    assert caught.value.field == "cfg"
    with pytest.raises(InvalidSpecError) as caught:
        await draw(engine, replace(SPEC, model="tiny-sdxl", loras=(Lora("tiny-lora"),)))
    assert caught.value.field == "loras"


async def test_a_model_that_goes_away_is_noticed_while_drawing(
    engine: InvokeAiEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = Client.records

    async def outdated(self: Client) -> list[Any]:
        return [replace(record, key=f"{record.key}-old") for record in await records(self)]

    monkeypatch.setattr(Client, "records", outdated)
    turn = FreeTurn()
    with pytest.raises(ModelNotFoundError, match="Unknown model"):
        await draw(engine, SPEC, turn)
    assert turn.ticket == ""


async def test_another_queue_does_not_know_the_item(
    invokeai: RealInvokeAi, engine: InvokeAiEngine, client: Client
) -> None:
    turn = FreeTurn()
    await draw(engine, SPEC, turn)
    number = await item_of(client, turn)
    assert await client.item(number) is not None
    assert await client.item(10**6) is None
    other = Client(server=Server(base_url=invokeai.url), queue_id="other")
    with pytest.raises(EngineProtocolError, match="500"):
        await other.item(number)
    await other.aclose()


# -- stopping, losing and finding


async def item_of(client: Client, turn: FreeTurn) -> int:
    """Return the one item that was queued for a turn."""
    batch = str(turn.tickets[0]).removeprefix("invokeai:")
    [item] = await client.items(batch=batch, destination=f"kitty-images:{turn.picture_id}")
    return item.number


async def test_closing_returns_when_the_worker_is_free(
    engine: InvokeAiEngine, client: Client
) -> None:
    turn = FreeTurn()
    updates = await begin(engine, turn)
    assert (await client.queue()).processing
    await updates.aclose()
    assert not (await client.queue()).processing
    assert not turn.held
    item = await client.item(await item_of(client, turn))
    assert item is not None
    assert (item.status, item.images) == ("canceled", {})
    picture, _ = await draw(engine, SPEC)
    assert picture.seed == SPEC.seed


async def test_after_a_restart_of_ours_the_drawing_is_found_again(
    invokeai: RealInvokeAi, engine: InvokeAiEngine, inputs: Inputs, client: Client
) -> None:
    turn = FreeTurn()
    spec = replace(LONG, steps=100)
    frozen = engine.generate(spec, turn)
    async for update in frozen:
        if isinstance(update, Progress) and update.step:
            break
    heir = engine_on(invokeai, inputs)
    after = FreeTurn(ticket=turn.ticket)
    picture, progress = await draw(heir, spec, after)
    assert picture.seed == spec.seed
    assert any(update.phase == "drawing" and 0 < update.step < 100 for update in progress)
    assert await item_of(client, turn)  # there is exactly one
    assert after.tickets == []
    again, _ = await draw(heir, spec, FreeTurn(ticket=turn.ticket))
    assert again.png == picture.png
    await frozen.aclose()
    await heir.aclose()


async def test_it_draws_again_after_its_memory_was_taken(
    engine: InvokeAiEngine, client: Client
) -> None:
    await draw(engine, SPEC)
    await engine.release_memory()
    assert (await client.queue()).started
    _, progress = await draw(engine, replace(SPEC, seed=99))
    assert "loading" in {update.phase for update in progress}


async def test_after_a_crash_of_the_server_the_picture_is_drawn_anew(
    invokeai: RealInvokeAi, engine: InvokeAiEngine
) -> None:
    turn = FreeTurn()
    updates = await begin(engine, turn)
    await asyncio.to_thread(invokeai.kill)
    with pytest.raises(LostError) as caught:
        async for _ in updates:
            pass
    assert caught.value.code == "engine_down"
    assert not turn.held
    assert turn.ticket
    assert not (await engine.probe()).ok
    await asyncio.to_thread(invokeai.start)
    before = turn.ticket
    picture, _ = await draw(engine, SPEC, turn)  # the server calls what it was at cancelled
    assert picture.seed == SPEC.seed
    assert turn.ticket != before


async def test_an_error_while_drawing_is_told_in_the_servers_words(
    engine: InvokeAiEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engines.invokeai.order.require_base", lambda record, *_, **__: record)
    with pytest.raises(EngineError) as caught:
        await draw(engine, replace(SPEC, model="tiny-sdxl", loras=(Lora("tiny-lora"),)))
    assert caught.value.code == "engine_error"
    assert "Error" in caught.value.detail

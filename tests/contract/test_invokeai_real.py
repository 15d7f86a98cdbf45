"""The adapter against InvokeAI itself, drawing with random models of a few megabytes."""

import asyncio
import io
import json
import subprocess
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engines.base import EngineName, Feature, Picture, Progress
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
from engines.invokeai.prompts import compel
from engines.invokeai.schema import read_schema
from engines.invokeai.work import PATIENCE
from engines.spec import Control, GenerationSpec, Hires, InputRef, Lora, Tiling, Upscale
from tests.contract.invokeai_server import VERSION, RealInvokeAi
from tests.fakes.drawing import draw, first_step
from tests.fakes.invokeai_graphs import NODES, RECORDED
from tests.fakes.turn import FreeTurn

pytestmark = [pytest.mark.server, pytest.mark.timeout(600)]

SPEC = GenerationSpec(
    prompt="a (cat:1.2) on a mat",
    model="tiny-sd15",
    width=64,
    height=64,
    steps=4,
    cfg=5.0,
    seed=7,
    sampler="dpmpp_2m_karras",
)
LONG = replace(SPEC, steps=999, sampler="euler")
QUICK = replace(PATIENCE, poll_seconds=0.5, lost_seconds=5.0, stop_seconds=60.0)


@pytest.fixture(scope="module")
def invokeai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealInvokeAi]:
    server = RealInvokeAi(tmp_path_factory.mktemp("invokeai"))
    try:
        server.start()
        server.install()
        yield server
    finally:
        server.kill()


@pytest.fixture
def inputs(tmp_path: Path) -> Inputs:
    return Inputs(tmp_path)


def make(invokeai: RealInvokeAi, inputs: Inputs) -> InvokeAiEngine:
    return InvokeAiEngine(
        name=EngineName("invokeai"),
        base_url=invokeai.url,
        inputs=inputs,
        patience=QUICK,
        board="KITTY",
    )


@pytest.fixture
async def engine(invokeai: RealInvokeAi, inputs: Inputs) -> AsyncIterator[InvokeAiEngine]:
    engine = make(invokeai, inputs)
    yield engine
    await engine.aclose()


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    """Return the pixels that each wish gave, to be filled."""
    return {}


@pytest.fixture
async def client(invokeai: RealInvokeAi) -> AsyncIterator[Client]:
    client = Client(server=Server(base_url=invokeai.url))
    yield client
    await client.aclose()


async def begin(engine: InvokeAiEngine, turn: FreeTurn) -> AsyncGenerator[Progress | Picture]:
    """Draw a long picture until it has taken a step."""
    updates = engine.generate(LONG, turn)
    await first_step(updates)
    return updates


def opened(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB")


def pixels(picture: Picture) -> bytes:
    image = opened(picture.png)
    assert image.size == (picture.width, picture.height)
    return image.tobytes()


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


def wishes(image: InputRef, mask: InputRef) -> Mapping[str, Mapping[str, Any]]:
    """Return one change to the spec for everything that it can say."""
    return {
        "none": {},
        "sdxl": {"model": "tiny-sdxl", "hires": Hires()},
        "img2img": {"init_image": image, "strength": 0.5},
        "inpaint": {"init_image": image, "mask": mask, "hires": Hires(upscaler="lanczos")},
        "lora": {"loras": (Lora("tiny-lora", 2.0),)},
        "lora in the prompt": {"prompt": "a cat <lora:tiny-lora:2>"},
        "controls": {"controls": (Control("tiny-control", image), Control("tiny-control", mask))},
        "hires": {"hires": Hires(scale=1.3, upscaler="tiny-upscaler", steps=6)},
        "upscale": {"upscale": Upscale(scale=3.0, upscaler="tiny-upscaler")},
        "tiling": {"tiling": Tiling.BOTH},
        "clip skip": {"clip_skip": 1},
        "own sampler": {"sampler": "deis"},
        "weight": {"prompt": "a (cat:0.2) on a mat"},
    }


@pytest.mark.parametrize("wish", list(wishes(InputRef(""), InputRef(""))))
async def test_every_wish_changes_the_picture(
    engine: InvokeAiEngine, inputs: Inputs, drawn: dict[str, bytes], wish: str
) -> None:
    image = inputs.keep(card(width=80, height=48, seed=3), field="init_image")
    mask = inputs.keep(_half_white(), field="mask")
    spec = replace(SPEC, **wishes(image, mask)[wish])
    picture, _ = await draw(engine, spec)
    assert (picture.width, picture.height) == spec.output_size
    assert picture.shortfalls == ()
    seen = pixels(picture)
    assert seen not in drawn.values()
    drawn[wish] = seen


async def test_a_mask_protects_what_is_black(engine: InvokeAiEngine, inputs: Inputs) -> None:
    image = inputs.keep(card(width=64, height=64, seed=3), field="init_image")
    mask = inputs.keep(_half_white(), field="mask")
    spec = replace(SPEC, init_image=image, mask=mask, strength=1.0)
    picture, _ = await draw(engine, spec)
    drawn, original = opened(picture.png), opened(inputs.read(image))
    protected, free = (0, 0, 24, 64), (40, 0, 64, 64)
    assert drawn.crop(protected).tobytes() == original.crop(protected).tobytes()
    assert drawn.crop(free).tobytes() != original.crop(free).tobytes()


def _half_white() -> bytes:
    """Return a mask whose right half may change."""
    out = io.BytesIO()
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (32, 0, 64, 64))
    mask.save(out, "PNG")
    return out.getvalue()


def test_compel_reads_the_prompts_as_they_were_meant(invokeai: RealInvokeAi) -> None:
    meant = {
        "a (cat:1.2) on a mat": [["a", 1.0], ["cat", 1.2], ["on a mat", 1.0]],
        "((a)) [b]": [["a", 1.21], ["b", 0.909]],
        "(red, blue:1.2).": [["red , blue", 1.2], [".", 1.0]],
        "(a (b:1.5) c:1.2)": [["a", 1.2], ["b", 1.8], ["c", 1.2]],
        "C++ rocks, well-known-": [["C ++ rocks, well-known -", 1.0]],
        "(C++:1.2) is": [["C", 1.2], ["++ is", 1.0]],
        "(a=b:1.3) x": [["a", 1.3], ["=", 1.0], ["b", 1.3], ["x", 1.0]],
        "(red - blue:1.4)": [["red", 1.4], ["-", 1.0], ["blue", 1.4]],
        "(--b:1.2)": [["--", 1.0], ["b", 1.2]],
        'say "hi" \\(now\\)': [['say "hi" (now)', 1.0]],
        "a.swap(b)": [["a. swap", 1.0], ["b", 1.1]],
        "(a:1.2)5 b": [["a", 1.2], ["5 b", 1.0]],
        "a) b": [["a) b", 1.0]],
        "": [["", 1.0]],
    }
    read = subprocess.run(
        [invokeai.python, "-c", _READ_PROMPTS],
        input=json.dumps([compel(prompt) for prompt in meant]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert dict(zip(meant, json.loads(read.stdout), strict=True)) == meant


_READ_PROMPTS = """
import importlib.util, json, sys
package = importlib.util.find_spec("compel").submodule_search_locations[0]
spec = importlib.util.spec_from_file_location("prompt_parser", package + "/prompt_parser.py")
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
parser = module.PromptParser()
conjunctions = [parser.parse_conjunction(prompt) for prompt in json.load(sys.stdin)]
print(json.dumps([
    [[f.text, round(f.weight, 3)] for p in c.prompts for f in p.children] for c in conjunctions
]))
"""


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
    heir = make(invokeai, inputs)
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

"""What InvokeAI is sent along with a picture, and what it tells of it."""

from dataclasses import replace
from pathlib import Path

from engines.card import test_card as card
from engines.inputs import Inputs
from engines.invokeai.engine import InvokeAiEngine
from tests.contract.bench_invokeai import SPEC, engine_on
from tests.fakes.drawing import draw
from tests.fakes.invokeai import FakeInvokeAi
from tests.fakes.turn import FreeTurn


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


async def test_a_board_is_found_by_name_or_made(server: FakeInvokeAi, tmp_path: Path) -> None:
    for name, key in (("board-1", "board-1"), ("Old", "board-1"), ("New", "board-2")):
        engine = engine_on(server, tmp_path, board=name)
        await draw(engine, SPEC, FreeTurn(picture_id=name))
        graph = server.queue.items[-1].batch["graph"]
        assert [n["board"] for n in graph["nodes"].values() if "board" in n] == [{"board_id": key}]
        await engine.aclose()


async def test_facts_tell_how_to_draw_it_again(engine: InvokeAiEngine) -> None:
    picture, _ = await draw(engine, replace(SPEC, prompt="a (cat:1.2)"))
    assert picture.facts["model_hash"] == "blake3:mainsd-1tiny"
    assert picture.facts["engine_version"] == "6.14.2"
    assert picture.facts["prompt"] == "a (cat)1.200"

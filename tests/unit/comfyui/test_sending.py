"""What is sent to ComfyUI, and when."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from engines.card import test_card as card
from engines.comfyui.engine import ComfyUiEngine
from engines.comfyui.ticket import read_ticket
from engines.errors import InvalidSpecError
from engines.inputs import Inputs
from engines.spec import Control, Hires, Lora, Upscale
from tests.contract.bench_comfyui import SPEC, engine_on
from tests.fakes.comfyui import FakeComfyUi, Manners, fake_comfyui
from tests.fakes.drawing import draw
from tests.fakes.stage import Phase
from tests.fakes.turn import FreeTurn
from tests.unit.comfyui.graphs import classic, node, with_nodes
from tests.unit.comfyui.queueing import both_kinds, posted


@both_kinds
async def test_the_socket_is_open_before_the_prompt_is_sent(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    await draw(engine, SPEC)
    asked = server.asked
    assert asked.index("GET /ws") < asked.index("POST /prompt")


async def test_a_prompt_is_sent_under_a_name_that_is_ours_and_forgotten_afterwards(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    turn = FreeTurn()
    await draw(engine, SPEC, turn)
    ticket = read_ticket(turn.ticket)
    assert ticket is not None
    assert posted(server)["prompt_id"] == ticket.prompt_id
    assert posted(server)["client_id"] == ticket.client_id
    assert posted(server)["extra_data"] == {"preview_method": "latent2rgb"}
    assert server.worker.history == {}
    assert [key[0] for key in server.worker.files] == [f"{ticket.prompt_id}_00001_.png"]


async def test_a_server_that_names_prompts_itself_is_believed(tmp_path: Path) -> None:
    async with fake_comfyui(Manners(newer=False, names_prompts=True)) as server:
        engine, turn = engine_on(server, tmp_path), FreeTurn()
        await draw(engine, SPEC, turn)
        first, second = (read_ticket(ticket) for ticket in turn.tickets)
        assert first is not None
        assert second is not None
        assert first.prompt_id != second.prompt_id
        assert server.worker.history == {}
        await engine.aclose()


async def test_a_prompt_whose_answer_was_lost_is_looked_up_and_followed(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.cut(Phase.ANSWER)
    picture, _ = await draw(engine, SPEC)
    assert picture.seed == SPEC.seed
    assert server.stage.begun == 1


async def test_pictures_are_uploaded_under_the_name_of_their_content(
    server: FakeComfyUi, engine: ComfyUiEngine, tmp_path: Path
) -> None:
    data = card(width=100, height=60, seed=1)
    ref = Inputs(tmp_path / "inputs").keep(data, field="init_image")
    controls = (Control("canny", ref),)
    spec = replace(SPEC, init_image=ref, mask=ref, controls=controls, loras=(Lora("style"),))
    picture, _ = await draw(engine, spec)
    assert list(server.shelf.uploads) == [f"kitty/{ref}.png"]
    assert picture.shortfalls == ()
    assert picture.facts["loras"] == ["style.safetensors"]


async def test_a_mask_without_a_picture_is_a_shortfall(
    engine: ComfyUiEngine, tmp_path: Path
) -> None:
    ref = Inputs(tmp_path / "inputs").keep(card(width=8, height=8, seed=1), field="mask")
    picture, _ = await draw(engine, replace(SPEC, mask=ref))
    assert [s.field for s in picture.shortfalls] == ["mask"]


async def test_an_upload_keeps_its_format(
    server: FakeComfyUi, engine: ComfyUiEngine, tmp_path: Path
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (8, 8)).save(out, "WEBP")
    ref = Inputs(tmp_path / "inputs").keep(out.getvalue(), field="init_image")
    await draw(engine, replace(SPEC, init_image=ref))
    assert list(server.shelf.uploads) == [f"kitty/{ref}.webp"]


async def test_a_picture_that_is_enlarged_by_a_model_has_the_size_asked_for(
    engine: ComfyUiEngine,
) -> None:
    spec = replace(SPEC, hires=Hires(1.5, upscaler="double"), upscale=Upscale(2.5, "lanczos"))
    picture, told = await draw(engine, spec)
    assert (picture.width, picture.height) == (240, 180)
    assert told[-1].steps == 4 + 2


async def test_a_prompt_that_would_be_drawn_in_part_is_refused_and_taken_back(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    graph = with_nodes(
        classic(),
        n20=node("LoraLoader", model=["4", 0], clip=["4", 1], lora_name="gone.safetensors"),
        n21=node("CLIPTextEncode", text="x", clip=["20", 1]),
        n22={**classic()["3"], "inputs": {**classic()["3"]["inputs"], "positive": ["21", 0]}},
        n23=node("VAEDecode", samples=["22", 0], vae=["4", 2]),
        n24=node("SaveImage", images=["23", 0], filename_prefix="b"),
    )
    path = tmp_path / "two.json"
    path.write_text(json.dumps({**graph, "kitty": {"output": "9"}}))
    server.stage.hold()
    engine = engine_on(server, tmp_path, workflow=path)
    with pytest.raises(InvalidSpecError, match="the server has no lora_name 'gone"):
        await draw(engine, SPEC)
    assert server.stage.begun == 1
    assert not server.stage.busy
    assert server.stage.finished == 0
    await engine.aclose()

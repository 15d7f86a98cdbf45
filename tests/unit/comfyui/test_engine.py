"""The engine before a fake server, in the situations that only ComfyUI gets into."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from engines.base import Picture, Progress
from engines.card import test_card as card
from engines.comfyui.client import Client
from engines.comfyui.engine import ComfyUiEngine
from engines.comfyui.resolver import Resolver
from engines.comfyui.template import read_template
from engines.comfyui.ticket import read_ticket
from engines.errors import (
    EngineDownError,
    EngineError,
    InvalidSpecError,
    LostError,
    ModelNotFoundError,
)
from engines.http import Server
from engines.inputs import Inputs
from engines.spec import Control, Hires, Lora, Upscale
from tests.contract.bench_comfyui import SPEC, TIMING, engine_on
from tests.fakes.comfyui import FakeComfyUi, Manners, fake_comfyui
from tests.fakes.comfyui_worker import Item
from tests.fakes.drawing import draw, first_step
from tests.fakes.stage import Flaw, Phase
from tests.fakes.turn import FreeTurn
from tests.unit.comfyui.graphs import classic, node, with_nodes

both_kinds = pytest.mark.parametrize("server", ["older", "newer"], indirect=True)


@pytest.fixture
async def server(request: pytest.FixtureRequest) -> AsyncIterator[FakeComfyUi]:
    newer = getattr(request, "param", "newer") == "newer"
    async with fake_comfyui(Manners(newer=newer)) as server:
        yield server


@pytest.fixture
async def engine(server: FakeComfyUi, tmp_path: Path) -> AsyncIterator[ComfyUiEngine]:
    engine = engine_on(server, tmp_path)
    yield engine
    await engine.aclose()


def posted(server: FakeComfyUi) -> dict[str, object]:
    [body] = server.bodies
    assert isinstance(body, dict)
    return body


def put(server: FakeComfyUi, prompt_id: str) -> Item:
    """Let somebody else queue a prompt."""
    graph = classic(n5__width=64, n5__height=64)
    item = Item(prompt_id=prompt_id, graph=graph, client_id=None, outputs=["9"])
    server.stage.accepted()
    server.worker.put(item)
    return item


async def first_preview(engine: ComfyUiEngine) -> bytes:
    async with aclosing(engine.generate(SPEC, FreeTurn())) as updates:
        async for update in updates:
            if isinstance(update, Progress) and update.preview:
                return update.preview
    pytest.fail("no preview")


# -- sending


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


# -- following


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


# -- stopping


@both_kinds
async def test_a_prompt_that_waits_is_withdrawn_and_the_running_one_stays(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    theirs = put(server, "theirs")
    await server.stage.drawing()
    drawing = asyncio.create_task(draw(engine, SPEC))
    await server.asked.wait_for("POST /prompt")
    drawing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert server.worker.running is theirs
    assert not theirs.interrupted.is_set()
    assert server.worker.pending == []
    server.stage.release()


@both_kinds
async def test_an_interrupt_that_gets_lost_is_repeated(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.worker.deaf = 2
    updates = engine.generate(SPEC, FreeTurn())
    await first_step(updates)
    await updates.aclose()
    assert not server.stage.busy
    assert server.worker.deaf == 0
    assert server.worker.history == {}


async def test_the_oldest_servers_are_not_told_to_interrupt_what_is_not_ours(
    tmp_path: Path,
) -> None:
    async with fake_comfyui(Manners(newer=False, targets_interrupts=False)) as server:
        engine = engine_on(server, tmp_path)
        server.stage.hold()
        server.worker.deaf = 1
        theirs = put(server, "theirs")
        await server.stage.drawing()
        drawing = asyncio.create_task(draw(engine, SPEC))
        await server.asked.wait_for("POST /prompt")
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing
        assert not theirs.interrupted.is_set()
        assert "POST /interrupt" not in server.asked
        await engine.aclose()


async def test_a_cancellation_waits_for_the_answer_to_what_was_sent(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.door.clear()
    drawing = asyncio.create_task(draw(engine, SPEC))
    await server.asked.wait_for("POST /prompt")
    drawing.cancel()
    await asyncio.wait([drawing], timeout=0.05)
    server.door.set()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert server.stage.begun == 1
    assert not server.stage.busy


async def test_closing_while_looking_for_earlier_work_stops_that_work(
    server: FakeComfyUi, engine: ComfyUiEngine, tmp_path: Path
) -> None:
    server.stage.hold()
    before = FreeTurn()
    frozen = engine.generate(SPEC, before)
    await first_step(frozen)
    again = engine_on(server, tmp_path)
    updates = again.generate(SPEC, FreeTurn(ticket=before.ticket))
    assert await anext(updates) == Progress("waiting")
    await updates.aclose()
    assert not server.stage.busy
    await frozen.aclose()
    await again.aclose()


async def test_what_arrives_after_its_sender_was_cut_off_is_still_stopped(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.door.clear()
    drawing = asyncio.create_task(draw(engine, SPEC))
    await server.asked.wait_for("POST /prompt")
    drawing.cancel()
    await asyncio.sleep(0)
    server.cut_connections()
    await server.asked.wait_for("GET /queue")
    server.door.set()
    with pytest.raises(asyncio.CancelledError):
        await drawing
    assert server.stage.begun == 1
    assert not server.stage.busy


async def test_somebody_elses_interrupt_makes_the_picture_to_be_drawn_again(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    drawing = asyncio.create_task(draw(engine, SPEC, turn))
    await server.stage.drawing()
    server.worker.interrupt(None)
    with pytest.raises(EngineDownError, match="interrupted"):
        await drawing
    server.stage.release()
    picture, _ = await draw(engine, SPEC, turn)
    assert picture.seed == SPEC.seed
    assert server.worker.history == {}


async def test_work_on_a_server_that_cannot_be_reached_is_left_alone_and_found_again(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    server.drops = 1000
    turn = FreeTurn()
    with pytest.raises(EngineDownError):
        await draw(engine, SPEC, turn)
    server.drops = 0
    await server.stage.drawing()
    assert server.stage.busy
    server.stage.release()
    await draw(engine, SPEC, turn)
    assert server.stage.begun == server.stage.finished == 1


@both_kinds
async def test_a_restart_that_forgets_everything_is_a_lost_engine(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    async with aclosing(engine.generate(SPEC, turn)) as updates:
        await first_step(updates)
        await server.restart()
        with pytest.raises(LostError, match="does not know the prompt"):
            _ = [update async for update in updates]
    server.stage.release()
    picture, _ = await draw(engine, SPEC, turn)
    assert picture.seed == SPEC.seed


# -- workflows of the user's


async def test_a_workflow_for_everything_draws_with_the_model_asked_for(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    path = tmp_path / "boats.json"
    path.write_text(json.dumps(classic(n4__ckpt_name="xl.safetensors")))
    server.shelf.folders["checkpoints"].append("xl.safetensors")
    engine = engine_on(server, tmp_path, workflow=path)
    [first, *_] = await engine.models()
    assert first.name == "workflow:boats"
    plain = first.defaults
    spec = replace(SPEC, width=plain.width, height=plain.height, sampler=plain.sampler)
    for model, checkpoint in (("workflow:boats", "xl"), ("", "xl"), ("tiny", "sd/tiny")):
        server.bodies.clear()
        picture, _ = await draw(engine, replace(spec, model=model))
        graph = posted(server)["prompt"]
        assert isinstance(graph, dict)
        assert graph["4"]["inputs"]["ckpt_name"] == f"{checkpoint}.safetensors"
        assert graph["6"]["inputs"]["text"] == SPEC.prompt
        assert picture.shortfalls == ()
        assert picture.facts["workflow"] == "boats"
        assert picture.facts["checkpoint"] == f"{checkpoint}.safetensors"
        assert picture.facts["sampler"] == "heun/karras"
        assert (picture.width, picture.height) == (640, 448)
    await engine.aclose()


async def test_a_workflow_that_draws_another_size_says_so(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    graph = with_nodes(
        classic(n9__images=["10", 0]),
        n10=node("ImageScale", image=["8", 0], width=96, height=80, upscale_method="area"),
    )
    (tmp_path / "fixed.json").write_text(json.dumps(graph))
    engine = engine_on(server, tmp_path, workflows_dir=tmp_path)
    picture, _ = await draw(engine, replace(SPEC, model="workflow:fixed"))
    assert (picture.width, picture.height) == (96, 80)
    assert [(s.code, s.field) for s in picture.shortfalls] == [("size_changed", "width")]
    await engine.aclose()


async def test_a_sampler_that_only_the_workflow_knows_stays_where_it_is(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    graph = classic(n3__sampler_name="authors_own")
    template = read_template("own", json.dumps(graph).encode())
    client = Client(server=Server(base_url=server.url))
    resolver = Resolver(client=client, inputs=Inputs(tmp_path))
    spec = replace(SPEC, model=template.model, sampler=template.defaults.sampler)
    assert (await resolver.template_names(spec, "1", template)).sampler == ""
    other = replace(spec, sampler="euler_a")
    names = await resolver.template_names(other, "1", template)
    assert (names.sampler, names.scheduler) == ("euler_ancestral", "normal")
    await client.aclose()


async def test_a_workflow_that_draws_several_pictures_gives_the_first_and_says_so(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    (tmp_path / "two.json").write_text(json.dumps(classic(n5__batch_size=2)))
    engine = engine_on(server, tmp_path, workflows_dir=tmp_path)
    picture, _ = await draw(engine, replace(SPEC, model="workflow:two"))
    assert [s.code for s in picture.shortfalls] == ["pictures_dropped"]
    await engine.aclose()


async def test_an_unsound_workflow_for_everything_makes_the_engine_unhealthy(
    server: FakeComfyUi, tmp_path: Path
) -> None:
    path = tmp_path / "boats.json"
    path.write_text("{}")
    engine = engine_on(server, tmp_path, workflow=path)
    health = await engine.probe()
    assert not health.ok
    assert health.version == "0.38.1"
    assert "workflow 'boats'" in health.detail
    await engine.aclose()


# -- models and memory


async def test_models_of_every_kind_are_listed_with_what_their_files_say(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.shelf.folders["checkpoints"] += ["a/x.safetensors", "b/x.safetensors"]
    architecture = {"modelspec.architecture": "stable-diffusion-xl-v1-base"}
    server.shelf.headers["a/x.safetensors"] = architecture
    models = {model.name: model for model in await engine.models()}
    assert models["a/x.safetensors"].base == "sdxl"
    assert models["a/x.safetensors"].defaults.width == 1024
    assert models["b/x.safetensors"].base == ""
    assert not models["a/x.safetensors"].answers_to("x")
    assert models["a/x.safetensors"].answers_to("a/x")
    assert models["sd/tiny.safetensors"].answers_to("tiny")
    kinds = {name: model.kind for name, model in models.items()}
    assert kinds["style.safetensors"] == "lora"
    assert kinds["canny.safetensors"] == "controlnet"
    assert kinds["double.pth"] == "upscaler"


async def test_without_a_model_named_the_first_draws(engine: ComfyUiEngine) -> None:
    picture, _ = await draw(engine, replace(SPEC, model=""))
    assert picture.facts["checkpoint"] == "sd/tiny.safetensors"


@pytest.mark.parametrize("slowness", [1, 4])
async def test_memory_is_free_when_the_call_returns(
    server: FakeComfyUi, engine: ComfyUiEngine, slowness: int
) -> None:
    server.slowness = slowness
    await draw(engine, SPEC)
    assert server.worker.loaded
    await engine.release_memory()
    assert not server.worker.loaded


async def test_the_head_of_a_file_is_looked_at_once(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    await engine.models()
    await engine.models()
    assert server.asked.count("GET /view_metadata/checkpoints") == 1


async def test_a_server_without_a_checkpoint_draws_nothing(
    server: FakeComfyUi, engine: ComfyUiEngine
) -> None:
    server.shelf.folders["checkpoints"].clear()
    with pytest.raises(ModelNotFoundError, match="no checkpoint at all"):
        await draw(engine, replace(SPEC, model=""))

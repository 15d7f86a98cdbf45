"""The engine before the server's bad manners, where they go beyond the common contract."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engines.a1111 import A1111Engine
from engines.base import Feature, Progress
from engines.card import test_card as card
from engines.errors import (
    BadPictureError,
    EngineError,
    EngineProtocolError,
    EngineTimeoutError,
    InvalidSpecError,
    LostError,
    OutOfMemoryError,
)
from engines.inputs import Inputs
from engines.spec import Control, Hires, InputRef, Lora, Refiner, Upscale
from tests.contract.bench_a1111 import SPEC, engine_on
from tests.fakes.a1111 import FakeA1111
from tests.fakes.drawing import draw
from tests.fakes.stage import Phase
from tests.fakes.turn import FreeTurn

USERS = {
    "prompt": "somebody else's",
    "steps": 3,
    "seed": 5,
    "width": 64,
    "height": 64,
    "sampler_name": "Euler",
    "cfg_scale": 7,
    "override_settings": {},
    "force_task_id": "task(users)",
}

Start = Callable[..., Any]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start a server in some mode, and an engine on it."""
    async with AsyncExitStack() as stack:

        async def start(
            *, password: tuple[str, str] | None = None, **mode: bool | tuple[str, str]
        ) -> tuple[FakeA1111, A1111Engine]:
            server = await stack.enter_async_context(FakeA1111(**mode).running())  # type: ignore[arg-type]
            engine = engine_on(server, tmp_path, auth=password)
            stack.push_async_callback(engine.aclose)
            return server, engine

        yield start


def kept(tmp_path: Path, width: int, height: int) -> InputRef:
    return Inputs(tmp_path).keep(card(width=width, height=height, seed=9), field="init_image")


async def users_drawing(server: FakeA1111) -> "asyncio.Task[Any]":
    """Have somebody else draw on the web page, and hold that drawing."""

    class Unheard:
        done = False

        def now(self) -> None:
            pytest.fail("nobody listens")

    server.stage.hold()
    task = asyncio.create_task(server.webui.draw(dict(USERS), Unheard()))  # type: ignore[arg-type]
    await server.stage.drawing()
    return task


# -- what is sent


async def test_options_are_never_set_for_everybody(start: Start) -> None:
    server, engine = await start()
    await draw(engine, SPEC)
    assert ("POST", "/sdapi/v1/options") not in server.requests
    assert server.bodies[0]["override_settings"]["sd_model_checkpoint"].startswith("tiny.")
    assert server.bodies[0]["override_settings_restore_afterwards"] is True
    assert server.webui.loaded == "tiny"


async def test_every_drawing_has_a_name_of_its_own_that_is_kept(start: Start) -> None:
    server, engine = await start()
    turn = FreeTurn()
    await draw(engine, SPEC, turn)
    await draw(engine, SPEC, turn)
    first, second = (body["force_task_id"] for body in server.bodies)
    assert first != second
    assert [f"a1111:{name[5:-3]}" for name in (first, second)] == turn.tickets


async def test_two_pictures_are_never_in_flight(start: Start) -> None:
    server, engine = await start()
    server.stage.hold()
    drawings = [
        asyncio.create_task(draw(engine, SPEC.picture(k), FreeTurn(picture_id=f"job-{k}")))
        for k in range(3)
    ]
    await server.stage.drawing()
    server.stage.release()
    pictures = [picture for picture, _ in await asyncio.gather(*drawings)]
    assert sorted(picture.seed for picture in pictures) == [41, 42, 43]
    assert server.stage.most_at_once == 1


async def test_a_picture_in_three_calls(start: Start, tmp_path: Path) -> None:
    server, engine = await start()
    image = kept(tmp_path, 80, 60)
    spec = replace(
        SPEC,
        init_image=image,
        mask=kept(tmp_path, 81, 60),
        hires=Hires(scale=2.0, upscaler="lanczos"),
        upscale=Upscale(scale=1.5),
    )
    picture, progress = await draw(engine, spec)
    assert (picture.width, picture.height) == spec.output_size == (192, 144)
    with Image.open(io.BytesIO(picture.png)) as shown:
        assert shown.size == (192, 144)
    steps = [p.step for p in progress]
    assert steps == sorted(steps)
    assert progress[-1] == Progress("drawing", 7, 7)
    paths = [path for method, path in server.requests if method == "POST" and "img" in path]
    assert paths == ["/sdapi/v1/img2img"] * 2
    assert [body["width"] for body in server.bodies] == [64, 128]
    assert server.bodies[0]["init_images"] != server.bodies[1]["init_images"]
    names = [body["force_task_id"] for body in server.bodies]
    assert [name[-3:] for name in names] == ["-0)", "-1)"]


async def test_extensions_are_used_when_they_are_there(start: Start, tmp_path: Path) -> None:
    server, engine = await start()
    assert (await engine.probe()).ok
    assert engine.capabilities.features >= {Feature.LORA, Feature.CONTROL, Feature.PREVIEWS}
    spec = replace(
        SPEC,
        loras=(Lora("Ink", 0.5),),
        controls=(Control("canny", kept(tmp_path, 64, 48)),),
        refiner=Refiner("huge-xl"),
    )
    picture, _ = await draw(engine, spec)
    assert picture.shortfalls == ()
    assert server.bodies[0]["prompt"] == "a lighthouse <lora:ink:0.5>"
    server.webui.fall_back = {"control", "lora"}
    picture, _ = await draw(engine, spec)
    assert [s.field for s in picture.shortfalls] == ["controls", "loras"]


async def test_an_extension_that_is_missing_is_not_offered(start: Start, tmp_path: Path) -> None:
    _, engine = await start(bare=True)
    assert engine.capabilities.features >= {Feature.LORA, Feature.CONTROL}
    assert (await engine.probe()).ok
    assert not engine.capabilities.features & {Feature.LORA, Feature.CONTROL}
    await draw(engine, SPEC)
    for spec in (
        replace(SPEC, loras=(Lora("ink"),)),
        replace(SPEC, controls=(Control("canny", kept(tmp_path, 64, 48)),)),
    ):
        with pytest.raises(InvalidSpecError):
            await draw(engine, spec)


async def test_the_password_is_given(start: Start) -> None:
    _, engine = await start(auth=("kitty", "meow"), password=("kitty", "meow"))
    assert (await engine.probe()).ok
    await draw(engine, SPEC)


async def test_a_wrong_password_is_said_to_be_wrong(start: Start) -> None:
    _, engine = await start(auth=("kitty", "meow"), password=("kitty", "woof"))
    health = await engine.probe()
    assert not health.ok
    assert "Incorrect username or password" in health.detail


# -- what comes back


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
    await server.stage.drawing()
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


# -- others on the same server


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
    await server.asked("POST", "/internal/progress", times=5)
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
    await server.asked("POST", "/internal/progress", times=looks + 10)
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
    await server.stage.drawing()
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
    await server.asked("GET", "/sdapi/v1/progress", times=3)
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


# -- other servers


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

"""What A1111 is sent, and what it is never sent."""

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engines.base import Feature, Progress
from engines.card import test_card as card
from engines.errors import InvalidSpecError
from engines.inputs import Inputs
from engines.spec import Control, Hires, InputRef, Lora, Refiner, Upscale
from tests.contract.bench_a1111 import SPEC
from tests.fakes.drawing import draw
from tests.fakes.meanwhile import meanwhile
from tests.fakes.turn import FreeTurn

Start = Callable[..., Any]


def kept(tmp_path: Path, width: int, height: int) -> InputRef:
    return Inputs(tmp_path).keep(card(width=width, height=height, seed=9), field="init_image")


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
    drawings = asyncio.gather(
        *(draw(engine, SPEC.picture(k), FreeTurn(picture_id=f"job-{k}")) for k in range(3))
    )
    await meanwhile(drawings, server.stage.drawing())
    server.stage.release()
    pictures = [picture for picture, _ in await drawings]
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

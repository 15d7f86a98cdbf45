"""Numbers that run over: each picture climbs the precision ladder by itself."""

from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engines.base import Picture
from engines.diffusers import DiffusersEngine, developing
from engines.diffusers import runner as runner_module
from engines.diffusers.pixels import NotFiniteError
from engines.diffusers.precision import Ladder, ladder
from engines.errors import BadPictureError
from engines.spec import Hires, InputRef, Refiner
from tests.fakes.drawing import SPEC, draw, pixels_of
from tests.fakes.pictures import gradient, png_of
from tests.fakes.turn import GateTurn

RunOver = Callable[[Callable[[Any, Any], bool]], None]


@pytest.fixture
def half(make_engine: Any) -> DiffusersEngine:
    """An engine that starts with bfloat16, which a CPU can do, too."""
    return make_engine(precision="bf16")


@pytest.fixture
def run_over(monkeypatch: pytest.MonkeyPatch) -> RunOver:
    """Has the numbers of those sessions run over that a test chooses, by checkpoint and session."""
    real = runner_module.step

    def choose(concerned: Callable[[Any, Any], bool]) -> None:
        def step(sessions: Any, checkpoint: Any, **tools: Any) -> None:
            real(sessions, checkpoint, **tools)
            for one in sessions:
                if concerned(checkpoint, one):
                    one.latents = one.latents * float("nan")

        monkeypatch.setattr(runner_module, "step", step)

    return choose


def test_the_ladder_climbs_to_single_precision() -> None:
    assert [rung.name for rung in ladder("fp16")] == ["fp16", "fp16+vae-fp32", "fp32"]
    assert [rung.name for rung in ladder("fp32")] == ["fp32"]


def test_the_ladder_remembers_what_worked(tmp_path: Path) -> None:
    def told() -> str:
        return Ladder(start="fp16", memory=tmp_path / "p.json").rung("m").name

    first = Ladder(start="fp16", memory=tmp_path / "p.json")
    start = first.rung("m")
    above = first.wider_network(start)
    assert above is not None
    assert first.wider_network(above) is None
    decoder = first.wider_decoder(start)
    assert decoder is not None
    assert first.wider_decoder(decoder) is None
    assert told() == "fp16"
    first.remember("m", decoder)
    assert told() == "fp16+vae-fp32"
    first.remember("m", above)
    first.remember("m", start)
    assert told() == "fp32"


@pytest.fixture
def overflowing(monkeypatch: pytest.MonkeyPatch) -> set[torch.dtype]:
    """Decoders of these number formats run over."""
    formats = {torch.bfloat16}
    real = developing.decode

    def decode(latents: Any, checkpoint: Any, *, tiled: bool) -> Any:
        if checkpoint.vae.dtype in formats:
            raise NotFiniteError
        return real(latents, checkpoint, tiled=tiled)

    monkeypatch.setattr(developing, "decode", decode)
    return formats


@pytest.mark.usefixtures("overflowing")
async def test_a_decoder_that_runs_over_is_replaced_by_a_wider_one(
    half: DiffusersEngine, make_engine: Any
) -> None:
    picture, progress = await draw(half, SPEC)
    assert picture.facts["precision"] == "bf16+vae-fp32"
    assert [p.phase for p in progress].count("decoding") == 1
    await half.aclose()
    again, _ = await draw(make_engine(precision="bf16"), SPEC)
    assert again.facts["precision"] == "bf16+vae-fp32"


async def test_a_picture_that_runs_over_everywhere_is_an_error(
    half: DiffusersEngine, overflowing: set[torch.dtype]
) -> None:
    overflowing.add(torch.float32)
    with pytest.raises(BadPictureError):
        await draw(half, SPEC)


async def test_latents_that_run_over_are_drawn_again_in_single_precision(
    half: DiffusersEngine, run_over: RunOver
) -> None:
    run_over(lambda checkpoint, _: checkpoint.dtype == torch.bfloat16)
    picture, _ = await draw(half, SPEC)
    assert picture.facts["precision"] == "fp32"
    assert pixels_of(picture.png).std() > 1


async def test_a_picture_that_is_flat_at_every_precision_was_drawn_so(
    half: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.dtype] = []

    def black(_: Any, checkpoint: Any, **__: Any) -> Any:
        seen.append(checkpoint.vae.dtype)
        return np.zeros((64, 64, 3), np.uint8)

    monkeypatch.setattr(developing, "decode", black)
    picture, _ = await draw(half, SPEC)
    assert [shortfall.code for shortfall in picture.shortfalls] == ["flat_picture"]
    assert seen == [torch.bfloat16, torch.float32, torch.float32]
    assert picture.facts["precision"] == "fp32"
    monkeypatch.undo()
    other, _ = await draw(half, SPEC)
    assert other.facts["precision"] == "bf16"


@pytest.fixture
def poisonous(run_over: RunOver) -> None:
    """Pictures of guidance 3 run over in half precision, those of guidance 4 always do."""
    run_over(
        lambda checkpoint, one: (
            one.cfg == 4.0 or (one.cfg == 3.0 and checkpoint.dtype == torch.bfloat16)
        )
    )


@pytest.mark.usefixtures("poisonous")
async def test_a_picture_that_climbs_leaves_the_others_where_they_are(
    half: DiffusersEngine,
) -> None:
    """The other one stands half-way while the model is drawn with in single precision."""
    alone, _ = await draw(half, SPEC)
    waiting, bad = GateTurn("waiting"), None
    async with aclosing(half.generate(SPEC, waiting)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                assert update.png == alone.png
                assert update.facts["precision"] == "bf16"
                break
            if update.step == 1 and bad is None:
                waiting.close()
                bad, _ = await draw(half, replace(SPEC, cfg=3.0), GateTurn("bad"))
                waiting.open()
    assert bad is not None
    assert bad.facts["precision"] == "fp32"


@pytest.mark.usefixtures("poisonous")
async def test_a_picture_that_runs_over_everywhere_slows_nobody_else_down(
    half: DiffusersEngine,
) -> None:
    with pytest.raises(BadPictureError):
        await draw(half, replace(SPEC, cfg=4.0))
    picture, _ = await draw(half, SPEC)
    assert picture.facts["precision"] == "bf16"


async def test_it_is_the_model_that_ran_over_that_climbs(
    half: DiffusersEngine, run_over: RunOver
) -> None:
    run_over(
        lambda checkpoint, _: (
            (checkpoint.shelved.info.name, checkpoint.dtype) == ("tiny-refiner", torch.bfloat16)
        )
    )
    spec = replace(SPEC, model="tiny-sdxl", refiner=Refiner("tiny-refiner", start=0.5))
    picture, _ = await draw(half, spec)
    assert picture.facts["precision"] == "bf16+vae-fp32"
    assert pixels_of(picture.png).std() > 1


async def test_what_fell_short_is_said_once_however_often_it_is_drawn(
    half: DiffusersEngine, run_over: RunOver, photo: InputRef
) -> None:
    run_over(lambda checkpoint, _: checkpoint.dtype == torch.bfloat16)
    half._furnishing.inputs.keep(png_of(gradient(64, 64)), field="init_image")
    hires = Hires(scale=2.0, strength=1.0)
    picture, _ = await draw(half, replace(SPEC, init_image=photo, strength=0.1, hires=hires))
    assert [short.code for short in picture.shortfalls] == ["no_step_left"]

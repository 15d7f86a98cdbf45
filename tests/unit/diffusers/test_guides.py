"""ControlNets guide a picture as diffusers has it; seamless pictures stay seamless."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engines.diffusers import DiffusersEngine
from engines.diffusers.canvas import Preparation
from engines.inputs import Inputs
from engines.spec import Control, InputRef, Tiling
from tests.fakes.drawing import SPEC, as_array, distance, draw, draw_all, pixels_of
from tests.fakes.pictures import gradient, png_of


async def test_controlnet_equals_diffusers(
    engine: DiffusersEngine, pipeline: Any, models_dir: Path, photo: InputRef
) -> None:
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    network = ControlNetModel.from_pretrained(models_dir / "tiny-control", use_safetensors=True)
    guided = StableDiffusionControlNetPipeline(
        **pipeline.components, controlnet=network, requires_safety_checker=False
    )
    guided.set_progress_bar_config(disable=True)
    expected = guided(
        prompt=SPEC.prompt, image=Image.fromarray(gradient(64, 64)), width=64, height=64,
        num_inference_steps=4, guidance_scale=5.0, controlnet_conditioning_scale=0.7,
        control_guidance_end=0.5, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim")
    plain, _ = await draw(engine, spec)
    control = Control("tiny-control", photo, weight=0.7, end=0.5)
    picture, _ = await draw(engine, replace(spec, controls=(control,)))
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1
    assert distance(pixels_of(picture.png), pixels_of(plain.png)) > 1


async def test_two_guided_pictures_share_a_call_each_with_its_own_weight(
    engine: DiffusersEngine, photo: InputRef
) -> None:
    specs = [
        replace(SPEC, controls=(Control("tiny-control", photo, weight=weight),))
        for weight in (0.2, 1.0)
    ]
    alone = [(await draw(engine, spec))[0] for spec in specs]
    together = await draw_all(engine, *specs)
    for one, other in zip(alone, together, strict=True):
        assert distance(pixels_of(one.png), pixels_of(other.png)) <= 1


@pytest.mark.parametrize(
    ("start", "end", "codes"),
    [(0.0, 1.0, []), (0.8, 1.0, ["control_unused"]), (0.9, 0.1, ["control_unused"])],
)
async def test_a_guide_that_acts_at_no_step_is_said(
    engine: DiffusersEngine, photo: InputRef, start: float, end: float, codes: list[str]
) -> None:
    plain, _ = await draw(engine, SPEC)
    control = Control("tiny-control", photo, start=start, end=end)
    picture, _ = await draw(engine, replace(SPEC, controls=(control,)))
    assert [short.code for short in picture.shortfalls] == codes
    gap = distance(pixels_of(picture.png), pixels_of(plain.png))
    assert gap <= 1 if codes else gap > 1


@pytest.mark.parametrize("tiling", [Tiling.X, Tiling.Y, Tiling.BOTH])
async def test_a_seamless_picture_has_no_edge(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch, tiling: Tiling
) -> None:
    """Rolling the noise around an axis that wraps rolls the picture, and nothing else."""
    axes = {Tiling.X: (-1,), Tiling.Y: (-2,), Tiling.BOTH: (-2, -1)}[tiling]
    spec = replace(SPEC, tiling=tiling, sampler="ddim")
    picture = pixels_of((await draw(engine, spec))[0].png)
    real = Preparation.lay_out

    def rolled(self: Preparation, *more: Any) -> Any:
        canvas = real(self, *more)
        return replace(canvas, latents=canvas.latents.roll([4] * len(axes), axes))

    monkeypatch.setattr(Preparation, "lay_out", rolled)
    moved = pixels_of((await draw(engine, spec))[0].png)
    plain = pixels_of((await draw(engine, replace(spec, tiling=Tiling.NONE)))[0].png)

    pixel_axes = tuple(axis + 2 for axis in axes)
    assert distance(moved, np.roll(picture, [32] * len(axes), pixel_axes)) <= 1
    assert distance(plain, np.roll(picture, [32] * len(axes), pixel_axes)) > 1


async def test_a_guide_leaves_a_seamless_picture_seamless(
    engine: DiffusersEngine, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An even picture guides every place alike, also at the edge."""
    even = inputs.keep(png_of(np.full((64, 64, 3), 200, np.uint8)), field="controls")
    guided = replace(SPEC, sampler="ddim", controls=(Control("tiny-control", even),))
    spec = replace(guided, tiling=Tiling.BOTH)
    picture = pixels_of((await draw(engine, spec))[0].png)
    real = Preparation.lay_out

    def rolled(self: Preparation, *more: Any) -> Any:
        canvas = real(self, *more)
        return replace(canvas, latents=canvas.latents.roll((4, 4), (-2, -1)))

    monkeypatch.setattr(Preparation, "lay_out", rolled)
    moved = pixels_of((await draw(engine, spec))[0].png)
    plain = pixels_of((await draw(engine, guided))[0].png)
    assert distance(moved, np.roll(picture, (32, 32), (0, 1))) <= 1
    assert distance(plain, np.roll(picture, (32, 32), (0, 1))) > 1

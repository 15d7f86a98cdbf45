"""Further passes and sizes: hires, refiner, upscaling, tiles, and what is refused."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engines.diffusers import DiffusersEngine
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.spec import Control, Hires, InputRef, Lora, Refiner, Upscale
from tests.fakes.drawing import SPEC, as_array, distance, draw, pixels_of


@pytest.mark.parametrize("upscaler", ["latent", "lanczos"])
async def test_hires_draws_again_at_the_larger_size(engine: DiffusersEngine, upscaler: str) -> None:
    spec = replace(SPEC, hires=Hires(scale=2.0, strength=0.5, upscaler=upscaler))
    picture, progress = await draw(engine, spec)
    assert (picture.width, picture.height) == (128, 128)
    assert progress[-1].steps == 4 + 2
    assert [part["size"] for part in picture.facts["passes"]] == [[64, 64], [128, 128]]


async def test_a_refiner_draws_the_last_part(engine: DiffusersEngine, models_dir: Path) -> None:
    from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

    base = StableDiffusionXLPipeline.from_pretrained(models_dir / "tiny-sdxl", dtype=torch.float32)
    refiner = StableDiffusionXLImg2ImgPipeline.from_pretrained(
        models_dir / "tiny-refiner", dtype=torch.float32
    )
    for one in (base, refiner):
        one.set_progress_bar_config(disable=True)
    latents = base(
        prompt=SPEC.prompt, width=64, height=64, num_inference_steps=5, guidance_scale=5.0,
        denoising_end=0.6, output_type="latent", generator=torch.Generator().manual_seed(7),
    ).images  # fmt: skip
    expected = refiner(
        prompt=SPEC.prompt, image=latents, num_inference_steps=5, guidance_scale=5.0,
        denoising_start=0.6,
    ).images[0]  # fmt: skip

    spec = replace(SPEC, model="tiny-sdxl", steps=5, refiner=Refiner("tiny-refiner", start=0.6))
    picture, progress = await draw(engine, spec)

    assert progress[-1].steps == 5
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1


@pytest.mark.parametrize("start", [0.0, 0.5, 0.6, 0.8, 1.0])
@pytest.mark.parametrize("sampler", ["euler", "euler_a", "ddim", "lcm", "heun", "dpmpp_sde"])
async def test_a_refiner_that_is_the_model_itself_changes_nothing(
    engine: DiffusersEngine, sampler: str, start: float
) -> None:
    """With every sampler that remembers nothing between two steps: each step is drawn once."""
    spec = replace(SPEC, model="tiny-sdxl", sampler=sampler, steps=5)
    alone, told = await draw(engine, spec)
    refined, more = await draw(engine, replace(spec, refiner=Refiner("tiny-sdxl", start=start)))
    assert distance(pixels_of(refined.png), pixels_of(alone.png)) == 0
    assert more[-1].steps == told[-1].steps
    idle = [(short.code, short.field) for short in refined.shortfalls]
    assert idle == ([("no_step_left", "refiner")] if start in {0.0, 1.0} else [])


@pytest.mark.parametrize("strength", [0.3, 0.8, 1.0])
async def test_a_refiner_goes_on_with_what_a_mask_keeps(
    engine: DiffusersEngine, photo: InputRef, mask: InputRef, strength: float
) -> None:
    spec = replace(SPEC, model="tiny-sdxl", steps=5, init_image=photo, mask=mask, strength=strength)
    alone, _ = await draw(engine, spec)
    refined, _ = await draw(engine, replace(spec, refiner=Refiner("tiny-sdxl", start=0.6)))
    assert distance(pixels_of(refined.png), pixels_of(alone.png)) == 0


async def test_a_strength_of_nothing_draws_nothing(
    engine: DiffusersEngine, photo: InputRef
) -> None:
    spec = replace(SPEC, init_image=photo, strength=0.0)
    kept, progress = await draw(engine, spec)
    other, _ = await draw(engine, replace(spec, prompt="a dog", cfg=9.0))
    assert kept.png == other.png
    assert progress[-1].steps == 0


async def test_a_refiner_of_another_family_is_refused(engine: DiffusersEngine) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, refiner=Refiner("tiny-sdxl")))
    assert refused.value.field == "refiner"


async def test_upscaling_reaches_the_asked_size(engine: DiffusersEngine) -> None:
    picture, _ = await draw(engine, replace(SPEC, upscale=Upscale(scale=1.5)))
    assert (picture.width, picture.height) == (96, 96)
    assert Image.open(io.BytesIO(picture.png)).size == (96, 96)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"upscale": Upscale(upscaler="nobody")}, "upscale"),
        ({"upscale": Upscale(upscaler="latent")}, "upscale"),
        ({"hires": Hires(upscaler="nobody")}, "hires"),
        ({"loras": (Lora("nobody"),)}, "loras"),
        ({"controls": (Control("nobody", InputRef("")),)}, "controls"),
        ({"refiner": Refiner("nobody")}, "refiner"),
    ],
)
async def test_what_is_not_there_is_refused_before_anything_is_loaded(
    make_engine: Any, wish: dict[str, Any], field: str
) -> None:
    engine = make_engine()
    with pytest.raises(ModelNotFoundError) as refused:
        await draw(engine, replace(SPEC, **wish))
    assert refused.value.field == field
    assert await engine.call(lambda studio: studio.loader.loaded) == ()


@pytest.mark.parametrize(
    ("size", "drawn"),
    [((1024, 1024), [256, 256]), ((64, 64), [128, 128]), ((900, 300), [256, 128])],
)
async def test_a_size_outside_the_model_is_drawn_near_and_said(
    engine: DiffusersEngine, size: tuple[int, int], drawn: list[int]
) -> None:
    spec = replace(SPEC, model="mini", width=size[0], height=size[1], steps=1, sampler="ddim")
    picture, _ = await draw(engine, spec)
    assert (picture.width, picture.height) == size
    assert picture.facts["drawn_size"] == drawn
    (shortfall,) = picture.shortfalls
    assert (shortfall.code, shortfall.field) == ("size_outside_model", "width")
    assert f"{drawn[0]}x{drawn[1]}" in shortfall.detail


async def test_decoding_in_tiles_draws_nearly_the_same(make_engine: Any) -> None:
    spec = replace(SPEC, width=128, height=128)
    whole, _ = await draw(make_engine(), spec)
    tiled, _ = await draw(make_engine(tile_pixels=64 * 64), spec)
    gap = np.abs(pixels_of(whole.png).astype(int) - pixels_of(tiled.png).astype(int))
    assert gap.mean() < 16

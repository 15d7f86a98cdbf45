"""Prompts: what is said, what is not wanted, and how much of it counts."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from engines.diffusers import DiffusersEngine
from engines.errors import InvalidSpecError
from tests.fakes.drawing import SPEC, as_array, distance, draw, pixels_of


async def test_negative_prompt_changes_the_picture_as_diffusers_does(
    engine: DiffusersEngine, pipeline: Any
) -> None:
    spec = replace(SPEC, sampler="ddim", negative_prompt="a dog")
    expected = pipeline(
        prompt=spec.prompt, negative_prompt="a dog", width=64, height=64,
        num_inference_steps=4, guidance_scale=5.0, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    picture, _ = await draw(engine, spec)
    plain, _ = await draw(engine, replace(spec, negative_prompt=""))
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1
    assert distance(pixels_of(picture.png), pixels_of(plain.png)) > 1


async def test_clip_skip_reads_an_earlier_layer(engine: DiffusersEngine) -> None:
    pictures = [(await draw(engine, replace(SPEC, clip_skip=skip)))[0] for skip in (0, 1, 2)]
    assert len({picture.png for picture in pictures}) == 3


async def test_no_guidance_asks_for_one_row_and_equals_diffusers(
    engine: DiffusersEngine, pipeline: Any
) -> None:
    expected = pipeline(
        prompt=SPEC.prompt, width=64, height=64, num_inference_steps=4, guidance_scale=1.0,
        generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    picture, _ = await draw(engine, replace(SPEC, sampler="ddim", cfg=1.0))
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1


async def test_a_long_prompt_is_read_to_its_end(engine: DiffusersEngine) -> None:
    long = " ".join(["cat"] * 90)
    one, _ = await draw(engine, replace(SPEC, prompt=f"{long} dog"))
    other, _ = await draw(engine, replace(SPEC, prompt=f"{long} cat"))
    assert distance(pixels_of(one.png), pixels_of(other.png)) > 0


@pytest.mark.parametrize("model", ["tiny-sd15", "tiny-sdxl"])
async def test_a_weight_changes_the_picture_and_a_weight_of_one_does_not(
    engine: DiffusersEngine, model: str
) -> None:
    spec = replace(SPEC, model=model)
    plain, _ = await draw(engine, replace(spec, prompt="a cat and a dog"))
    one, _ = await draw(engine, replace(spec, prompt="a (cat:1.0) and a dog"))
    strong, _ = await draw(engine, replace(spec, prompt="a (cat:1.8) and a dog"))
    assert one.png == plain.png
    assert distance(pixels_of(strong.png), pixels_of(plain.png)) > 0


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"prompt": f"a (cat:{'9' * 400})"}, "prompt"),
        ({"prompt": "a (cat:70000)"}, "prompt"),
        ({"negative_prompt": "a (dog:-1000)"}, "negative_prompt"),
        ({"prompt": "a cat <lora:bold:nan>"}, "loras"),
        ({"prompt": "a cat <lora:bold:1e30>"}, "loras"),
    ],
)
async def test_a_weight_that_no_number_format_bears_is_refused(
    engine: DiffusersEngine, wish: dict[str, str], field: str
) -> None:
    """Its numbers would run over at every precision, in every attempt."""
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, **wish))
    assert refused.value.field == field

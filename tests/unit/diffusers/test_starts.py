"""Pictures that begin with another: img2img, inpainting."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from engines.diffusers import DiffusersEngine
from engines.errors import InvalidSpecError
from engines.spec import InputRef
from tests.fakes.drawing import SPEC, as_array, distance, draw, pixels_of
from tests.fakes.pictures import gradient, half_mask


async def test_img2img_equals_diffusers(
    engine: DiffusersEngine, pipeline: Any, photo: InputRef
) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    expected = StableDiffusionImg2ImgPipeline.from_pipe(pipeline)(
        prompt=SPEC.prompt, image=Image.fromarray(gradient(64, 64)), strength=0.6,
        num_inference_steps=5, guidance_scale=5.0, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim", init_image=photo, strength=0.6, steps=5)
    picture, progress = await draw(engine, spec)
    assert distance(pixels_of(picture.png), as_array(expected)) <= 1
    assert progress[-1].steps == 3


async def test_inpainting_equals_diffusers_and_keeps_what_the_mask_protects(
    engine: DiffusersEngine, pipeline: Any, photo: InputRef, mask: InputRef
) -> None:
    from diffusers import StableDiffusionInpaintPipeline

    expected = StableDiffusionInpaintPipeline.from_pipe(pipeline)(
        prompt=SPEC.prompt, image=Image.fromarray(gradient(64, 64)),
        mask_image=Image.fromarray(half_mask(64, 64)), strength=0.75, width=64, height=64,
        num_inference_steps=4, guidance_scale=5.0, generator=torch.Generator().manual_seed(7),
    ).images[0]  # fmt: skip
    spec = replace(SPEC, sampler="ddim", init_image=photo, mask=mask, strength=0.75)
    pixels = pixels_of((await draw(engine, spec))[0].png)
    assert distance(pixels[:, 32:], as_array(expected)[:, 32:]) <= 1
    assert distance(pixels[:, :32], gradient(64, 64)[:, :32]) == 0


async def test_a_mask_without_picture_is_refused(engine: DiffusersEngine, mask: InputRef) -> None:
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, mask=mask))
    assert refused.value.field == "mask"

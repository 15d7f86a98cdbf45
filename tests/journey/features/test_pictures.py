"""What a request may say of the picture itself, over HTTP, and what is told of it."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.fakes.drawing import distance
from tests.fakes.pictures import gradient, half_mask
from tests.journey.running import Client
from tests.journey.shelf import PHOTO, Drawn, Pixels, draw, failed, refused, sent

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_plain_picture_says_how_it_was_drawn(client: Client, plain: Drawn) -> None:
    assert plain.warnings == []
    facts = plain.facts
    assert (facts["model"], facts["base"], facts["sampler"]) == ("tiny-sd15", "sd15", "euler")
    assert facts["drawn_size"] == [64, 64]
    assert facts["decoded_in_tiles"] is False
    assert facts["passes"] == [
        {"model": "tiny-sd15", "size": [64, 64], "steps": 4, "strength": 1.0, "window": [0.0, 1.0]}
    ]
    assert len(facts["model_sha256"]) == 64
    assert not {"loras", "controls", "upscalers", "vae"} & set(facts)
    again = await draw(client)
    assert (again.pixels == plain.pixels).all()
    assert again.facts == facts


async def test_a_negative_prompt_turns_the_picture_away(client: Client, plain: Drawn) -> None:
    told = await draw(client, negative_prompt="a dog")
    assert distance(told.pixels, plain.pixels) > 1
    assert told.sidecar["spec"]["negative_prompt"] == "a dog"
    assert "Negative prompt: a dog" in told.parameters
    assert told.warnings == []


async def test_a_negative_prompt_without_guidance_is_said_to_be_unread(client: Client) -> None:
    without = await draw(client, cfg=1.0)
    told = await draw(client, cfg=1.0, negative_prompt="a dog")
    assert (told.pixels == without.pixels).all()
    assert told.warnings == [("negative_prompt_unused", "negative_prompt")]


async def test_words_weigh_what_the_prompt_says(client: Client, plain: Drawn) -> None:
    heavy = await draw(client, "a (cat:1.2) and a dog")
    even = await draw(client, "a (cat:1.0) and a dog")
    assert distance(heavy.pixels, plain.pixels) > 0
    assert (even.pixels == plain.pixels).all()
    assert heavy.sidecar["spec"]["prompt"] == "a (cat:1.2) and a dog"
    assert heavy.warnings == []


async def test_a_prompt_is_read_to_its_end(client: Client) -> None:
    """Words beyond the 77 tokens that a text encoder reads at once count too."""
    long = "a cat, " * 40
    one, other = await draw(client, long + "a dog"), await draw(client, long + "a cat")
    assert distance(one.pixels, other.pixels) > 0
    assert one.sidecar["spec"]["prompt"].endswith("a dog")
    assert one.warnings == other.warnings == []


async def test_a_picture_to_begin_with_stays_the_more_the_less_is_drawn_anew(
    client: Client, plain: Drawn
) -> None:
    """With the built-in model, whose autoencoder gives a picture back as it was."""
    photo = gradient(128, 128)
    body = {"model": "mini", "width": 128, "height": 128, "steps": 8, "sampler": "ddim"}
    away = []
    for strength in (0.125, 0.25, 0.5):
        drawn = await draw(client, init_image=sent(photo), strength=strength, **body)
        away.append(float(np.abs(drawn.pixels.astype(float) - photo).mean()))
        assert drawn.sidecar["spec"]["strength"] == strength
        assert drawn.sidecar["spec"]["init_image"]
        assert drawn.warnings == []
    assert all(less * 1.3 < more for less, more in pairwise(away)), away
    unlike = await draw(client, init_image=PHOTO, strength=0.6)
    assert distance(unlike.pixels, plain.pixels) > 1


async def test_a_strength_that_leaves_no_step_is_said(client: Client) -> None:
    drawn = await draw(client, init_image=PHOTO, strength=0.1)
    kept = await draw(client, init_image=PHOTO, strength=0.0)
    assert (drawn.pixels == kept.pixels).all()
    assert (drawn.warnings, kept.warnings) == ([("no_step_left", "strength")], [])
    again = await draw(client, hires={"scale": 2.0, "strength": 0.1})
    assert again.warnings == [("no_step_left", "hires")]


async def test_outside_of_the_mask_nothing_changes(client: Client) -> None:
    photo = gradient(64, 64)
    mask = sent(half_mask(64, 64))
    drawn = await draw(client, init_image=sent(photo), mask=mask, strength=0.9)
    assert (drawn.pixels[:, :32] == photo[:, :32]).all()
    assert distance(drawn.pixels[:, 32:], photo[:, 32:]) > 1
    assert drawn.sidecar["spec"]["mask"]
    assert drawn.warnings == []


async def test_a_mask_alone_is_refused(client: Client) -> None:
    mask = sent(half_mask(64, 64))
    assert await refused(client, mask=mask) == (422, "invalid_spec", "mask")


def seam(pixels: Pixels, axis: int) -> float:
    """How much larger the step across the edge is than steps beside it, along an axis."""
    values = np.moveaxis(pixels.astype(float), axis, 0)
    across = np.abs(values[0] - values[-1]).mean()
    return float(across / np.abs(np.diff(values, axis=0)).mean())


@pytest.mark.parametrize(
    "more",
    [
        {"width": 264, "height": 264},
        {"upscale": {"scale": 1.5}},
        {"upscale": {"scale": 2.0, "upscaler": "sharp"}},
        {"hires": {"scale": 2.0}},
    ],
    ids=["in tiles", "lanczos", "model", "hires"],
)
async def test_a_seamless_picture_continues_into_itself(
    client: Client, more: dict[str, Any]
) -> None:
    """Along the axes that were asked for and no others, whatever is done to it afterwards."""
    body = {"width": 128, "height": 128} | more
    plain = await draw(client, **body)
    for tiling, axes in (("x", {1}), ("y", {0}), ("both", {0, 1})):
        drawn = await draw(client, tiling=tiling, **body)
        assert (drawn.sidecar["spec"]["tiling"], drawn.warnings) == (tiling, [])
        for axis in (0, 1):
            share = seam(drawn.pixels, axis) / seam(plain.pixels, axis)
            assert share < 0.8 if axis in axes else share > 0.9


async def test_a_large_picture_is_decoded_in_tiles(client: Client) -> None:
    whole = await draw(client, width=256, height=256)
    tiled = await draw(client, width=264, height=256)
    assert whole.facts["decoded_in_tiles"] is False
    assert tiled.facts["decoded_in_tiles"] is True
    assert tiled.pixels.shape == (256, 264, 3)
    photo = sent(gradient(264, 256))
    again = await draw(client, width=264, height=256, init_image=photo, strength=0.5)
    assert again.facts["decoded_in_tiles"] is True


async def test_layers_that_a_text_encoder_lacks_cannot_be_skipped(client: Client) -> None:
    assert (await draw(client, clip_skip=3)).warnings == []
    code, words = await failed(client, clip_skip=4)
    assert (code, "3 layers" in words) == ("invalid_spec", True)

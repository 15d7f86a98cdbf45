"""Seamless pictures, where they are enlarged or go through the autoencoder in tiles."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.diffusers import DiffusersEngine
from engines.diffusers.canvas import enlarge_latents
from engines.diffusers.pixels import cover, decode, encode_picture
from engines.diffusers.studio import Studio
from engines.spec import Tiling
from tests.fakes.drawing import SPEC, distance, draw

AXES = {Tiling.NONE: (), Tiling.X: (-1,), Tiling.Y: (-2,), Tiling.BOTH: (-2, -1)}


@pytest.mark.parametrize("tiling", Tiling)
@pytest.mark.parametrize("size", [(16, 16), (12, 20), (11, 13)])
def test_latents_are_enlarged_across_the_edges_that_continue(
    tiling: Tiling, size: tuple[int, int]
) -> None:
    """Rolling before is rolling after, where both are whole numbers of latents."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    larger = enlarge_latents(latents, *size, tiling=tiling)
    assert tuple(larger.shape[-2:]) == size
    for axis in (-1, -2):
        step = math.gcd(8, size[axis])
        moved = enlarge_latents(latents.roll(8 // step, axis), *size, tiling=tiling)
        alike = torch.allclose(moved, larger.roll(size[axis] // step, axis), atol=1e-5)
        assert alike is (axis in AXES[tiling] or step == 1)


def test_a_seamless_picture_whose_middle_is_cut_out_is_cut_out() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    assert (cover(picture, 40, 20, tiling=Tiling.BOTH) == cover(picture, 40, 20)).all()
    across = cover(picture, 60, 60, tiling=Tiling.BOTH)
    assert distance(across, cover(picture, 60, 60)) > 1
    assert distance(across[10:-10, 10:-10], cover(picture, 60, 60)[10:-10, 10:-10]) <= 1


def test_a_seamless_picture_that_is_hardly_too_long_is_drawn_in() -> None:
    """As after a second pass, whose sides are whole latents: 72x104 times 1.3 is 94x135."""
    picture = np.random.default_rng(1).integers(0, 256, (136, 96, 3), dtype=np.uint8)
    smaller = cover(picture, 94, 135, tiling=Tiling.X)
    moved = cover(np.roll(picture, 48, 1), 94, 135, tiling=Tiling.X)
    assert distance(moved, np.roll(smaller, 47, 1)) <= 1


@pytest.mark.parametrize(
    ("size", "codes"),
    [((512, 128), ["size_outside_model", "seams_cut"]), ((136, 128), [])],
)
async def test_edges_that_cannot_meet_are_said(
    engine: DiffusersEngine, size: tuple[int, int], codes: list[str]
) -> None:
    spec = replace(SPEC, model="mini", sampler="ddim", steps=1, tiling=Tiling.X)
    picture, _ = await draw(engine, replace(spec, width=size[0], height=size[1]))
    assert [short.code for short in picture.shortfalls] == codes


@pytest.mark.parametrize("model", ["tiny-sd15", "mini"])
@pytest.mark.parametrize("tiling", Tiling)
async def test_a_seamless_picture_is_read_across_its_edges(
    engine: DiffusersEngine, tiling: Tiling, model: str
) -> None:
    """Rolling it before is rolling its latents after, along the axes that continue."""

    def moved(studio: Studio, axis: int) -> float:
        checkpoint = studio.dressed(studio.library.find(model), loras=(), tiling=tiling)
        picture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1)) * 2 - 1

        def read(pixels: torch.Tensor) -> torch.Tensor:
            half, scale = pixels.shape[axis] // 2, checkpoint.latent_scale
            pixels = pixels.roll(half if rolled else 0, axis)
            spread = torch.Generator().manual_seed(2)
            noise = torch.randn(1, 4, 128 // scale, 128 // scale, generator=spread)
            noise = noise.roll(half // scale if rolled else 0, axis)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(torch, "randn", lambda *_, **__: noise)
                latents = encode_picture(pixels, checkpoint, spread, tiled=False)
            return latents.roll(-half // scale if rolled else 0, axis)

        rolled = False
        still = read(picture)
        rolled = True
        return float((read(picture) - still).abs().max() / still.std())

    for axis in (-1, -2):
        away = await engine.call(lambda studio, axis=axis: moved(studio, axis))
        assert (away < 1e-3) is (axis in AXES[tiling])


@pytest.mark.parametrize("tiling", Tiling)
async def test_a_tile_is_not_taken_for_the_picture(engine: DiffusersEngine, tiling: Tiling) -> None:
    """While tiles go through the autoencoder nothing wraps around them, and afterwards it does."""

    def look(studio: Studio) -> tuple[set[tuple[bool, bool]], list[tuple[int, ...]]]:
        model = studio.library.find("tiny-sd15")
        checkpoint = studio.dressed(model, loras=(), tiling=tiling)
        seams, seen = checkpoint.seams, set()
        wished = (seams.x, seams.y)
        halves = (checkpoint.vae.encoder, checkpoint.vae.decoder)
        hooks = [h.register_forward_hook(lambda *_: seen.add((seams.x, seams.y))) for h in halves]
        generator = torch.Generator().manual_seed(1)
        latents = torch.randn(1, 4, 16, 24, generator=generator)
        pixels = decode(latents, checkpoint, tiled=True)
        picture = torch.rand(1, 3, 128, 192, generator=generator)
        again = encode_picture(picture, checkpoint, generator, tiled=True)
        for hook in hooks:
            hook.remove()
        assert (seams.x, seams.y) == wished
        return seen, [pixels.shape, tuple(again.shape)]

    seen, shapes = await engine.call(look)
    assert seen == {(False, False)}
    assert shapes == [(128, 192, 3), (1, 4, 16, 24)]

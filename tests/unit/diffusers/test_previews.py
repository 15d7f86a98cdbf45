"""Previews are small, seldom, and show what will come."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engines.diffusers.preview import MAX_BYTES, _jpeg
from tests.fakes.drawing import SPEC, draw, pixels_of


async def test_a_preview_is_a_small_jpeg_and_resembles_the_picture(make_engine: Any) -> None:
    spec = replace(SPEC, model="mini", width=128, height=128, steps=8, sampler="ddim",
                   prompt="a red ball on a white background")  # fmt: skip
    picture, progress = await draw(make_engine(preview_seconds=1e-9), spec)
    previews = [p.preview for p in progress if p.preview]
    assert previews
    assert all(len(preview) <= MAX_BYTES for preview in previews)
    with Image.open(io.BytesIO(previews[-1])) as last:
        assert last.format == "JPEG"
        small = np.asarray(last.convert("RGB").resize((8, 8), Image.Resampling.BOX), dtype=float)
    final = Image.fromarray(pixels_of(picture.png)).resize((8, 8), Image.Resampling.BOX)
    alike = np.corrcoef(small.ravel(), np.asarray(final, dtype=float).ravel())[0, 1]
    assert alike > 0.7


async def test_no_preview_before_its_time(make_engine: Any) -> None:
    _, progress = await draw(make_engine(preview_seconds=3600), SPEC)
    assert not any(p.preview for p in progress)


@pytest.mark.parametrize("size", [(32, 32), (256, 128), (512, 512)])
def test_even_noise_fits(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert len(_jpeg(noise, 8)) <= MAX_BYTES

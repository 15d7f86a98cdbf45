"""Previews are small, seldom, and show what will come."""

import io
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from engines.diffusers import DiffusersEngine
from engines.diffusers.preview import MAX_BYTES, _jpeg
from engines.diffusers.studio import Studio
from tests.fakes.drawing import SPEC, draw, pixels_of
from tests.fakes.local import engine_in
from tests.fakes.tiny_models import make_taesd


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


async def test_a_preview_that_cannot_be_encoded_costs_itself_alone(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError("encoder error -2")

    Image.preinit()  # else it puts the encoders in their places later
    monkeypatch.setitem(Image.SAVE, "JPEG", fail)
    engine = make_engine(preview_seconds=1e-9)
    for _ in range(2):
        _, progress = await draw(engine, SPEC)
        assert not any(p.preview for p in progress)
    assert caplog.text.count("could not be encoded") == 1


@pytest.mark.parametrize("size", [(32, 32), (256, 128), (512, 512)])
def test_even_noise_fits(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert len(_jpeg(noise, 8)) <= MAX_BYTES


@pytest.fixture
def shelf(models_dir: Path, tmp_path: Path) -> Path:
    shelf = tmp_path / "models"
    for name in ("tiny-sd15", "tiny-sdxl"):
        shutil.copytree(models_dir / name, shelf / name)
    return shelf


@pytest_asyncio.fixture
async def engine(shelf: Path, tmp_path: Path) -> AsyncIterator[DiffusersEngine]:
    made = engine_in(tmp_path, shelf)
    yield made
    await made.aclose()


async def shown(engine: DiffusersEngine, model: str = "tiny-sd15") -> bytes:
    """The preview of certain latents, in the thread that draws."""
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(2))

    def make(studio: Studio) -> bytes:
        checkpoint = studio.loader.get(studio.library.find(model))
        return studio.previews.make(latents, checkpoint).result()

    return await engine.call(make)


@pytest.mark.parametrize(("model", "decoder"), [("tiny-sd15", "taesd"), ("tiny-sdxl", "taesdxl")])
async def test_a_distilled_decoder_of_the_family_draws_the_previews(
    engine: DiffusersEngine, shelf: Path, model: str, decoder: str
) -> None:
    """It differs from the linear guess, and one of the other family is left alone."""
    linear = await shown(engine, model)
    make_taesd(shelf / {"taesd": "taesdxl", "taesdxl": "taesd"}[decoder], seed=1)
    await engine.models()
    assert await shown(engine, model) == linear
    make_taesd(shelf / decoder, seed=1)
    await engine.models()
    distilled = await shown(engine, model)
    assert distilled != linear
    with Image.open(io.BytesIO(distilled)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (64, 64))


async def test_the_distilled_decoder_is_released_with_the_models(
    engine: DiffusersEngine, shelf: Path
) -> None:
    make_taesd(shelf / "taesd", seed=1)
    before = await shown(engine)
    assert await engine.call(lambda studio: len(studio.previews._tiny)) == 1
    await engine.release_memory()
    assert await engine.call(lambda studio: len(studio.previews._tiny)) == 0
    assert await shown(engine) == before


async def test_a_distilled_decoder_that_does_not_fit_costs_no_picture(
    engine: DiffusersEngine, shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    linear = await shown(engine)
    path = make_taesd(shelf / "taesd", seed=1) / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights.pop(next(iter(weights)))
    save_file(weights, path)
    await engine.models()
    assert await shown(engine) == linear
    assert "taesd draws no previews" in caplog.text


async def test_latents_of_no_known_family_are_not_shown_by_its_decoder(
    engine: DiffusersEngine, shelf: Path
) -> None:
    own = await shown(engine, "mini")
    make_taesd(shelf / "taesd", seed=1)
    await engine.models()
    assert await shown(engine, "mini") == own

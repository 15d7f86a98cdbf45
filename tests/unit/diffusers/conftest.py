"""Tiny models, built once, and engines that draw with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import torch

from engines.diffusers import DiffusersEngine
from engines.inputs import Inputs
from engines.spec import InputRef
from tests.fakes import tiny_models
from tests.fakes.local import engine_in
from tests.fakes.pictures import gradient, half_mask, png_of


@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    sd15 = tiny_models.make_sd15(folder / "tiny-sd15")
    sdxl = tiny_models.make_sdxl(folder / "tiny-sdxl")
    tiny_models.make_sdxl(folder / "tiny-refiner", seed=9)
    tiny_models.make_controlnet(folder / "tiny-control", sd15)
    tiny_models.make_lora(folder / "loras" / "bold.safetensors", sd15, seed=1)
    tiny_models.make_lora(folder / "loras" / "soft.safetensors", sd15, seed=2)
    tiny_models.make_lora(folder / "loras" / "bold-xl.safetensors", sdxl, seed=3)
    return folder


MakeEngine = Callable[..., DiffusersEngine]


@pytest_asyncio.fixture
async def make_engine(models_dir: Path, tmp_path: Path) -> AsyncIterator[MakeEngine]:
    """Makes engines that share a data folder, as one does before and after a restart."""
    made: list[DiffusersEngine] = []

    def make(**settings: object) -> DiffusersEngine:
        made.append(engine_in(tmp_path, models_dir, **settings))
        return made[-1]

    yield make
    for engine in made:
        await engine.aclose()


@pytest.fixture(scope="module")
def engine(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiffusersEngine]:
    """An engine for pictures that do not disturb each other."""
    made = engine_in(tmp_path_factory.mktemp("engine"), models_dir)
    yield made
    asyncio.run(made.aclose())


@pytest.fixture(scope="module")
def inputs(engine: DiffusersEngine) -> Inputs:
    return engine._furnishing.inputs


@pytest.fixture(scope="module")
def photo(inputs: Inputs) -> InputRef:
    return inputs.keep(png_of(gradient(64, 64)), field="init_image")


@pytest.fixture(scope="module")
def mask(inputs: Inputs) -> InputRef:
    return inputs.keep(png_of(half_mask(64, 64)), field="mask")


@pytest.fixture(scope="module")
def pipeline(models_dir: Path) -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    made = StableDiffusionPipeline.from_pretrained(models_dir / "tiny-sd15", dtype=torch.float32)
    made.set_progress_bar_config(disable=True)
    made.scheduler = DDIMScheduler.from_config(made.scheduler.config)
    return made

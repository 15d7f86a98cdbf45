"""Our loop draws what diffusers' own pipelines draw, sampler by sampler."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.diffusers import DiffusersEngine
from engines.diffusers.library import BUILT_IN
from engines.diffusers.recipes import RECIPES
from engines.diffusers.samplers import make_scheduler
from engines.spec import GenerationSpec
from tests.fakes.drawing import SPEC, distance, draw, pixels_of

MODELS = ("tiny-sd15", "tiny-sdxl", "mini")
SIZE = {"mini": 128}
STEPS = {"mini": 3}
SCHEDULER = "scheduler/scheduler_config.json"


@pytest.fixture(scope="module")
def table() -> Any:
    """Collects the largest differences and prints them when the module is done."""
    rows: dict[tuple[str, str], int] = {}
    yield rows
    print("\nlargest difference to diffusers' pipeline, in 1/255")
    print(f"{'sampler':18}" + "".join(f"{model:>12}" for model in MODELS))
    for sampler in RECIPES:
        cells = (rows.get((model, sampler), "") for model in MODELS)
        print(f"{sampler:18}" + "".join(f"{cell!s:>12}" for cell in cells))


@pytest.fixture(scope="module")
def pipelines(models_dir: Path) -> Mapping[str, Any]:
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline

    kinds = {"tiny-sdxl": StableDiffusionXLPipeline}
    return {
        name: kinds.get(name, StableDiffusionPipeline).from_pretrained(
            BUILT_IN if name == "mini" else models_dir / name, dtype=torch.float32
        )
        for name in MODELS
    }


def drawn_by(pipeline: Any, spec: GenerationSpec) -> NDArray[np.uint8]:
    config = json.loads((Path(pipeline.name_or_path) / SCHEDULER).read_text())
    pipeline.scheduler = make_scheduler(spec.sampler, config, seed=spec.seed)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt or None,
        width=spec.width,
        height=spec.height,
        num_inference_steps=spec.steps,
        guidance_scale=spec.cfg,
        generator=torch.Generator().manual_seed(spec.seed),
    ).images[0]
    return np.asarray(picture)


@pytest.mark.parametrize("sampler", RECIPES)
@pytest.mark.parametrize("model", MODELS)
async def test_equals_diffusers_pipeline(
    engine: DiffusersEngine,
    pipelines: Mapping[str, Any],
    table: dict[tuple[str, str], int],
    model: str,
    sampler: str,
) -> None:
    side = SIZE.get(model, 64)
    spec = replace(
        SPEC, model=model, sampler=sampler, width=side, height=side, steps=STEPS.get(model, 4)
    )

    expected = drawn_by(pipelines[model], spec)
    picture, _ = await draw(engine, spec)

    table[model, sampler] = distance(pixels_of(picture.png), expected)
    assert expected.std() > 1, "a flat picture would compare nothing"
    assert table[model, sampler] <= 1

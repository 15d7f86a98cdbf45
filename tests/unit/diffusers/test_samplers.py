"""Samplers: any number of steps that a request may ask for."""

from pathlib import Path

import pytest
import torch

from engines.diffusers.folders import read_json
from engines.diffusers.library import BUILT_IN
from engines.diffusers.recipes import RECIPES
from engines.diffusers.samplers import SamplerRun, make_scheduler

CONFIG = read_json(Path(BUILT_IN) / "scheduler" / "scheduler_config.json")


@pytest.mark.parametrize(
    "made_for", ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]
)
@pytest.mark.parametrize("sampler", RECIPES)
def test_a_name_means_the_same_whatever_sampler_a_model_was_published_with(
    sampler: str, made_for: str
) -> None:
    plain, other = (
        make_scheduler(sampler, CONFIG | more, seed=1) for more in ({}, {made_for: True})
    )
    for one in (plain, other):
        one.set_timesteps(6)
    assert list(map(float, other.timesteps)) == list(map(float, plain.timesteps))


@pytest.mark.parametrize("steps", [1, 2, 50, 51, 200])
@pytest.mark.parametrize("sampler", RECIPES)
def test_any_number_of_steps_is_drawn_from_the_noise_down(sampler: str, steps: int) -> None:
    """LCM was distilled to choose among fifty moments; asked for more, it has more to choose."""
    run = SamplerRun(
        name=sampler,
        config=CONFIG,
        steps=steps,
        generator=torch.Generator().manual_seed(0),
        shape=torch.Size((1, 4, 8, 8)),
        device=torch.device("cpu"),
    )
    moments = [float(moment) for moment in run._timesteps]
    assert run.steps >= steps
    assert len(set(moments)) >= min(steps, 50)
    assert moments == sorted(moments, reverse=True)
    assert moments[0] > 900

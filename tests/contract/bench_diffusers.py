"""The step engine on trial, with the built-in model on the CPU."""

from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from diffusers import UNet2DConditionModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput

from engines.spec import GenerationSpec
from tests.contract.engines import Bench, Trouble
from tests.fakes.local import engine_in

SPEC = GenerationSpec(
    prompt="a red circle",
    model="mini",
    width=128,
    height=128,
    steps=6,
    cfg=5.0,
    seed=41,
    sampler="ddim",
)


def _runs_out(*_: object, **__: object) -> UNet2DConditionOutput:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def _runs_over(_: object, sample: torch.Tensor, *__: object, **___: object) -> object:
    return (torch.full_like(sample, float("nan")),)


@asynccontextmanager
async def make(folder: Path) -> AsyncIterator[Bench]:
    """Draw with the real network, in which a test may break what a device breaks."""
    engine = engine_in(folder)
    with ExitStack() as broken:

        def network(forward: Callable[..., object]) -> None:
            broken.enter_context(patch.object(UNet2DConditionModel, "forward", forward))

        async def provoke(code: str) -> Trouble:
            match code:
                case "model_not_found":
                    return Trouble(spec=replace(SPEC, model="gone"), words="gone")
                case "invalid_spec":
                    return Trouble(spec=replace(SPEC, sampler="nope"), words="nope")
                case "out_of_memory":
                    network(_runs_out)
                    return Trouble(spec=SPEC, words="Tried to allocate")
                case _:
                    network(_runs_over)
                    return Trouble(spec=SPEC, words="the numbers ran over")

        # what it still draws holds a turn, which the trial looks at
        yield Bench(engine=engine, spec=SPEC, provoke=provoke, busy=lambda: False)
        await engine.aclose()

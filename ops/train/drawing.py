"""Draws prompts with a trained model, for the examination and for the card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor

from engines.diffusers.samplers import make_scheduler

SAMPLER: Final = "dpmpp_2m"
GUIDANCE: Final = 2.0
"""What the built-in model draws with by default."""

_STEPS: Final = 20
_BATCH: Final = 128


def open_model(
    folder: Path, *, device: torch.device, sampler: str = SAMPLER
) -> StableDiffusionPipeline:
    """Return a model's folder as a pipeline, in half precision where there is a GPU."""
    precision = torch.float16 if device.type == "cuda" else torch.float32
    pipe = StableDiffusionPipeline.from_pretrained(folder, dtype=precision, local_files_only=True)
    pipe.scheduler = make_scheduler(sampler, pipe.scheduler.config, seed=0)
    pipe.to(device)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@torch.no_grad()
def draw(
    pipe: StableDiffusionPipeline, prompts: Sequence[str], side: int, guidance: float = GUIDANCE
) -> Tensor:
    """Draw every prompt, [n, 3, side, side] in [-1, 1]; its place alone decides its seed."""
    pictures = []
    for first in range(0, len(prompts), _BATCH):
        part = list(prompts[first : first + _BATCH])
        drawn = pipe(
            part,
            width=side,
            height=side,
            num_inference_steps=_STEPS,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(first + i) for i in range(len(part))],
            output_type="pt",
        ).images
        pictures.append(drawn.float() * 2 - 1)
    return torch.cat(pictures)

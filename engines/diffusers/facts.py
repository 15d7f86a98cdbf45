"""Tells what else is needed to draw a picture again."""

import torch

from engines.base import Json
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.plan import Plan
from engines.diffusers.precision import Rung
from engines.diffusers.versions import versions
from engines.spec import GenerationSpec


def facts_of(
    spec: GenerationSpec, plan: Plan, device: str, *, network: torch.dtype, decoder: Checkpoint
) -> dict[str, Json]:
    """Return the facts of a picture, without the digests, which are counted elsewhere.

    Args:
        spec: What was drawn.
        plan: How.
        device: What people call it.
        network: Number format in which the first pass was drawn.
        decoder: The model that has just decoded it.
    """
    model = plan.passes[0].model
    vae: dict[str, Json] = {} if model.vae is None else {"vae": model.vae.info.name}
    return {
        "engine_version": versions()["diffusers"],
        "model": model.info.name,
        "base": model.info.base,
        **vae,
        "sampler": spec.sampler,
        "precision": Rung(network, decoder.vae.dtype).name,
        "device": device,
        "drawn_size": list(plan.size),
        "decoded_in_tiles": bool(decoder.vae.use_tiling),
        "passes": [
            {
                "model": part.model.info.name,
                "size": list(part.size),
                "steps": part.steps,
                "strength": part.strength,
                "window": list(part.window),
            }
            for part in plan.passes
        ],
        "versions": dict(versions()),
    }

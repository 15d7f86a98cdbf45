"""Tells what else is needed to draw a picture again."""

from engines.base import Json
from engines.diffusers.plan import Plan
from engines.diffusers.studio import Studio
from engines.diffusers.versions import versions
from engines.spec import GenerationSpec


def facts_of(spec: GenerationSpec, plan: Plan, studio: Studio) -> dict[str, Json]:
    """Return the facts of a picture, without the digests, which are counted elsewhere."""
    model = plan.passes[0].model
    last = studio.loader.get(plan.passes[-1].model)
    vae: dict[str, Json] = {} if model.vae is None else {"vae": model.vae.info.name}
    return {
        "engine_version": versions()["diffusers"],
        "model": model.info.name,
        "base": model.info.base,
        **vae,
        "sampler": spec.sampler,
        "precision": studio.loader.get(model).precision,
        "device": studio.device_name,
        "drawn_size": list(plan.size),
        "decoded_in_tiles": bool(last.vae.use_tiling),
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

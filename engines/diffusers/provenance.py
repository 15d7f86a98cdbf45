"""Names every file that took part in a picture, by its SHA-256."""

from collections.abc import Sequence

from engines.base import Json, Shortfall
from engines.diffusers.kinds import Kind
from engines.diffusers.library import Library
from engines.diffusers.names import UPSCALER_MISSING
from engines.spec import LANCZOS, LATENT, GenerationSpec


def digests_of(
    spec: GenerationSpec, shortfalls: Sequence[Shortfall], library: Library
) -> dict[str, Json]:
    """Return the digests of a picture's files; the first time a file is read whole.

    Args:
        spec: What was drawn.
        shortfalls: What fell short; an upscaler that did not act is not named.
        library: Has the files.
    """

    def digest(name: str, kind: Kind = "checkpoint") -> str:
        return library.digest(library.find(name, kind))

    model = library.find(spec.model)
    facts: dict[str, Json] = {"model_sha256": library.digest(model)}
    if model.vae is not None:
        facts["vae_sha256"] = library.digest(model.vae)
    if spec.loras:
        facts["loras"] = [
            {"name": one.name, "weight": one.weight, "sha256": digest(one.name, "lora")}
            for one in spec.loras
        ]
    if spec.controls:
        facts["controls"] = [
            {"model": one.model, "weight": one.weight, "sha256": digest(one.model, "controlnet")}
            for one in spec.controls
        ]
    if spec.refiner is not None:
        facts["refiner_sha256"] = digest(spec.refiner.model)
    upscalers = _upscalers(spec, shortfalls)
    if upscalers:
        facts["upscalers"] = [
            {"name": name, "sha256": digest(name, "upscaler")} for name in upscalers
        ]
    return facts


def _upscalers(spec: GenerationSpec, shortfalls: Sequence[Shortfall]) -> Sequence[str]:
    """Return the names of the upscaler models that acted."""
    if any(short.code == UPSCALER_MISSING for short in shortfalls):
        return ()
    asked = {part.upscaler for part in (spec.hires, spec.upscale) if part is not None}
    return sorted(asked - {LANCZOS, LATENT})

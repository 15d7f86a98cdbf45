"""Turns a draft into a spec: defaults filled in, sides rounded, the impossible named or refused."""

import secrets
from dataclasses import replace

from engines.base import Feature, ModelInfo, Shortfall
from engines.errors import InvalidSpecError
from engines.spec import SEED_LIMIT, Draft, GenerationSpec, Tiling

MAX_PIXELS = 8192 * 8192
"""The largest finished picture."""

MULTIPLE = 8
"""Side lengths are multiples of the factor by which the autoencoders shrink a picture."""


def needs(wish: Draft | GenerationSpec) -> frozenset[Feature]:
    """Return the features that an engine must have to honour all of it."""
    asked = {
        Feature.IMG2IMG: wish.init_image,
        Feature.INPAINT: wish.mask,
        Feature.CONTROL: wish.controls,
        Feature.LORA: wish.loras,
        Feature.HIRES: wish.hires,
        Feature.UPSCALE: wish.upscale,
        Feature.REFINER: wish.refiner,
        Feature.TILING: wish.tiling is not Tiling.NONE,
    }
    return frozenset(feature for feature, wanted in asked.items() if wanted)


def settled(
    draft: Draft, model: ModelInfo, can: frozenset[Feature], notes: list[Shortfall]
) -> GenerationSpec:
    """Return the spec of a draft; what cannot be honoured is added to the notes.

    Raises:
        InvalidSpecError: the engine cannot use an input picture, a mask has none, or the finished
            picture would be too large.
    """
    defaults = model.defaults
    spec = GenerationSpec(
        prompt=draft.prompt,
        model=model.name,
        width=_side(draft.width or defaults.width, "width", model, notes),
        height=_side(draft.height or defaults.height, "height", model, notes),
        steps=draft.steps or defaults.steps,
        cfg=defaults.cfg if draft.cfg is None else draft.cfg,
        seed=secrets.randbelow(SEED_LIMIT) if draft.seed is None else draft.seed,
        sampler=draft.sampler or defaults.sampler,
        negative_prompt=draft.negative_prompt or "",
        loras=draft.loras,
        controls=draft.controls,
        init_image=draft.init_image,
        mask=draft.mask,
        strength=draft.strength,
        hires=draft.hires,
        upscale=draft.upscale,
        refiner=draft.refiner,
        tiling=draft.tiling,
        clip_skip=draft.clip_skip,
        reproducible=draft.reproducible,
    )
    return _not_too_large(_consistent(_without_the_impossible(spec, can, notes), notes))


def _consistent(spec: GenerationSpec, notes: list[Shortfall]) -> GenerationSpec:
    """Return the spec, unless a part of it lacks another; what has no effect is added to the notes.

    Raises:
        InvalidSpecError: there is a mask, but no picture under it.
    """
    if spec.mask is not None and spec.init_image is None:
        raise InvalidSpecError("a mask needs an init image", field="mask")
    if spec.negative_prompt and spec.cfg <= 1:
        detail = f"without guidance (cfg {spec.cfg:g}) the negative prompt is not read"
        notes.append(Shortfall("negative_prompt_unused", detail, "negative_prompt"))
    return spec


def _not_too_large(spec: GenerationSpec) -> GenerationSpec:
    """Return the spec, unless its enlargements come to more than any machine should be asked."""
    width, height = spec.output_size
    if width * height > MAX_PIXELS:
        detail = f"{width} x {height} are more than {MAX_PIXELS} pixels"
        raise InvalidSpecError(detail, field="upscale" if spec.upscale else "hires")
    return spec


def _side(asked: int, name: str, model: ModelInfo, notes: list[Shortfall]) -> int:
    """Round a side length to what the autoencoder can make, and warn outside the model's range."""
    side = max(MULTIPLE, asked // MULTIPLE * MULTIPLE)
    if side != asked:
        detail = f"{asked} became {side}, a multiple of {MULTIPLE}"
        notes.append(Shortfall("size_rounded", detail, name))
    bounds = model.bounds
    if not bounds.least <= side <= bounds.most:
        detail = f"{model.name} draws well between {bounds.least} and {bounds.most} pixels a side"
        notes.append(Shortfall("size_outside_model", detail, name))
    return side


_INPUTS = {Feature.IMG2IMG: "init_image", Feature.INPAINT: "mask", Feature.CONTROL: "controls"}

_OPTIONAL = {
    Feature.LORA: "loras",
    Feature.HIRES: "hires",
    Feature.UPSCALE: "upscale",
    Feature.REFINER: "refiner",
    Feature.TILING: "tiling",
}


def _without_the_impossible(
    spec: GenerationSpec, can: frozenset[Feature], notes: list[Shortfall]
) -> GenerationSpec:
    """Drop what the engine cannot do and say so; without its input pictures nothing is drawn."""
    missing = needs(spec) - can
    if not missing:
        return spec
    for feature, name in _INPUTS.items():
        if feature in missing:
            raise InvalidSpecError(f"this engine cannot do {feature.value}", field=name)
    for feature in sorted(missing):
        detail = f"this engine cannot do {feature.value}"
        notes.append(Shortfall("unsupported", detail, _OPTIONAL[feature]))
    return replace(
        spec,
        loras=() if Feature.LORA in missing else spec.loras,
        hires=None if Feature.HIRES in missing else spec.hires,
        upscale=None if Feature.UPSCALE in missing else spec.upscale,
        refiner=None if Feature.REFINER in missing else spec.refiner,
        tiling=Tiling.NONE if Feature.TILING in missing else spec.tiling,
    )

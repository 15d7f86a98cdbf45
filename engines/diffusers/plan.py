"""Plans a picture: which passes of which model at which size, and what falls short of the wish."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from engines.base import Shortfall, SizeBounds
from engines.diffusers.kinds import Kind
from engines.diffusers.library import Library, Shelved
from engines.diffusers.recipes import SAMPLERS
from engines.errors import InvalidSpecError
from engines.fitting import goes_with, misfit, no_sampler, refused_sampler
from engines.prompts import parse_prompt
from engines.spec import LANCZOS, LATENT, Control, GenerationSpec, Lora, Tiling

GRID = 8
"""Sides are multiples of this many pixels: one latent."""

_MOST_WEIGHT = 100.0
"""Of a word or a LoRA: far beyond what draws anything, and within what half precision bears."""

_STRETCH = 1 / 16
"""By how much one side may grow more than the other, so that a seamless picture stays one: about
what rounding to whole latents takes."""

Files: TypeAlias = Mapping[tuple[Kind, str], Shelved]
"""Files by kind and by the name that a request gave them."""

Start: TypeAlias = Literal["noise", "picture", "latents", "enlarged"]


@dataclass(frozen=True, slots=True)
class Worn:
    """A LoRA as it was found when the picture was planned, and how strongly it acts.

    Attributes:
        mark: Of the file's state: trained further, it is another one.
    """

    name: str
    path: Path
    mark: str
    weight: float


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of a sampler over the picture.

    Attributes:
        size: Width and height in pixels.
        start: What it begins with: noise, the init image, the latents of the pass before as
            they are, or those latents enlarged.
        strength: Share of the steps that is drawn.
        window: Between which fractions of the noise schedule.
        loras: That act on this pass; a refiner has none.
        controls: That guide this pass; a refiner has none.
    """

    model: Shelved
    size: tuple[int, int]
    steps: int
    start: Start = "noise"
    strength: float = 1.0
    window: tuple[float, float] = (0.0, 1.0)
    loras: tuple[Worn, ...] = ()
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The passes of a picture, in order, and what could not be honoured.

    Attributes:
        files: Every file that takes part, by what it is for and what the request calls it.
    """

    passes: tuple[Pass, ...]
    shortfalls: tuple[Shortfall, ...]
    files: Files

    @property
    def size(self) -> tuple[int, int]:
        """Width and height that are drawn first."""
        return self.passes[0].size

    @property
    def marks(self) -> tuple[str, ...]:
        """Names of the states of all files that take part."""
        return tuple(one.mark for one in self.files.values())


def make_plan(spec: GenerationSpec, library: Library) -> Plan:
    """Plan a picture.

    Raises:
        InvalidSpecError: it cannot be drawn with what is there.
    """
    model = library.find(spec.model)
    _check(spec, model)
    files = {("checkpoint", spec.model): model, **_find_the_rest(spec, library, model)}
    loras = tuple(_worn(one, files["lora", one.name]) for one in spec.loras)
    size = fit(spec.width, spec.height, model.info.bounds)
    shortfalls = [] if size == (spec.width, spec.height) else [_resized(spec, model, size)]
    first = Pass(
        model=model,
        size=size,
        steps=spec.steps,
        start="noise" if spec.init_image is None else "picture",
        strength=1.0 if spec.init_image is None else spec.strength,
        window=(0.0, spec.refiner.start if spec.refiner else 1.0),
        loras=loras,
        controls=spec.controls,
    )
    passes = [first]
    if spec.refiner is not None:
        refiner = files["checkpoint", spec.refiner.model]
        passes.append(
            Pass(refiner, size, spec.steps, "latents", first.strength, (spec.refiner.start, 1.0))
        )
    if spec.hires is not None:
        large = tuple(round(side * spec.hires.scale / GRID) * GRID for side in size)
        passes.append(
            Pass(
                model=model,
                size=(large[0], large[1]),
                steps=spec.hires.steps or spec.steps,
                start="enlarged",
                strength=spec.hires.strength,
                loras=loras,
                controls=spec.controls,
            )
        )
    shortfalls += _cut_seams(spec, passes[-1].size)
    return Plan(tuple(passes), tuple(shortfalls), files)


def fit(width: int, height: int, bounds: SizeBounds) -> tuple[int, int]:
    """Return the size nearest to the asked one that a model draws well, keeping the aspect.

    Where the aspect is too long for both bounds, the shorter side is drawn larger and what is
    too much is cut off at the end.
    """
    grow, shrink = bounds.least / min(width, height), bounds.most / max(width, height)
    factor = min(max(1.0, grow), shrink)
    least, most = -(-bounds.least // GRID) * GRID, bounds.most // GRID * GRID

    def side(asked: int) -> int:
        return min(max(round(asked * factor / GRID) * GRID, least), most)

    return side(width), side(height)


def stretches(size: tuple[int, int], wanted: tuple[int, int]) -> bool:
    """Say whether a seamless picture is brought to a size as a whole, rather than cut."""
    across, down = wanted[0] / size[0], wanted[1] / size[1]
    return abs(across - down) <= _STRETCH * max(across, down)


def _cut_seams(spec: GenerationSpec, size: tuple[int, int]) -> tuple[Shortfall, ...]:
    if spec.tiling is Tiling.NONE or stretches(size, (spec.width, spec.height)):
        return ()
    detail = f"{size[0]}x{size[1]} is cut to the asked shape, so its edges do not meet"
    return (Shortfall("seams_cut", detail, field="tiling"),)


def _check(spec: GenerationSpec, model: Shelved) -> None:
    if spec.sampler in model.info.refused_samplers:
        raise refused_sampler(spec.sampler, model.info, SAMPLERS)
    if not SAMPLERS.reads(spec.sampler):
        raise no_sampler(spec.sampler, SAMPLERS, model.info.refused_samplers)
    if spec.mask is not None and spec.init_image is None:
        raise InvalidSpecError("a mask needs an init image", field="mask")
    _check_words(spec.prompt, "prompt")
    if spec.cfg > 1:
        _check_words(spec.negative_prompt, "negative_prompt")


def _check_words(text: str, field: str) -> None:
    for fragment in parse_prompt(text):
        if abs(fragment.weight) > _MOST_WEIGHT:
            detail = f"a word weighs {fragment.weight:g}, and {_MOST_WEIGHT:g} is the most"
            raise InvalidSpecError(detail, field=field)


def _worn(lora: Lora, file: Shelved) -> Worn:
    if not abs(lora.weight) <= _MOST_WEIGHT:  # nor is it any that is no number
        detail = f"{lora.name} has the weight {lora.weight:g}, and {_MOST_WEIGHT:g} is the most"
        raise InvalidSpecError(detail, field="loras")
    return Worn(file.info.name, file.path, file.mark, lora.weight)


def _find_the_rest(
    spec: GenerationSpec, library: Library, model: Shelved
) -> dict[tuple[Kind, str], Shelved]:
    """Look for every other file that is named, before anything is loaded or drawn in vain."""
    named: list[tuple[str, Kind, str]] = [
        *((lora.name, "lora", "loras") for lora in spec.loras),
        *((control.model, "controlnet", "controls") for control in spec.controls),
    ]
    if spec.refiner is not None:
        named.append((spec.refiner.model, "checkpoint", "refiner"))
    if spec.hires is not None and spec.hires.upscaler not in {LANCZOS, LATENT}:
        named.append((spec.hires.upscaler, "upscaler", "hires"))
    if spec.upscale is not None and spec.upscale.upscaler != LANCZOS:
        named.append((spec.upscale.upscaler, "upscaler", "upscale"))
    found = {}
    for name, kind, field in named:
        other = found[kind, name] = library.find(name, kind, field=field)
        if not goes_with(other.info, model.info):
            raise misfit(other.info, model.info, field=field)
    return found


def idle(part: Pass, drawn: int) -> tuple[Shortfall, ...]:
    """Say that a pass draws none of its steps, unless that was asked for."""
    if drawn or part.strength == 0:
        return ()
    fields = {"enlarged": "hires", "latents": "refiner"}
    rest = "refiner" if int(part.steps * part.strength) else "strength"
    share = f"a strength of {part.strength:g}, from {part.window[0]:g} to {part.window[1]:g},"
    detail = f"{share} leaves {part.model.info.name} none of {part.steps} steps: it draws nothing"
    return (Shortfall("no_step_left", detail, field=fields.get(part.start, rest)),)


def _resized(spec: GenerationSpec, model: Shelved, size: tuple[int, int]) -> Shortfall:
    bounds = model.info.bounds
    return Shortfall(
        "size_outside_model",
        f"{model.info.name} draws sides of {bounds.least} to {bounds.most} pixels in multiples "
        f"of {GRID}: drawn at {size[0]}x{size[1]}, then resized to {spec.width}x{spec.height}",
        field="width",
    )

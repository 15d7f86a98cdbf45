"""What to draw: the frozen description of one picture, complete and engine-neutral."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal, NewType

from pydantic import TypeAdapter

InputRef = NewType("InputRef", str)
"""SHA-256 (hex) of an input picture; `engines.inputs.Inputs` holds the bytes."""

LATENT: Final = "latent"
"""The upscaler of a second pass that enlarges the latents instead of a picture."""

LANCZOS: Final = "lanczos"
"""The upscaler that every engine has: a filter, no model."""

SEED_LIMIT = 2**32
"""Seeds are 32 bits wide: the widest range that every engine takes."""


class Tiling(StrEnum):
    """Along which axes the picture continues into itself."""

    NONE = "none"
    X = "x"
    Y = "y"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Lora:
    """A low-rank adapter and how strongly it acts (1.0 is as trained)."""

    name: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Control:
    """A ControlNet, the picture that guides it, and when it acts (fractions of the steps)."""

    model: str
    image: InputRef
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True, slots=True)
class Hires:
    """A second pass on an enlarged picture: composition first, detail after.

    Attributes:
        scale: Factor by which width and height grow.
        strength: Share of the steps that is drawn anew in the second pass, 0 to 1.
        steps: Steps of the second pass; None takes the spec's.
        upscaler: `latent`, `lanczos` or the name of an upscaler model.
    """

    scale: float = 2.0
    strength: float = 0.5
    steps: int | None = None
    upscaler: str = LATENT


@dataclass(frozen=True, slots=True)
class Upscale:
    """An enlargement of the finished picture; `upscaler` as in `Hires`, without `latent`."""

    scale: float = 2.0
    upscaler: str = LANCZOS


@dataclass(frozen=True, slots=True)
class Refiner:
    """A second model that draws the last part, from `start` (fraction of the steps) on."""

    model: str
    start: float = 0.8


@dataclass(frozen=True, slots=True)
class GenerationSpec:
    """One picture, described so that it can be drawn again.

    Attributes:
        width: Pixels, before `hires` and `upscale`.
        height: Pixels, before `hires` and `upscale`.
        cfg: Classifier-free guidance scale; 1 switches guidance off.
        seed: 0 to 2³² - 1.
        sampler: One of our names (`euler`, `dpmpp_2m_karras`, …); engines translate.
        strength: With an init image: share of the steps that is drawn anew, 0 to 1.
        mask: White where an init image may change.
        clip_skip: Layers of the text encoder that are skipped from its end; 0 skips none.
        reproducible: Draw alone, so that the bytes do not depend on what else is drawn.
    """

    prompt: str
    model: str
    width: int
    height: int
    steps: int
    cfg: float
    seed: int
    sampler: str
    negative_prompt: str = ""
    loras: tuple[Lora, ...] = ()
    controls: tuple[Control, ...] = ()
    init_image: InputRef | None = None
    mask: InputRef | None = None
    strength: float = 0.75
    hires: Hires | None = None
    upscale: Upscale | None = None
    refiner: Refiner | None = None
    tiling: Tiling = Tiling.NONE
    clip_skip: int = 0
    reproducible: bool = False

    def picture(self, index: int) -> "GenerationSpec":
        """Return the spec of picture `index` of a job: the same with seed `seed + index`."""
        return replace(self, seed=(self.seed + index) % SEED_LIMIT) if index else self

    @property
    def inputs(self) -> frozenset[InputRef]:
        """The input pictures that it needs."""
        refs = (self.init_image, self.mask, *(control.image for control in self.controls))
        return frozenset(ref for ref in refs if ref)

    @property
    def cost(self) -> float:
        """Work in megapixel-steps, the unit in which shares of a GPU are counted."""
        base: float = self.width * self.height * self.steps
        if self.hires is not None:
            second = (self.hires.steps or self.steps) * self.hires.strength
            base += self.width * self.height * self.hires.scale**2 * second
        return base / 1e6

    @property
    def output_size(self) -> tuple[int, int]:
        """Width and height of the finished picture in pixels."""
        scale = (self.hires.scale if self.hires else 1.0) * (
            self.upscale.scale if self.upscale else 1.0
        )
        return round(self.width * scale), round(self.height * scale)


@dataclass(frozen=True, slots=True)
class Draft:
    """What was asked, before engine, model and defaults are settled; None is "you choose"."""

    prompt: str
    engine: str | None = None
    profile: str | None = None
    model: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    cfg: float | None = None
    seed: int | None = None
    sampler: str | None = None
    negative_prompt: str | None = None
    loras: tuple[Lora, ...] = ()
    controls: tuple[Control, ...] = ()
    init_image: InputRef | None = None
    mask: InputRef | None = None
    strength: float = 0.75
    hires: Hires | None = None
    upscale: Upscale | None = None
    refiner: Refiner | None = None
    tiling: Tiling = Tiling.NONE
    clip_skip: int = 0
    reproducible: bool = False


Sampler = Literal[
    "euler", "euler_a", "ddim", "dpmpp_2m", "dpmpp_2m_karras", "dpmpp_sde", "unipc", "lcm", "heun"
]
"""The samplers every client may name; an engine may offer more under its own names."""

SPEC_JSON: TypeAdapter[GenerationSpec] = TypeAdapter(GenerationSpec)
"""Reads and writes a spec as JSON."""

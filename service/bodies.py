"""What clients send: request bodies, their bounds, and what each field means."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from scheduler.job import Lane

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Side = Annotated[int, Field(ge=16, le=4096)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Body(BaseModel):
    """A request body: what it does not know is kept, so that it can be named in a warning."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True)


class LoraBody(Body):
    """A LoRA and its weight."""

    name: Name
    weight: Annotated[float, Field(ge=-4, le=4, allow_inf_nan=False)] = 1.0
    """1 is as it was trained."""


class ControlBody(Body):
    """A ControlNet with its picture: base64, a data URI, or the key of one of our pictures."""

    model: Name
    image: str
    """Base64, a data URI, or the key of a stored picture."""
    weight: Annotated[float, Field(ge=0, le=4, allow_inf_nan=False)] = 1.0
    """How strongly it acts."""
    start: Share = 0.0
    """From which share of the steps on it acts, and `end`: until which."""
    end: Share = 1.0


class HiresBody(Body):
    """A second pass on an enlarged picture."""

    scale: Annotated[float, Field(gt=1, le=4, allow_inf_nan=False)] = 2.0
    """How much larger."""
    strength: Share = 0.5
    """How much is drawn anew."""
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    """Steps of the second pass; without it as many as the first has."""
    upscaler: Name = "latent"
    """`latent`, `lanczos`, or the name of an upscaler model."""


class UpscaleBody(Body):
    """An enlargement of the finished picture."""

    scale: Annotated[float, Field(gt=1, le=8, allow_inf_nan=False)] = 2.0
    """How much larger."""
    upscaler: Name = "lanczos"
    """`lanczos`, or the name of an upscaler model."""


class RefinerBody(Body):
    """A second model for the last part of the steps."""

    model: Name
    start: Share = 0.8
    """From which share of the steps on it draws."""


class GenerateBody(Body):
    """The body of `POST /api/images/generate`."""

    prompt: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8000)]
    """What is to be seen."""
    negative_prompt: Annotated[str, StringConstraints(max_length=8000)] | None = None
    """What is not to be seen."""
    model: Name | None = None
    """The model that draws; without it the engine's first one."""
    engine: Name | None = None
    """The engine that draws, and no other."""
    profile: Name | None = None
    """A named set of defaults from the configuration file; `auto` lets its rules choose."""
    width: Side | None = None
    """Pixels; without it what suits the model, and so with the fields below."""
    height: Side | None = None
    """Pixels."""
    steps: Annotated[int, Field(ge=1, le=200)] | None = None
    """Denoising steps: more of them take longer and change less and less."""
    cfg: Annotated[float, Field(ge=0, le=50, allow_inf_nan=False)] | None = None
    """How closely the prompt is followed; 1 switches guidance off."""
    seed: Annotated[int, Field(ge=-1, lt=2**32)] | None = None
    """The same seed draws the same picture; without it, or with -1, one is drawn by lot."""
    sampler: Name | None = None
    """The way from noise to picture: `euler`, `dpmpp_2m_karras`, …"""
    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many pictures; the k-th has seed + k."""
    loras: Annotated[tuple[LoraBody, ...], Field(max_length=16)] = ()
    """Adapters, and how strongly each acts."""
    controls: Annotated[tuple[ControlBody, ...], Field(max_length=8)] = ()
    """Pictures that guide the composition."""
    init_image: str | None = None
    """A picture to begin with: base64, a data URI, or the key of a stored picture."""
    mask: str | None = None
    """White where `init_image` may change; given like that."""
    strength: Share = 0.75
    """How much of `init_image` is drawn anew."""
    hires: HiresBody | None = None
    """A second pass on an enlarged picture."""
    upscale: UpscaleBody | None = None
    """Enlarge the finished picture."""
    refiner: RefinerBody | Name | None = None
    """A second model for the last steps, or its name."""
    tiling: Literal["none", "x", "y", "both"] | bool = "none"
    """Along which axes the picture continues into itself; true is both."""
    clip_skip: Annotated[int, Field(ge=0, le=12)] = 0
    """Layers of the text encoder to skip from its end."""
    reproducible: bool = False
    """Draw alone, so that the bytes do not depend on what else is drawn."""
    lane: Lane | None = None
    """The share of the GPU that the job counts against; without it, by its cost."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Within a lane, higher goes first."""
    tags: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    """Words of your own, to find the pictures by."""

    @field_validator("seed")
    @classmethod
    def _random(cls, value: int | None) -> int | None:
        """Read -1 as other tools mean it: any seed."""
        return None if value == -1 else value

    @property
    def axes(self) -> str:
        """Along which axes the picture is to tile; true means both."""
        if isinstance(self.tiling, bool):
            return "both" if self.tiling else "none"
        return self.tiling


class SelectBody(Body):
    """The body of `POST /api/images/select`; KITTY's clients use all three names."""

    object_key: str | None = None
    """The key of a stored picture."""
    key: str | None = None
    """The same, as KITTY's pages call it."""
    image_key: str | None = None
    """The same, as KITTY's agents call it."""

    @property
    def wanted(self) -> str | None:
        """The key, whatever it was called."""
        return self.object_key or self.key or self.image_key

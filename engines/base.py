"""The protocol between the scheduler and everything that draws."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NewType, Protocol, TypeAlias, get_args

from engines.samplers import Samplers
from engines.spec import GenerationSpec

EngineName = NewType("EngineName", str)

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

Urgency: TypeAlias = tuple[float, ...]
"""Sorts drawings: the smallest goes first."""

ModelKind: TypeAlias = Literal["checkpoint", "lora", "controlnet", "vae", "upscaler"]
"""What a model file is for."""

EVERY_KIND: Final[frozenset[ModelKind]] = frozenset(get_args(ModelKind))


class Feature(StrEnum):
    """Something that an engine may or may not be able to do."""

    IMG2IMG = "img2img"
    INPAINT = "inpaint"
    LORA = "lora"
    CONTROL = "control"
    HIRES = "hires"
    UPSCALE = "upscale"
    REFINER = "refiner"
    TILING = "tiling"
    PREVIEWS = "previews"
    REATTACH = "reattach"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do.

    Attributes:
        preemption: `step` engines ask for a turn before every step and may be parked between
            two; `job` engines hold one turn for a whole picture.
        batch: Pictures that it draws together with profit.
        slots: Pictures that it can hold; those beyond `batch` exist to be overtaken.
        lists: Kinds of which `models` names every file, so that one it does not name is not there.
        resamplers: Upscalers that need no model, beside `latent` in a second pass.
        fetches: Pattern of the names of models that it fetches where it does not have them.
        prompt_loras: Whether a `<lora:…>` tag in a prompt names an adapter that must be there.
        samplers: What it draws with; None while it cannot say, or draws with anything.
        refines: The pairs of families, the model's and the refiner's, that it draws together;
            empty where it is enough that their latents are the same.
    """

    preemption: Literal["step", "job"]
    features: frozenset[Feature] = frozenset()
    batch: int = 1
    slots: int = 1
    lists: frozenset[ModelKind] = frozenset({"checkpoint"})
    resamplers: frozenset[str] = frozenset({"lanczos"})
    fetches: str = ""
    prompt_loras: bool = False
    samplers: Samplers | None = None
    refines: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class ModelDefaults:
    """What is drawn when the request leaves it open."""

    width: int = 512
    height: int = 512
    steps: int = 30
    cfg: float = 7.0
    sampler: str = "dpmpp_2m_karras"


@dataclass(frozen=True, slots=True)
class SizeBounds:
    """Side lengths in pixels between which a model draws well."""

    least: int = 64
    most: int = 2048


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model file as an engine sees it.

    Attributes:
        name: What a request calls it; `aliases` are further names.
        base: Family: `sd15`, `sdxl`, … or empty when unknown.
        guessed: Whether the family was taken from the file's name, which proves nothing.
        digest: SHA-256 of the weights, empty while it is not known.
        whole: Whether it is a workflow, which brings its files and looks for none named beside it.
        error: Why it cannot be used, empty when it can.
    """

    name: str
    kind: ModelKind = "checkpoint"
    base: str = ""
    guessed: bool = False
    aliases: tuple[str, ...] = ()
    size_bytes: int | None = None
    digest: str = ""
    trigger_words: tuple[str, ...] = ()
    defaults: ModelDefaults = field(default_factory=ModelDefaults)
    bounds: SizeBounds = field(default_factory=SizeBounds)
    refused_samplers: tuple[str, ...] = ()
    loaded: bool = False
    whole: bool = False
    error: str = ""

    def answers_to(self, name: str) -> bool:
        """Say whether a request that names `name` means this model."""
        return name == self.name or name in self.aliases


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an engine can draw now, and why not."""

    ok: bool
    version: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A wish that could not be honoured; clients see it among the `warnings`."""

    code: str
    detail: str
    field: str = ""


Phase: TypeAlias = Literal[
    "waiting", "loading", "encoding", "drawing", "decoding", "fetching", "parked", "storing"
]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a picture is: `step` of `steps` are done; `preview` is a small JPEG."""

    phase: Phase
    step: int = 0
    steps: int = 0
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture.

    Attributes:
        png: The encoded picture.
        facts: What else is needed to draw it again: model hash, engine version, precision, …
    """

    png: bytes
    width: int
    height: int
    seed: int
    facts: Mapping[str, Json] = field(default_factory=dict)
    shortfalls: tuple[Shortfall, ...] = ()


class Turn(Protocol):
    """One picture's dealings with the scheduler: who it is, and when it may step.

    Everything but `keep_ticket` may be called from any thread and never blocks.
    """

    @property
    def picture_id(self) -> str:
        """The picture's name, the same through restarts and repeated attempts."""

    @property
    def ticket(self) -> str | None:
        """What `keep_ticket` kept last, also before a restart; None on a fresh start."""

    async def keep_ticket(self, ticket: str) -> None:
        """Record durably under which name the engine knows the work (call it before the POST)."""

    def urgency(self) -> Urgency:
        """How urgent the picture is now, compared with others on the same GPU."""

    def enter(self) -> bool:
        """Begin a step if the GPU is ours and the job is not paused; then `leave` must follow."""

    def leave(self) -> None:
        """End the step that `enter` began."""

    def on_change(self, wake: Callable[[], object]) -> None:
        """Call `wake`, from any thread, whenever `enter` may answer differently than before."""


class Engine(Protocol):
    """Something that draws a spec."""

    @property
    def name(self) -> EngineName:
        """The name under which requests ask for it."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do; may become richer or poorer once it has been probed."""

    def generate(self, spec: GenerationSpec, turn: Turn) -> AsyncGenerator[Progress | Picture]:
        """Draw: any number of `Progress`, then exactly one `Picture`.

        Closing the generator interrupts the drawing and returns only when the engine is free of
        it; always use it under `aclosing`.

        Raises:
            EngineError: the picture could not be drawn.
        """

    async def models(self) -> Sequence[ModelInfo]:
        """List what it can draw with.

        Raises:
            EngineError: the engine could not be asked.
        """

    async def look_again(self) -> None:
        """See to it that `models` lists files that came a moment ago; raises like that."""

    async def probe(self) -> Health:
        """Ask whether it can draw; never raises `EngineError`."""

    async def release_memory(self) -> None:
        """Give its memory on the GPU to others; the next picture loads again."""

    async def aclose(self) -> None:
        """End it; may be called twice."""

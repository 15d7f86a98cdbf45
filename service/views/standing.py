"""What can be drawn with, and how the service is."""

from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict

from engines.base import ModelDefaults, SizeBounds


class ModelView(TypedDict):
    """A model file as an engine sees it; `error` says why it cannot be used."""

    engine: str
    name: str
    kind: Literal["checkpoint", "lora", "controlnet", "vae", "upscaler"]
    base: str
    aliases: Sequence[str]
    size_bytes: int | None
    digest: str
    trigger_words: Sequence[str]
    defaults: ModelDefaults
    bounds: SizeBounds
    refused_samplers: Sequence[str]
    loaded: bool
    error: str


class ModelList(TypedDict):
    """What can be drawn with; `errors` says which engine could not be asked, and why."""

    items: list[ModelView]
    errors: dict[str, str]


class EngineView(TypedDict):
    """An engine: what it can do, and how it is; it is left alone while `state` is open.

    Of `samplers` it may read more than it lists; the list is empty while it cannot say.
    """

    engine: str
    gpu: str
    state: Literal["closed", "open", "half_open"]
    reason: str
    preemption: Literal["step", "job"]
    features: list[str]
    samplers: Sequence[str]
    batch: int
    slots: int
    drawing: int
    waiting: int
    loaded_model: str | None


class EngineList(TypedDict):
    """The engines."""

    items: list[EngineView]


class StatsView(TypedDict):
    """How many jobs there are in each state, in the words of KITTY's old service."""

    queued: int
    started: int
    finished: int
    failed: int
    paused: bool


class RootView(TypedDict):
    """Who answers here, and where to go on."""

    service: str
    gallery: str
    health: str
    docs: str


class HealthView(TypedDict):
    """The process is alive; no job is begun while `paused`."""

    status: Literal["ok"]
    paused: bool


class ReadyView(TypedDict):
    """Jobs are taken; none is begun while `paused`."""

    status: Literal["ready"]
    paused: bool

"""What a spec comes to on one server: everything that a graph needs and a spec only names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engines.base import Json
from engines.invokeai.records import Record
from engines.spec import GenerationSpec, InputRef

GRID: Final = 8
"""Pixels per latent: sizes are multiples of it."""

RESAMPLERS: Final = frozenset({"lanczos", "bicubic", "bilinear", "hamming", "box", "nearest"})
"""The upscalers that `img_resize` has built in; every other name is a model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The server's names for what a spec wants.

    Attributes:
        positive: The prompt in compel syntax, without LoRA tags; `negative` likewise.
        loras: Adapters and their weights, each adapter once.
        controls: ControlNets, in the order of the spec's controls.
        upscalers: Upscaler of the spec → model; the built-in methods are left out.
        images: Input picture → name of its upload.
        mask: Name of the uploaded mask, black where the picture may change.
        vae: Decodes instead of the model's own.
        fp32: Whether the VAE runs in 32 bits; SDXL's own paints black in 16.
        board: Id of the board on which the picture is put.
    """

    model: Record
    scheduler: str
    positive: str
    negative: str
    loras: tuple[tuple[Record, float], ...] = ()
    controls: tuple[Record, ...] = ()
    refiner: Record | None = None
    upscalers: Mapping[str, Record] = field(default_factory=dict)
    images: Mapping[InputRef, str] = field(default_factory=dict)
    mask: str | None = None
    vae: Record | None = None
    fp32: bool = True
    board: str | None = None

    @property
    def is_sdxl(self) -> bool:
        """Whether the model has two text encoders."""
        return self.model.base == "sdxl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A graph ready to be queued.

    Attributes:
        graph: `batch.graph`.
        fields: Node type → the fields that the graph uses.
        output: The node whose picture is the result.
        passes: Node id of each denoising → the steps that it takes, in drawing order.
        size: Width and height of the result in pixels.
    """

    graph: Mapping[str, Json]
    fields: Mapping[str, frozenset[str]]
    output: str
    passes: Mapping[str, int]
    size: tuple[int, int]


def grid(pixels: float) -> int:
    """Return the nearest length that the network can draw."""
    return max(1, round(pixels / GRID)) * GRID


def drawn_size(spec: GenerationSpec) -> tuple[int, int]:
    """Return the size of the last pass in pixels: the spec's, or the second pass's."""
    scale = spec.hires.scale if spec.hires else 1.0
    return grid(spec.width * scale), grid(spec.height * scale)

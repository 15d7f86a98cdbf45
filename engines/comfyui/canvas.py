"""What the parts of a built-in workflow share while it is sketched."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from engines.comfyui.sketch import Graph, Link, Sketch
from engines.spec import GenerationSpec, InputRef, Lora

IMAGE_METHODS: Final = frozenset({"lanczos", "bicubic", "bilinear", "area", "nearest-exact"})
"""The upscalers that `ImageScale` has built in; every other name is a model file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What the server calls the things that a spec names.

    Attributes:
        prefix: Where `SaveImage` writes: unique, else an old file answers for a cached graph.
        controls: Model files, in the order of the spec's controls.
        upscalers: Upscaler of the spec → model file; the built-in methods are left out.
        images: Input picture → name in the server's input folder.
    """

    checkpoint: str
    sampler: str
    scheduler: str
    prefix: str
    loras: tuple[Lora, ...] = ()
    controls: tuple[str, ...] = ()
    refiner: str | None = None
    upscalers: Mapping[str, str] = field(default_factory=dict)
    images: Mapping[InputRef, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workflow:
    """A graph ready to be submitted.

    Attributes:
        output: The node whose picture is the result.
        passes: Node id of each sampler → the steps that it will take, in drawing order.
        size: Width and height of the result, None when only the server knows.
    """

    graph: Graph
    output: str
    passes: Mapping[str, int]
    size: tuple[int, int] | None


@dataclass(slots=True, kw_only=True)
class Canvas:
    """A sketch and its loose ends: what the next node connects to."""

    spec: GenerationSpec
    names: Names
    sketch: Sketch
    model: Link
    vae: Link
    positive: Link
    negative: Link
    passes: dict[str, int] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the first pass in pixels."""
        return grid(self.spec.width), grid(self.spec.height)

    def picture(self, ref: InputRef) -> Link:
        """Add an input picture, cropped about its centre to the size that is drawn."""
        return self.scaled(self.sketch.add("LoadImage", image=self.names.images[ref]), self.size)

    def scaled(self, image: Link, size: tuple[int, int], method: str = "lanczos") -> Link:
        """Add an enlargement of `image` to `size` by a built-in method."""
        return self.sketch.add(
            "ImageScale",
            image=image,
            upscale_method=method if method in IMAGE_METHODS else "lanczos",
            width=size[0],
            height=size[1],
            crop="center",
        )

    def enlarged(self, image: Link, upscaler: str, size: tuple[int, int]) -> Link:
        """Add an enlargement to `size` by a model where `upscaler` is one, else by a method."""
        if upscaler in self.names.upscalers:
            loaded = self.sketch.add(
                "UpscaleModelLoader", model_name=self.names.upscalers[upscaler]
            )
            image = self.sketch.add("ImageUpscaleWithModel", upscale_model=loaded, image=image)
        return self.scaled(image, size, upscaler)


def grid(side: float) -> int:
    """Return the side in pixels that latents can have: the next multiple of 8, at least 16."""
    return max(16, -(-round(side) // 8) * 8)

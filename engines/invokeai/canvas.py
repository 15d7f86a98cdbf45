"""What the parts of a graph share while it is drawn up: its loose ends, and the usual nodes."""

from dataclasses import dataclass, field

from engines.base import Json
from engines.invokeai.graph import Graph, Port
from engines.invokeai.network import Guidance, Network
from engines.invokeai.parts import RESAMPLERS, Parts
from engines.spec import GenerationSpec


@dataclass(slots=True, kw_only=True)
class Canvas:
    """A graph in the making.

    Nodes that make pictures are never answered from the server's cache: the picture that it
    remembers may have been deleted.

    Attributes:
        passes: Node id of each denoising → the steps that it takes, in drawing order.
        original: The init image in the size of the first pass; `mask` likewise.
    """

    spec: GenerationSpec
    parts: Parts
    graph: Graph
    network: Network
    guidance: Guidance
    control: Port | None
    passes: dict[str, int] = field(default_factory=dict)
    original: Port | None = None
    mask: Port | None = None
    denoise_mask: Port | None = None

    def noise(self, size: tuple[int, int]) -> Port:
        """Add the noise of the spec's seed, made on the CPU: the same on every device."""
        return self.graph.add(
            "noise", "noise", seed=self.spec.seed, width=size[0], height=size[1], use_cpu=True
        )

    def encoded(self, image: Port) -> Port:
        """Turn a picture into latents."""
        return self.graph.add(
            "i2l", "latents", cached=False, image=image, vae=self.network.vae, fp32=self.parts.fp32
        )

    def decoded(self, latents: Port) -> Port:
        """Turn latents into a picture."""
        return self.graph.add(
            "l2i",
            "image",
            cached=False,
            latents=latents,
            vae=self.network.vae,
            fp32=self.parts.fp32,
            tiled=False,
        )

    def resized(self, image: Port | str, size: tuple[int, int], method: str = "lanczos") -> Port:
        """Bring a picture, drawn or uploaded, to `size`."""
        source: Port | Json = image if isinstance(image, Port) else {"image_name": image}
        return self.graph.add(
            "img_resize",
            "image",
            cached=False,
            image=source,
            width=size[0],
            height=size[1],
            resample_mode=method,
        )

    def enlarged(self, image: Port, upscaler: str, scale: float, size: tuple[int, int]) -> Port:
        """Enlarge a picture to `size`, by a resampler or by a model of the server's."""
        if upscaler in RESAMPLERS:
            return self.resized(image, size, upscaler)
        image = self.graph.add(
            "spandrel_image_to_image_autoscale",
            "image",
            cached=False,
            image=image,
            image_to_image_model=self.parts.upscalers[upscaler].identifier,
            scale=scale,
            fit_to_multiple_of_8=False,
        )
        return self.resized(image, size)

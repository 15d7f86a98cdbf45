"""Lays out a pass: the latents it starts from, and what an inpainting keeps."""

import math
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.pixels import Pixels, encode_picture, read_mask, read_picture, to_tensor
from engines.diffusers.plan import Pass
from engines.diffusers.samplers import SamplerRun
from engines.diffusers.session import Frame
from engines.inputs import Inputs
from engines.spec import GenerationSpec, InputRef, Tiling

_WHITE = 0.5
_INPAINT_CHANNELS = 9
"""A network trained to fill reads latents, mask and masked latents: 4 + 1 + 4 channels."""


@dataclass(frozen=True, slots=True)
class Canvas:
    """Where a pass begins, as its first step expects it; also where the one before ended."""

    latents: torch.Tensor
    frame: Frame | None = None


def latent_shape(part: Pass, checkpoint: Checkpoint) -> torch.Size:
    """Return the shape of a picture's latents."""
    scale, (width, height) = checkpoint.latent_scale, part.size
    channels = checkpoint.vae.config.latent_channels
    return torch.Size((1, channels, height // scale, width // scale))


def enlarge_latents(
    latents: torch.Tensor, height: int, width: int, *, tiling: Tiling
) -> torch.Tensor:
    """Return latents at a size, read across the edge along the axes that continue."""
    tall, wide = (int(side) for side in latents.shape[-2:])
    # The smallest margins that the enlargement takes to whole numbers of latents.
    y = tall // math.gcd(tall, height) if tiling in {Tiling.Y, Tiling.BOTH} else 0
    x = wide // math.gcd(wide, width) if tiling in {Tiling.X, Tiling.BOTH} else 0
    padded = functional.pad(latents, (x, x, y, y), "circular") if x or y else latents
    top, left = y * height // tall, x * width // wide
    larger = functional.interpolate(
        padded, size=(height + 2 * top, width + 2 * left), mode="bilinear"
    )
    return larger[..., top : top + height, left : left + width]


@dataclass(frozen=True, slots=True)
class Preparation:
    """Lays out one pass of one picture.

    Attributes:
        sampler: Knows how much noise the first step expects.
        generator: The picture's. It is asked in the order in which diffusers' pipelines ask
            theirs, so that the same seed gives the same picture.
        inputs: Has the init image and the mask.
        tile_pixels: Pictures above this size go through the autoencoder in tiles.
    """

    part: Pass
    spec: GenerationSpec
    checkpoint: Checkpoint
    sampler: SamplerRun
    generator: torch.Generator
    inputs: Inputs
    tile_pixels: int

    def lay_out(self, before: Canvas | None, larger: Pixels | None) -> Canvas:
        """Return the start of the pass.

        Args:
            before: Where the pass before ended.
            larger: The picture of that pass, where it was enlarged as a picture.

        Raises:
            InvalidSpecError: the init image or the mask is gone.
        """
        if self.part.start == "latents" and before is not None:
            return replace(before, frame=self._taken_over(before))
        spec, original = self.spec, None
        if self.part.start == "enlarged" and before is not None:
            original = self._enlarged(before.latents, larger)
        elif spec.init_image is not None:
            original = self._original(spec.init_image)
        noise = torch.randn(latent_shape(self.part, self.checkpoint), generator=self.generator)
        noise = noise.to(self.checkpoint.device)
        if original is None or (spec.mask is not None and self.part.strength >= 1):
            latents = self.sampler.from_noise(noise)
        else:
            latents = self.sampler.blur(original, noise)
        if spec.mask is None or spec.init_image is None:
            return Canvas(latents, self._blank(noise))
        if self.part.start == "enlarged" or original is None:
            original = self._original(spec.init_image)
        return Canvas(latents, self._frame(original, noise, spec.mask, spec.init_image))

    def _picture(self, ref: InputRef) -> torch.Tensor:
        pixels = read_picture(self.inputs.read(ref), *self.part.size)
        return to_tensor(pixels) * 2 - 1

    def _original(self, ref: InputRef) -> torch.Tensor:
        return self._encoded(self._picture(ref))

    def _encoded(self, picture: torch.Tensor) -> torch.Tensor:
        large = self.part.size[0] * self.part.size[1] > self.tile_pixels
        return encode_picture(picture, self.checkpoint, self.generator, tiled=large)

    def _enlarged(self, before: torch.Tensor, larger: Pixels | None) -> torch.Tensor:
        if larger is not None:
            return self._encoded(to_tensor(larger) * 2 - 1)
        _, _, height, width = latent_shape(self.part, self.checkpoint)
        return enlarge_latents(before, height, width, tiling=self.spec.tiling)

    def _blank(self, noise: torch.Tensor) -> Frame | None:
        """Return a frame that keeps nothing, for networks trained to fill: they always read one."""
        if self.checkpoint.unet.config.in_channels != _INPAINT_CHANNELS:
            return None
        width, height = self.part.size
        masked = self._encoded(torch.zeros(1, 3, height, width))
        mask = torch.ones_like(noise[:, :1])
        return Frame(torch.zeros_like(noise), noise, mask, masked.to(noise))

    def _taken_over(self, before: Canvas) -> Frame | None:
        """Return the frame of the pass before as this network reads it."""
        frame, spec = before.frame, self.spec
        if self.checkpoint.unet.config.in_channels != _INPAINT_CHANNELS:
            return None if frame is None else replace(frame, masked=None)
        if frame is None or spec.mask is None or spec.init_image is None:
            return self._blank(before.latents)
        return self._frame(frame.original, frame.noise, spec.mask, spec.init_image)

    def _frame(
        self, original: torch.Tensor, noise: torch.Tensor, mask: InputRef, init_image: InputRef
    ) -> Frame:
        """Return what is kept; the mask has one value per latent, and white is drawn."""
        white = read_mask(self.inputs.read(mask), *self.part.size) >= _WHITE
        drawn = torch.from_numpy(white).float()
        latent_mask = functional.interpolate(drawn[None, None], size=original.shape[-2:])
        masked = None
        if self.checkpoint.unet.config.in_channels == _INPAINT_CHANNELS:
            picture = self._picture(init_image) * (1 - drawn)
            masked = self._encoded(picture)
        return Frame(original, noise, latent_mask.to(original), masked)

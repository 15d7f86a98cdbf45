"""Between pictures and latents: reading, decoding, sizing, and what a broken picture looks like."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engines.base import SizeBounds
from engines.diffusers.checkpoint import Checkpoint

Pixels = NDArray[np.uint8]

_GRID = 8
"""Sides are multiples of this many pixels: one latent."""


class NotFiniteError(Exception):
    """The numbers ran over: there is no picture in them."""


def fit(width: int, height: int, bounds: SizeBounds) -> tuple[int, int]:
    """Return the size nearest to the asked one that a model draws well, keeping the aspect.

    Where the aspect is too long for both bounds, the shorter side is drawn larger and what is
    too much is cut off by `cover`.
    """
    grow, shrink = bounds.least / min(width, height), bounds.most / max(width, height)
    factor = min(max(1.0, grow), shrink)
    least, most = -(-bounds.least // _GRID) * _GRID, bounds.most // _GRID * _GRID

    def side(asked: int) -> int:
        return min(max(round(asked * factor / _GRID) * _GRID, least), most)

    return side(width), side(height)


def cover(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return the picture's middle at the asked size, resized with Lanczos' filter."""
    if pixels.shape[:2] == (height, width):
        return pixels
    filtered = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
    return np.asarray(filtered)


def decode(latents: torch.Tensor, checkpoint: Checkpoint, *, tiled: bool) -> Pixels:
    """Decode latents to pixels, height x width x 3.

    Args:
        latents: One picture's.
        checkpoint: The model whose decoder is used.
        tiled: Whether to decode in overlapping tiles, which takes less memory.

    Raises:
        NotFiniteError: the decoder's numbers ran over.
    """
    vae: Any = checkpoint.vae
    vae.use_tiling = tiled
    scaled = latents.to(vae.dtype) / vae.config.scaling_factor
    shift = vae.config.shift_factor
    image = vae.decode(scaled if shift is None else scaled + shift, return_dict=False)[0]
    if not bool(torch.isfinite(image).all()):
        raise NotFiniteError
    image = (image.float() / 2 + 0.5).clamp(0, 1)
    pixels: Pixels = (image[0].permute(1, 2, 0) * 255).round().to("cpu", torch.uint8).numpy()
    return pixels


def is_flat(pixels: Pixels) -> bool:
    """Say whether the picture is one single colour, as when the numbers ran over unseen."""
    return bool((pixels == pixels[0, 0]).all())

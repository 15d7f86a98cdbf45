"""Between pictures and latents: reading, decoding, sizing, and what a broken picture looks like."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch.nn import functional

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.plan import stretches
from engines.spec import Tiling

_WRAP = 32
"""Pixels of the other side that a filter or network is shown across a seamless edge."""
_SEAM = 8
"""Latents of the other side that an autoencoder is shown, where it works in tiles."""

Pixels = NDArray[np.uint8]


class NotFiniteError(Exception):
    """The numbers ran over: there is no picture in them."""


def cover(pixels: Pixels, width: int, height: int, *, tiling: Tiling = Tiling.NONE) -> Pixels:
    """Return the picture's middle at the asked size, resized with Lanczos' filter.

    Along the axes of `tiling` the filter reads across the edge, so that a seamless picture
    stays one; sides that are a little too long are then drawn in, not cut off. Only where that
    would be seen its middle is cut out.
    """
    tall, wide = pixels.shape[:2]
    if (tall, wide) == (height, width):
        return pixels
    if tiling is Tiling.NONE or not stretches((wide, tall), (width, height)):
        fitted = ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS)
        return np.asarray(fitted)
    y, x = _margins(tiling)
    padded = Image.fromarray(wrapped(pixels, tiling))
    box = (x, y, x + wide, y + tall)
    return np.asarray(padded.resize((width, height), Image.Resampling.LANCZOS, box))


def wrapped(pixels: Pixels, tiling: Tiling) -> Pixels:
    """Return the picture with a margin of its other side along the axes that continue."""
    y, x = _margins(tiling)
    return np.pad(pixels, ((y, y), (x, x), (0, 0)), "wrap") if y or x else pixels


def unwrapped(pixels: Pixels, tiling: Tiling, scale: int) -> Pixels:
    """Take the margin of `wrapped` away, after the picture was enlarged `scale` times."""
    y, x = (margin * scale for margin in _margins(tiling))
    height, width = pixels.shape[:2]
    return pixels[y : height - y, x : width - x]


def _margins(tiling: Tiling) -> tuple[int, int]:
    """Return the margin in pixels above and below, and at the sides."""
    return (
        _WRAP if tiling in {Tiling.Y, Tiling.BOTH} else 0,
        _WRAP if tiling in {Tiling.X, Tiling.BOTH} else 0,
    )


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
    scaled = scaled if shift is None else scaled + shift
    with _unseamed(checkpoint, tiled=tiled) as (y, x):
        image = vae.decode(_continued(scaled, y, x), return_dict=False)[0]
    y, x = y * checkpoint.latent_scale, x * checkpoint.latent_scale
    image = image[..., y : image.shape[-2] - y, x : image.shape[-1] - x]
    if not bool(torch.isfinite(image).all()):
        raise NotFiniteError
    return to_pixels((image.float() / 2 + 0.5).clamp(0, 1))


@contextmanager
def _unseamed(checkpoint: Checkpoint, *, tiled: bool) -> Iterator[tuple[int, int]]:
    """Switch the seams off while tiles go through the autoencoder: a tile is not the picture.

    Yields:
        How many latents of the other side have to be shown instead: above and below, and at
        the sides.
    """
    seams = checkpoint.seams
    x, y = seams.x, seams.y
    if not tiled:
        yield 0, 0
        return
    seams.x = seams.y = False
    try:
        yield _SEAM * y, _SEAM * x
    finally:
        seams.x, seams.y = x, y


def _continued(values: torch.Tensor, y: int, x: int) -> torch.Tensor:
    return functional.pad(values, (x, x, y, y), "circular") if y or x else values


def to_pixels(picture: torch.Tensor) -> Pixels:
    """Return a picture of 1 x 3 x height x width, values 0 to 1, as pixels."""
    pixels: Pixels = (picture[0].permute(1, 2, 0) * 255).round().to("cpu", torch.uint8).numpy()
    return pixels


def is_flat(pixels: Pixels) -> bool:
    """Say whether the picture is one single colour, as when the numbers ran over unseen."""
    return bool((pixels == pixels[0, 0]).all())


def read_picture(data: bytes, width: int, height: int) -> Pixels:
    """Read an input picture and bring its middle to a size."""
    with Image.open(io.BytesIO(data)) as picture:
        return cover(np.asarray(picture.convert("RGB")), width, height)


def read_mask(data: bytes, width: int, height: int) -> NDArray[np.float32]:
    """Read a mask and bring its middle to a size: height x width, 1 where it is white."""
    pixels = read_picture(data, width, height)
    return (pixels[..., 0] / 255.0).astype(np.float32)


def to_tensor(pixels: Pixels) -> torch.Tensor:
    """Return pixels as 1 x 3 x height x width, values 0 to 1."""
    values = torch.from_numpy(pixels.astype(np.float32) / 255.0)
    return values.permute(2, 0, 1).unsqueeze(0)


def encode_picture(
    picture: torch.Tensor, checkpoint: Checkpoint, generator: torch.Generator, *, tiled: bool
) -> torch.Tensor:
    """Encode a picture to latents, drawing from the encoder's distribution.

    Args:
        picture: 1 x 3 x height x width, values -1 to 1.
        checkpoint: The model whose encoder is used.
        generator: Feeds the drawing, on the CPU so that every device sees the same.
        tiled: Whether to encode in overlapping tiles, which takes less memory.
    """
    vae: Any = checkpoint.vae
    vae.use_tiling = tiled
    scale = checkpoint.latent_scale
    with _unseamed(checkpoint, tiled=tiled) as (y, x):
        values = _continued(picture, y * scale, x * scale).to(checkpoint.device, vae.dtype)
        spread = vae.encode(values).latent_dist
    height, width = spread.mean.shape[-2:]
    inner = (..., slice(y, height - y), slice(x, width - x))
    mean, deviation = spread.mean[inner], spread.std[inner]
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    latents: torch.Tensor = (mean + deviation * noise).float()
    shift = vae.config.shift_factor
    centred = latents if shift is None else latents - float(shift)
    return centred * float(vae.config.scaling_factor)

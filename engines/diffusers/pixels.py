"""Between pictures and latents: reading, decoding, sizing, and what a broken picture looks like."""

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from engines.diffusers.checkpoint import Checkpoint

Pixels = NDArray[np.uint8]


class NotFiniteError(Exception):
    """The numbers ran over: there is no picture in them."""


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
    return to_pixels((image.float() / 2 + 0.5).clamp(0, 1))


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
    picture: torch.Tensor, checkpoint: Checkpoint, generator: torch.Generator
) -> torch.Tensor:
    """Encode a picture to latents, drawing from the encoder's distribution.

    Args:
        picture: 1 x 3 x height x width, values -1 to 1.
        checkpoint: The model whose encoder is used.
        generator: Feeds the drawing, on the CPU so that every device sees the same.
    """
    vae: Any = checkpoint.vae
    vae.use_tiling = False
    spread = vae.encode(picture.to(checkpoint.device, vae.dtype)).latent_dist
    noise = torch.randn(spread.mean.shape, generator=generator).to(spread.mean)
    latents: torch.Tensor = (spread.mean + spread.std * noise).float()
    shift = vae.config.shift_factor
    centred = latents if shift is None else latents - float(shift)
    return centred * float(vae.config.scaling_factor)

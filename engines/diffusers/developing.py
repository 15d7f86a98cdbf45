"""Decodes a picture, more exactly where it comes out broken, in tiles where memory is short."""

from collections.abc import Generator

import torch

from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.loader import empty_cache
from engines.diffusers.pixels import NotFiniteError, Pixels, decode, is_flat
from engines.diffusers.plan import Pass
from engines.diffusers.precision import Rung
from engines.diffusers.studio import Studio
from engines.diffusers.work import Work
from engines.errors import OutOfMemoryError
from engines.spec import Tiling

Developed = tuple[Pixels, Checkpoint]


def develop(
    latents: torch.Tensor, part: Pass, rung: Rung, *, tiling: Tiling, studio: Studio
) -> Generator[Work, None, Developed]:
    """Decode latents; what comes out broken is decoded again by a more exact decoder.

    Args:
        latents: What the pass before drew.
        part: The pass whose model decodes.
        rung: The precision to begin with.
        tiling: Along which axes the picture continues into itself.
        studio: The thread's tools.

    Returns:
        The picture, which may still be flat, and the model that decoded it.

    Raises:
        NotFiniteError: the numbers ran over at every precision of the decoder.
        OutOfMemoryError: not even tiles can be decoded.
    """
    while True:
        yield Work("decoding", part.model, rung)
        checkpoint = studio.dressed(part.model, rung, loras=part.loras, tiling=tiling)
        above = studio.ladder.wider_decoder(rung)
        try:
            pixels = _decoded(latents, checkpoint, studio)
        except NotFiniteError:
            if above is None:
                raise
        else:
            if above is None or not is_flat(pixels):
                return pixels, checkpoint
        rung = above


def _decoded(latents: torch.Tensor, checkpoint: Checkpoint, studio: Studio) -> Pixels:
    pixels = latents.shape[-2] * latents.shape[-1] * checkpoint.latent_scale**2
    try:
        return decode(latents, checkpoint, tiled=pixels > studio.tile_pixels)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    # Only here is nothing of the failed call held any more.
    empty_cache(studio.device)
    try:
        return decode(latents, checkpoint, tiled=True)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise OutOfMemoryError(f"even decoding in tiles: {error}") from error
        raise

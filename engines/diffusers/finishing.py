"""The last touches on decoded pixels: what a mask protects, the asked size, the enlargement."""

import numpy as np

from engines.diffusers.pixels import Pixels, cover, read_mask, read_picture
from engines.diffusers.upscaling import Enlarging, Upscalers
from engines.inputs import Inputs
from engines.spec import GenerationSpec


def finish(
    pixels: Pixels, spec: GenerationSpec, *, inputs: Inputs, upscalers: Upscalers
) -> Enlarging:
    """Finish a picture; waits where others may have the device.

    Returns:
        The picture as it was asked for, and what fell short.

    Raises:
        InvalidSpecError: there is no upscaler of the asked name.
    """
    scale = spec.hires.scale if spec.hires else 1.0
    asked = (round(spec.width * scale), round(spec.height * scale))
    if spec.mask is not None and spec.init_image is not None:
        pixels = _protected(cover(pixels, *asked, tiling=spec.tiling), spec, inputs)
    if spec.upscale is None:
        return cover(pixels, *asked, tiling=spec.tiling), ()
    return (
        yield from upscalers.enlarge(
            pixels,
            upscaler=spec.upscale.upscaler,
            size=spec.output_size,
            field="upscale",
            tiling=spec.tiling,
        )
    )


def _protected(pixels: Pixels, spec: GenerationSpec, inputs: Inputs) -> Pixels:
    """Put the init image back where the mask is black: decoding never returns it unchanged."""
    if spec.mask is None or spec.init_image is None:
        return pixels
    height, width = pixels.shape[:2]
    original = read_picture(inputs.read(spec.init_image), width, height).astype(np.float32)
    white = read_mask(inputs.read(spec.mask), width, height)[..., None]
    mixed: Pixels = np.rint(white * pixels + (1 - white) * original).astype(np.uint8)
    return mixed

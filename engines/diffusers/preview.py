"""Shows what a picture will look like while it is drawn: a small JPEG from the latents."""

import io
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.headers import BrokenFileError, in_short
from engines.diffusers.library import Library
from engines.diffusers.parts import load_tiny

MAX_BYTES = 20_000
_MAX_SIDE = 256
_QUALITIES = (80, 60, 40, 20)
_PATCH = 8
"""Pixels per latent along each side."""

_FACTORS: Mapping[float, tuple[tuple[float, ...], ...]] = MappingProxyType(
    {
        0.18215: (
            (0.298, 0.207, 0.208),
            (0.187, 0.286, 0.173),
            (-0.158, 0.189, 0.264),
            (-0.184, -0.271, -0.473),
            (0.0, 0.0, 0.0),
        ),
        0.13025: (
            (0.3920, 0.4054, 0.4549),
            (-0.2634, -0.0196, 0.0653),
            (0.0568, 0.1687, -0.0755),
            (-0.3112, -0.2359, -0.2076),
            (0.0, 0.0, 0.0),
        ),
    }
)
"""Scale of a family's latents -> red, green, blue (-1 to 1) per latent channel, and offset.

The scales tell SD 1.5's and SDXL's autoencoders from each other and from all others; the factors
are the linear fits that are common for those two.
"""

_TINY: Mapping[float, str] = MappingProxyType({0.18215: "taesd", 0.13025: "taesdxl"})
"""Scale of a family's latents -> name of the distilled autoencoder that reads them."""

_LOG = logging.getLogger(__name__)


class Previews:
    """Makes previews; learns for each autoencoder once how its latents look."""

    def __init__(self, *, library: Library, device: torch.device) -> None:
        self._library = library
        self._device = device
        self._learned: dict[str, torch.Tensor] = {}
        self._tiny: dict[tuple[str, torch.dtype], Any] = {}
        self._desk = ThreadPoolExecutor(1, thread_name_prefix="previews")
        self._failed = False

    def make(self, clean: torch.Tensor, checkpoint: Checkpoint) -> "Future[bytes]":
        """Return a JPEG of at most 20 kB, encoded beside the drawing; empty if that failed.

        Args:
            clean: The sampler's present guess of the finished latents.
            checkpoint: The model that draws.
        """
        tiny = self._tiny_decoder(checkpoint)
        if tiny is not None:
            picture = tiny.decode(clean.to(tiny.dtype), return_dict=False)[0].float()
        else:
            factors = self._factors(checkpoint)
            picture = torch.einsum("bchw,cr->brhw", clean, factors[:-1])
            picture = picture + factors[-1].reshape(1, 3, 1, 1)
        values = ((picture[0] / 2 + 0.5).clamp(0, 1) * 255).permute(1, 2, 0)
        full = clean.shape[-1] * checkpoint.latent_scale
        pixels = fetch(values.to(torch.uint8))
        return self._desk.submit(self._encoded, pixels, full // values.shape[1])

    def close(self) -> None:
        """Return when everything is encoded."""
        self._desk.shutdown(wait=True)

    def release(self) -> None:
        """Let the small decoders go."""
        self._tiny.clear()

    def _encoded(self, pixels: Callable[[], NDArray[np.uint8]], scale: int) -> bytes:
        try:
            return _jpeg(pixels(), scale)
        except Exception:  # noqa: BLE001
            # As above; and what goes wrong at one step goes wrong at all of them.
            if not self._failed:
                _LOG.exception("a preview could not be encoded; of others nothing is said")
            self._failed = True
            return b""

    def _factors(self, checkpoint: Checkpoint) -> torch.Tensor:
        mark = checkpoint.shelved.mark
        if mark not in self._learned:
            known = _FACTORS.get(_scale_of(checkpoint))
            factors = learn_factors(checkpoint) if known is None else torch.tensor(known)
            # Copied once: a copy at every preview would wait for the device.
            self._learned[mark] = factors.to(self._device)
        return self._learned[mark]

    def _tiny_decoder(self, checkpoint: Checkpoint) -> Any:  # noqa: ANN401
        """Return the distilled decoder of the family's latents, None where there is none."""
        family = _TINY.get(_scale_of(checkpoint))
        found = None if family is None else self._library.named("vae", family)
        if found is None or found.info.base != "taesd":
            return None
        key = (found.mark, checkpoint.dtype)
        if key not in self._tiny:
            try:
                decoder = load_tiny(found.path, checkpoint.dtype).to(self._device)
            except (BrokenFileError, OSError, ValueError) as error:
                # A picture is worth more than the way in which it is shown before it is done.
                _LOG.warning("%s draws no previews: %s", found.info.name, in_short(error))
                decoder = None
            self._tiny[key] = decoder
        return self._tiny[key]


def _scale_of(checkpoint: Checkpoint) -> float:
    """Return what tells a family's latents from another's."""
    return round(float(checkpoint.vae.config.scaling_factor), 5)


def learn_factors(checkpoint: Checkpoint) -> torch.Tensor:
    """Fit colours to latents: encode patches of known colours and solve for the best factors.

    Returns:
        (channels + 1) x 3: red, green and blue per latent channel, and their offset.
    """
    colours = torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 2 - 1
    pixels = torch.nn.functional.interpolate(colours, scale_factor=2 * _PATCH, mode="nearest")
    vae = checkpoint.vae
    latents = vae.encode(pixels.to(checkpoint.device, vae.dtype)).latent_dist.mean.float().cpu()
    latents = latents * vae.config.scaling_factor
    seen = torch.nn.functional.interpolate(colours, size=latents.shape[-2:], mode="nearest")
    rows = latents[0].flatten(1).T
    known = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    solved: torch.Tensor = torch.linalg.lstsq(known, seen[0].flatten(1).T).solution
    return solved


def fetch(pixels: torch.Tensor) -> Callable[[], NDArray[np.uint8]]:
    """Begin to copy a tensor from the device; what is returned waits for it, in any thread.

    Only CUDA copies beside other work; elsewhere the tensor is there when this returns.
    """
    if pixels.device.type != "cuda":
        there = pixels.cpu()
        return there.numpy
    there = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
    there.copy_(pixels, non_blocking=True)
    # A thread that waits for this one sleeps; by itself it would keep a core busy.
    copied = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    copied.record()

    def fetched() -> NDArray[np.uint8]:
        copied.synchronize()
        return there.numpy()

    return fetched


def _jpeg(pixels: NDArray[np.uint8], scale: int) -> bytes:
    height, width = pixels.shape[:2]
    factor = min(float(scale), _MAX_SIDE / max(width, height))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)
    data = b""
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        data = buffer.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data

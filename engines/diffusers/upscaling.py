"""Enlarges finished pixels, with an upscaler model or with Lanczos' filter."""

from typing import Any

import torch

from engines.base import Shortfall
from engines.diffusers.library import Library, Shelved
from engines.diffusers.pixels import Pixels, cover, to_pixels, to_tensor

LANCZOS = "lanczos"
LATENT = "latent"


class Upscalers:
    """Enlarges pictures; keeps the model that was used last."""

    def __init__(self, *, library: Library, device: torch.device) -> None:
        self._library = library
        self._device = device
        self._loaded: tuple[str, Any] | None = None

    def enlarge(
        self, pixels: Pixels, *, upscaler: str, size: tuple[int, int], field: str
    ) -> tuple[Pixels, Shortfall | None]:
        """Return pixels at a size, and what fell short of the wish.

        Args:
            pixels: The finished picture.
            upscaler: `lanczos`, or the name of an upscaler model.
            size: Width and height to reach.
            field: Which field of the spec asked for it.

        Raises:
            InvalidSpecError: there is no upscaler of that name.
        """
        if upscaler == LANCZOS:
            return cover(pixels, *size), None
        model = self._library.find(upscaler, "upscaler", field=field)
        network = self._network(model)
        if network is None:
            detail = (
                f"{upscaler} needs the package spandrel, which is not installed whole: "
                "enlarged with Lanczos instead"
            )
            return cover(pixels, *size), Shortfall("upscaler_missing", detail, field=field)
        larger = network(to_tensor(pixels).to(self._device)).clamp(0, 1)
        return cover(to_pixels(larger), *size), None

    def release(self) -> None:
        """Let the model go."""
        self._loaded = None

    def _network(self, model: Shelved) -> Any:  # noqa: ANN401
        if self._loaded is None or self._loaded[0] != model.mark:
            try:
                from spandrel import ModelLoader  # noqa: PLC0415
            except ImportError:
                return None
            loaded = ModelLoader(device=self._device).load_from_file(model.path)
            self._loaded = (model.mark, loaded.eval())
        return self._loaded[1]

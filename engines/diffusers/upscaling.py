"""Enlarges finished pixels, with an upscaler model or with Lanczos' filter."""

from collections.abc import Generator
from typing import TypeAlias

import torch

from engines.base import Shortfall
from engines.diffusers.checkpoint import bytes_of
from engines.diffusers.headers import BrokenFileError
from engines.diffusers.library import Library, Shelved
from engines.diffusers.names import UPSCALER_MISSING
from engines.diffusers.pixels import Pixels, cover, unwrapped, wrapped
from engines.diffusers.upscaler import Upscaler, enlarge, is_installed, load_upscaler
from engines.errors import InvalidSpecError
from engines.spec import LANCZOS, Tiling

Enlarging: TypeAlias = Generator[None, None, tuple[Pixels, tuple[Shortfall, ...]]]
"""An enlargement under way; every wait is a step boundary."""


class Upscalers:
    """Enlarges pictures; keeps the model that was used last."""

    def __init__(self, *, library: Library, device: torch.device) -> None:
        self._library = library
        self._device = device
        self._loaded: tuple[str, Upscaler] | None = None

    def enlarge(
        self,
        pixels: Pixels,
        *,
        upscaler: str,
        size: tuple[int, int],
        field: str,
        tiling: Tiling = Tiling.NONE,
    ) -> Enlarging:
        """Bring pixels to a size; waits where others may have the device.

        A model enlarges as often as it takes to reach the size; what is too much is taken back
        with Lanczos' filter.

        Args:
            pixels: The finished picture.
            upscaler: `lanczos`, or the name of an upscaler model.
            size: Width and height to reach.
            field: Which field of the spec asked for it.
            tiling: Along which axes the picture continues into itself.

        Returns:
            The pixels, and what fell short of the wish.

        Raises:
            InvalidSpecError: there is no upscaler of that name, or it cannot be used.
        """
        if upscaler == LANCZOS:
            return cover(pixels, *size, tiling=tiling), ()
        model = self._library.find(upscaler, "upscaler", field=field)
        if not is_installed():
            detail = (
                f"{upscaler} needs the package spandrel, which is not installed: "
                "enlarged with Lanczos' filter instead"
            )
            short = (Shortfall(UPSCALER_MISSING, detail, field=field),)
            return cover(pixels, *size, tiling=tiling), short
        scale = self._network(model, field).scale
        larger = yield from self._once(model, field, pixels, tiling)
        while scale > 1 and (larger.shape[1] < size[0] or larger.shape[0] < size[1]):
            larger = yield from self._once(model, field, larger, tiling)
        if scale > 1:
            return cover(larger, *size, tiling=tiling), ()
        detail = f"{upscaler} repairs but does not enlarge: enlarged with Lanczos' filter after it"
        short = (Shortfall("upscaler_does_not_enlarge", detail, field=field),)
        return cover(larger, *size, tiling=tiling), short

    @property
    def held(self) -> int:
        """Bytes that the loaded model takes."""
        return 0 if self._loaded is None else bytes_of(self._loaded[1].network.model)

    def release(self) -> None:
        """Let the model go."""
        self._loaded = None

    def _once(
        self, model: Shelved, field: str, pixels: Pixels, tiling: Tiling
    ) -> Generator[None, None, Pixels]:
        larger = yield from enlarge(wrapped(pixels, tiling), lambda: self._network(model, field))
        return unwrapped(larger, tiling, self._network(model, field).scale)

    def _network(self, model: Shelved, field: str) -> Upscaler:
        if self._loaded is None or self._loaded[0] != model.mark:
            self._loaded = None
            try:
                self._loaded = model.mark, load_upscaler(model.path, self._device)
            except BrokenFileError as error:
                raise InvalidSpecError(f"{model.info.name}: {error}", field=field) from error
        return self._loaded[1]

"""One upscaler model, of any architecture that spandrel knows, run tile by tile."""

import importlib.util
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import torch

from engines.diffusers.headers import BrokenFileError, in_short
from engines.diffusers.pixels import Pixels, to_pixels, to_tensor

_TILE = 512
"""Side of a tile in pixels of the smaller picture: memory grows with its square."""
_MARGIN = 32
"""Pixels around a tile that are read and thrown away, so that no border is seen."""
_COLOURS = 3

_LENT = "torchvision.transforms.functional"
_LENT_NAMES = ("InterpolationMode", "normalize", "rotate")


@dataclass(frozen=True, slots=True)
class Upscaler:
    """A loaded model.

    Attributes:
        network: spandrel's descriptor of it; called with 1 x 3 x height x width, values 0 to 1.
        scale: Factor by which one call enlarges each side.
        whole: Whether it wants to see the picture at once.
    """

    network: Any
    scale: int
    whole: bool

    def ask(self, pixels: Pixels) -> Pixels:
        """Return a piece of a picture `scale` times as large."""
        return to_pixels(self.network(to_tensor(pixels).to(self.network.device)).clamp(0, 1))


def enlarge(pixels: Pixels, upscaler: Callable[[], Upscaler]) -> Generator[None, None, Pixels]:
    """Enlarge a picture once; waits between two tiles, so that others may have the device.

    Args:
        pixels: The picture.
        upscaler: Returns the model; asked for every tile, as it may be released meanwhile.

    Returns:
        The picture, `scale` times as large.
    """
    scale, whole = upscaler().scale, upscaler().whole
    height, width = pixels.shape[:2]
    larger = np.empty((height * scale, width * scale, _COLOURS), np.uint8)
    for number, (top, bottom, left, right) in enumerate(_tiles(height, width, whole=whole)):
        if number:
            yield
        seen_top, seen_left = max(0, top - _MARGIN), max(0, left - _MARGIN)
        answer = upscaler().ask(pixels[seen_top : bottom + _MARGIN, seen_left : right + _MARGIN])
        y, x = (top - seen_top) * scale, (left - seen_left) * scale
        tall, wide = (bottom - top) * scale, (right - left) * scale
        place = slice(top * scale, bottom * scale), slice(left * scale, right * scale)
        larger[place] = answer[y : y + tall, x : x + wide]
    return larger


def _tiles(height: int, width: int, *, whole: bool) -> Iterator[tuple[int, int, int, int]]:
    """Yield top, bottom, left and right of every tile."""
    for top, bottom in _cuts(height, whole=whole):
        for left, right in _cuts(width, whole=whole):
            yield top, bottom, left, right


def _cuts(side: int, *, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield where the tiles along one side begin and end; one a little too long stays whole."""
    length = side if whole or side <= _TILE + 2 * _MARGIN else _TILE
    for start in range(0, side, length):
        yield start, min(start + length, side)


def is_installed() -> bool:
    """Say whether the library that knows the architectures is there."""
    return all(importlib.util.find_spec(name) is not None for name in ("spandrel", "einops"))


def load_upscaler(path: Path, device: torch.device) -> Upscaler:
    """Load an upscaler model; `is_installed` must have said yes.

    Raises:
        BrokenFileError: it is of no known architecture, does not enlarge pictures in colour, or
            its weights do not fit.
    """
    spandrel = import_spandrel()
    try:
        network = spandrel.ModelLoader(device=device).load_from_file(path).eval()
    except Exception as error:
        # The library guesses at whatever the file holds; each guess fails in its own way.
        raise BrokenFileError(f"it cannot be loaded: {in_short(error)}") from error
    if not isinstance(network, spandrel.ImageModelDescriptor):
        raise BrokenFileError(f"{network.architecture.name} does not enlarge pictures")
    if (network.input_channels, network.output_channels) != (_COLOURS, _COLOURS):
        raise BrokenFileError("it does not read and write three colours")
    network.model.requires_grad_(requires_grad=False)
    return Upscaler(
        network=network,
        scale=int(network.scale),
        whole=network.tiling is not spandrel.ModelTiling.SUPPORTED,
    )


def import_spandrel() -> ModuleType:
    """Import spandrel, also where torchvision is not installed.

    It imports torchvision for LaMa, which fills holes, and for RestoreFormer, which repairs
    faces. Neither enlarges a picture, and nothing else of it needs torchvision.
    """
    if "spandrel" in sys.modules or importlib.util.find_spec("torchvision") is not None:
        return importlib.import_module("spandrel")
    with _lent():
        return importlib.import_module("spandrel")


@contextmanager
def _lent() -> Iterator[None]:
    """Put the names that spandrel imports in torchvision's place, for as long as it imports."""
    parts = _LENT.split(".")
    names = [".".join(parts[: end + 1]) for end in range(len(parts))]
    modules = {name: ModuleType(name) for name in names}
    for name in _LENT_NAMES:
        setattr(modules[_LENT], name, _absent)
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


def _absent(*_words: object, **_more: object) -> NoReturn:
    raise ImportError("this architecture needs torchvision, which is not installed")

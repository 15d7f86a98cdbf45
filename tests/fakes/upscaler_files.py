"""Upscaler models of two architectures, tiny, written without the library that reads them."""

from pathlib import Path

import torch
from safetensors.torch import save_file

_FEATURES = 8
_GROWTH = 32


def _conv(
    name: str, ins: int, outs: int, *, seed: torch.Generator | None
) -> dict[str, torch.Tensor]:
    """A convolution with random weights, or, without a generator, with none."""
    shape = (outs, ins, 3, 3)
    weight = torch.zeros(shape) if seed is None else torch.randn(shape, generator=seed) * 0.1
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(outs)}


def make_compact(path: Path, *, scale: int = 2, seed: int | None = None, channels: int = 3) -> Path:
    """Real-ESRGAN's compact network.

    It adds what it draws to the enlarged pixels, so that one without weights repeats each pixel
    `scale` times along both sides.
    """
    drawn = None if seed is None else torch.Generator().manual_seed(seed)
    weights = _conv("body.0", channels, _FEATURES, seed=drawn)
    weights |= {"body.1.weight": torch.full((_FEATURES,), 0.1)}
    weights |= _conv("body.2", _FEATURES, _FEATURES, seed=drawn)
    weights |= {"body.3.weight": torch.full((_FEATURES,), 0.1)}
    weights |= _conv("body.4", _FEATURES, channels * scale**2, seed=drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return path


def make_esrgan(path: Path, *, seed: int) -> Path:
    """ESRGAN with one block, which enlarges four times."""
    drawn = torch.Generator().manual_seed(seed)
    weights = _conv("conv_first", 3, _FEATURES, seed=drawn)
    for dense in range(1, 4):
        for layer in range(1, 6):
            outs = _FEATURES if layer == 5 else _GROWTH
            name = f"body.0.rdb{dense}.conv{layer}"
            weights |= _conv(name, _FEATURES + (layer - 1) * _GROWTH, outs, seed=drawn)
    for name in ("conv_body", "conv_up1", "conv_up2", "conv_hr"):
        weights |= _conv(name, _FEATURES, _FEATURES, seed=drawn)
    weights |= _conv("conv_last", _FEATURES, 3, seed=drawn)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return path

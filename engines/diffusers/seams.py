"""Seamless tiling: convolutions that look across the edge at the other side of the picture."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from typing_extensions import override

from engines.diffusers.recast import recast
from engines.spec import Tiling


@dataclass(slots=True)
class Seams:
    """Along which axes a network's convolutions wrap; shared by all of them."""

    x: bool = False
    y: bool = False

    def set(self, tiling: Tiling) -> None:
        """Wrap along the axes of `tiling`, and no others."""
        self.x = tiling in {Tiling.X, Tiling.BOTH}
        self.y = tiling in {Tiling.Y, Tiling.BOTH}


def make_wrappable(network: nn.Module, seams: Seams) -> None:
    """Let a network's padded convolutions follow `seams`; while it says no, nothing changes."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.padding not in {(0, 0), 0}:
            recast(module, Wrapping)
        elif type(module).__name__ == "Downsample2D" and module.padding == 0:
            recast(module, Halving)
        else:
            continue
        module.seams = seams  # type: ignore[assignment]


class Wrapping(nn.Conv2d):
    """Ways of a convolution that follows its `seams`."""

    seams: Seams

    # torch calls this method from `forward`; there is no public one between padding and product.
    @override
    def _conv_forward(
        self, pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        seams = self.seams
        if not (seams.x or seams.y):
            plain: torch.Tensor = super()._conv_forward(pixels, weight, bias)
            return plain
        tall, wide = (int(side) for side in self.padding)
        across = functional.pad(pixels, (wide, wide, 0, 0), "circular" if seams.x else "constant")
        padded = functional.pad(across, (0, 0, tall, tall), "circular" if seams.y else "constant")
        return functional.conv2d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)


class Halving(nn.Module):
    """Ways of an encoder's halving that follows its `seams`; it pads at the right and below."""

    seams: Seams
    conv: nn.Module

    @override
    def forward(self, pixels: torch.Tensor, *more: object) -> torch.Tensor:
        """Halve both sides."""
        seams = self.seams
        if not (seams.x or seams.y):
            plain: torch.Tensor = super().forward(pixels, *more)
            return plain
        across = functional.pad(pixels, (0, 1, 0, 0), "circular" if seams.x else "constant")
        padded = functional.pad(across, (0, 0, 0, 1), "circular" if seams.y else "constant")
        halved: torch.Tensor = self.conv(padded)
        return halved

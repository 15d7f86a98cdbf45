"""Seamless tiling: convolutions that look across the edge at the other side of the picture."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

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
            _follow(module, seams)


def _follow(conv: nn.Conv2d, seams: Seams) -> None:
    plain: Callable[..., torch.Tensor] = conv._conv_forward  # noqa: SLF001

    def wrapped(
        pixels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        if not (seams.x or seams.y):
            return plain(pixels, weight, bias)
        tall, wide = (int(side) for side in conv.padding)
        across = functional.pad(pixels, (wide, wide, 0, 0), "circular" if seams.x else "constant")
        padded = functional.pad(across, (0, 0, tall, tall), "circular" if seams.y else "constant")
        return functional.conv2d(padded, weight, bias, conv.stride, 0, conv.dilation, conv.groups)

    # torch calls this method from `forward`; there is no public seam between padding and product.
    conv._conv_forward = wrapped  # type: ignore[method-assign, assignment]  # noqa: SLF001

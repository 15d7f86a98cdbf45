"""How far decoded pictures are from the true ones: the loss to train by, and figures to read."""

import torch
from torch import Tensor
from torch.nn import functional


def edges(x: Tensor) -> Tensor:
    """Return the mean size of the gradients of pictures [n, 3, h, w], summed over both axes."""
    across = (x[..., 1:] - x[..., :-1]).abs().mean()
    return across + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


def picture_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return how far two batches of pictures differ, edges weighing most."""
    coarse = edges(functional.avg_pool2d(x, 2) - functional.avg_pool2d(y, 2))
    return (x - y).abs().mean() + (x - y).square().mean() + edges(x - y) + 0.5 * coarse


def _strength(x: Tensor) -> Tensor:
    down = (x[..., 1:, 1:] - x[..., :-1, 1:]).abs()
    across = (x[..., 1:, 1:] - x[..., 1:, :-1]).abs()
    return functional.avg_pool2d(down + across, 4, 2)


def strength_loss(x: Tensor, y: Tensor) -> Tensor:
    """Return how far the strength of edges differs, in boxes of four pixels by four.

    Where latents leave open on which pixel an edge lies, the pictures nearest to all answers are
    blurred, and a loss of pixels asks for them. This one is met by an edge of full strength on
    any pixel of the box, and by nothing but flat ground where the true ground is flat.
    """
    return (_strength(x) - _strength(y)).abs().mean()


def decibels(pictures: Tensor, decoded: Tensor) -> float:
    """Return the mean peak signal-to-noise ratio of pictures in [-1, 1]."""
    error = (pictures - decoded.clamp(-1, 1)).square().mean((1, 2, 3))
    return (10 * torch.log10(4 / error)).mean().item()


def sharpness(pictures: Tensor, decoded: Tensor) -> float:
    """Return the decoded pictures' mean gradient as a share of the true ones'; blur is below 1."""
    return (edges(decoded.clamp(-1, 1)) / edges(pictures)).item()

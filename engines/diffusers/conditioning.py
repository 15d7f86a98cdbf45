"""What the network is told at every step: the encoded prompts and, for SDXL, the size."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """Encoded prompts of one picture; with guidance the negative prompt is the first row.

    It equals itself alone, so that it can be told cheaply whether a network was told it already.

    Attributes:
        embeds: rows x tokens x width.
        pooled: rows x width, for networks that take it.
        size_ids: rows x 6: original height and width, crop top and left, target height and
            width in pixels (rows x 5 for the refiner, which takes an aesthetic score).
    """

    embeds: torch.Tensor
    pooled: torch.Tensor | None = None
    size_ids: torch.Tensor | None = None

    @property
    def rows(self) -> int:
        """Two with guidance, else one."""
        return self.embeds.shape[0]

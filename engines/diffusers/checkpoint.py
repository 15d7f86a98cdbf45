"""A loaded model: its networks, its tokenizers and what it expects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from engines.diffusers.library import Shelved
from engines.diffusers.precision import Rung


@dataclass(slots=True)
class Checkpoint:
    """The parts of one model, ready on the device.

    Attributes:
        scheduler_config: The model's own noise schedule and prediction type.
        encoders: Text encoders with their tokenizers, in the order in which they are read.
        zeros_for_empty: Whether an absent negative prompt is all zeros instead of encoded.
        bytes: Memory that the weights take.
        adapters: Names of the LoRAs that are loaded into the networks.
    """

    shelved: Shelved
    rung: Rung
    device: torch.device
    unet: Any
    vae: Any
    encoders: tuple[tuple[Any, Any], ...]
    scheduler_config: Mapping[str, Any]
    zeros_for_empty: bool = False
    bytes: int = 0
    adapters: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """Family of the model."""
        return self.shelved.info.base

    @property
    def takes_size(self) -> bool:
        """Whether the network is told the picture's size, as SDXL's is."""
        return bool(self.unet.config.addition_embed_type == "text_time")

    @property
    def latent_scale(self) -> int:
        """Pixels per latent along each side."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the denoising network."""
        return self.rung.network

"""A loaded model: its networks, its tokenizers and what it expects."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

import torch

from engines.diffusers.library import Shelved
from engines.diffusers.plan import Worn
from engines.diffusers.precision import Rung
from engines.diffusers.seams import Seams


class Parts(TypedDict):
    """What a model's files hold, as `Checkpoint` has it."""

    unet: Any
    vae: Any
    encoders: tuple[tuple[Any, Any], ...]
    scheduler_config: Mapping[str, Any]
    zeros_for_empty: bool


def bytes_of(network: torch.nn.Module) -> int:
    """Return the memory that a network's weights take."""
    return sum(weight.numel() * weight.element_size() for weight in network.parameters())


@dataclass(slots=True)
class Checkpoint:
    """The parts of one model, ready on the device.

    Attributes:
        scheduler_config: The model's own noise schedule and prediction type.
        encoders: Text encoders with their tokenizers, in the order in which they are read.
        zeros_for_empty: Whether an absent negative prompt is all zeros instead of encoded.
        adapters: LoRAs that are loaded into the networks: mark of the file -> adapter name.
        worn: LoRAs that act now; None when that is not known.
        captures: Calls of the network that can be replayed.
    """

    shelved: Shelved
    rung: Rung
    device: torch.device
    unet: Any
    vae: Any
    encoders: tuple[tuple[Any, Any], ...]
    scheduler_config: Mapping[str, Any]
    zeros_for_empty: bool
    adapters: dict[str, str] = field(default_factory=dict)
    worn: tuple[Worn, ...] | None = ()
    seams: Seams = field(default_factory=Seams)
    captures: dict[Hashable, Any] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Memory that the weights take, those of loaded LoRAs among them."""
        return sum(bytes_of(part) for part in self.networks)

    @property
    def networks(self) -> tuple[Any, ...]:
        """Everything with weights: the denoising network, the autoencoder, the text encoders."""
        return (self.unet, self.vae, *(encoder for encoder, _ in self.encoders))

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

    def pipeline(self) -> Any:  # noqa: ANN401
        """Return the parts as diffusers' pipeline, which knows how LoRA files are laid out."""
        import diffusers  # noqa: PLC0415

        encoders = dict(zip(("text_encoder", "text_encoder_2"), self.encoders, strict=False))
        if self.base == "sdxl-refiner":
            encoders = {"text_encoder_2": self.encoders[0]}
        parts: dict[str, Any] = {name: encoder for name, (encoder, _) in encoders.items()}
        parts |= {n.replace("text_encoder", "tokenizer"): t for n, (_, t) in encoders.items()}
        # Only there because a pipeline wants one; it never draws.
        scheduler = diffusers.DDIMScheduler(steps_offset=1, clip_sample=False)
        if self.takes_size:
            missing = dict.fromkeys(("text_encoder", "tokenizer")) if len(encoders) == 1 else {}
            return diffusers.StableDiffusionXLPipeline(
                vae=self.vae, unet=self.unet, scheduler=scheduler, **missing, **parts
            )
        return diffusers.StableDiffusionPipeline(
            vae=self.vae,
            unet=self.unet,
            scheduler=scheduler,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            **parts,
        )

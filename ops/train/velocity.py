"""The denoiser's loss: v-prediction on noised latents, its weight capped where noise is little."""

from typing import Final

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ops.train import network

_SNR_CAP: Final = 5.0
_FINE: Final = 300


def spread_times(count: int, device: torch.device, *, finish: float = 0.0) -> Tensor:
    """Return one random time step in each of ``count`` equal strata: less noise than free draws.

    A share ``finish`` of them lies below the 300th, where edges are drawn and nothing else is.
    """
    fine = int(count * finish)
    return torch.cat([_strata(fine, _FINE, device), _strata(count - fine, 1000, device)])


def _strata(count: int, end: int, device: torch.device) -> Tensor:
    steps = (torch.rand(count, device=device) + torch.arange(count, device=device)) * end
    return (steps / max(1, count)).long().clamp(max=end - 1)


def signal_kept(device: torch.device) -> Tensor:
    """Return the share of the signal's power that is left at each time step, [1000]."""
    kept: Tensor = network.noise_schedule().alphas_cumprod
    return kept.to(device)


def noised(clean: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    """Mix latents [n, 4, h, w] with noise; ``kept`` [n, 1, 1, 1] is the signal's share of power."""
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


def parted(noisy: Tensor, velocity: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Part noised latents into the clean ones and the noise that a velocity says are in them."""
    clean = kept.sqrt() * noisy - (1 - kept).sqrt() * velocity
    return clean, (1 - kept).sqrt() * noisy + kept.sqrt() * velocity


def velocity_loss(
    unet: UNet2DConditionModel, clean: Tensor, states: Tensor, times: Tensor, signal: Tensor
) -> Tensor:
    """Return the mean loss of one batch of scaled latents under the given text states.

    The target is Salimans & Ho's velocity (2022, arXiv:2202.00512); the weight
    min(1, cap / (SNR + 1)) follows min-SNR (Hang et al. 2023, arXiv:2303.09556).
    """
    kept = signal[times][:, None, None, None]
    noise = torch.randn_like(clean)
    noisy = noised(clean, noise, kept)
    velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
    guess = unet(noisy.to(unet.dtype), times, encoder_hidden_states=states).sample.float()
    weight = (_SNR_CAP * (1 - signal[times])).clamp(max=1)
    loss: Tensor = (weight * (guess - velocity).square().mean((1, 2, 3))).mean()
    return loss

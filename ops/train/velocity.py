"""The denoiser's loss: v-prediction on noised latents, its weight capped where noise is little."""

from typing import Final

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from ops.train import network

_SNR_CAP: Final = 5.0


def spread_times(count: int, device: torch.device) -> Tensor:
    """Return one random time step in each of ``count`` equal strata: less noise than free draws."""
    strata = torch.arange(count, device=device)
    steps = (torch.rand(count, device=device) + strata) * (1000 / count)
    return steps.long().clamp(max=999)


def signal_kept(device: torch.device) -> Tensor:
    """Return the share of the signal's power that is left at each time step, [1000]."""
    kept: Tensor = network.noise_schedule().alphas_cumprod
    return kept.to(device)


def _noised(clean: Tensor, noise: Tensor, kept: Tensor) -> Tensor:
    return kept.sqrt() * clean + (1 - kept).sqrt() * noise


def velocity_loss(
    unet: UNet2DConditionModel, clean: Tensor, states: Tensor, times: Tensor, signal: Tensor
) -> Tensor:
    """Return the mean loss of one batch of scaled latents under the given text states.

    The target is Salimans & Ho's velocity (2022, arXiv:2202.00512); the weight
    min(1, cap / (SNR + 1)) follows min-SNR (Hang et al. 2023, arXiv:2303.09556).
    """
    kept = signal[times][:, None, None, None]
    noise = torch.randn_like(clean)
    noisy = _noised(clean, noise, kept)
    velocity = kept.sqrt() * noise - (1 - kept).sqrt() * clean
    guess = unet(noisy.to(unet.dtype), times, encoder_hidden_states=states).sample.float()
    weight = (_SNR_CAP * (1 - signal[times])).clamp(max=1)
    loss: Tensor = (weight * (guess - velocity).square().mean((1, 2, 3))).mean()
    return loss


@torch.no_grad()
def guessed_clean(
    unet: UNet2DConditionModel, clean: Tensor, states: Tensor, times: Tensor, signal: Tensor
) -> Tensor:
    """Return what a denoiser takes scaled latents for when it sees them noised to given times."""
    kept = signal[times][:, None, None, None]
    noisy = _noised(clean, torch.randn_like(clean), kept)
    velocity = unet(noisy.to(unet.dtype), times, encoder_hidden_states=states).sample.float()
    guess: Tensor = kept.sqrt() * noisy - (1 - kept).sqrt() * velocity
    return guess

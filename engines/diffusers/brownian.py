"""The noise of the samplers that follow a Brownian motion, so that it can be taken up again."""

from typing import Any

import torch


class SteadyNoise:
    """The Brownian motion of one picture, drawn on the CPU so that every device sees the same.

    What it returns depends on what was asked before, so a restored sampler asks again in the
    same order.
    """

    def __init__(self, *, shape: torch.Size, scheduler: Any, device: torch.device) -> None:  # noqa: ANN401
        from diffusers.schedulers.scheduling_dpmsolver_sde import (  # noqa: PLC0415
            BrownianTreeNoiseSampler,
        )

        sigmas = scheduler.sigmas
        self._draw = BrownianTreeNoiseSampler(
            torch.zeros(shape),
            sigmas[sigmas > 0].min().item(),
            sigmas.max().item(),
            scheduler.noise_sampler_seed,
        )
        self._device = device
        self.asked: list[tuple[float, float]] = []

    def __call__(self, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        """Return the noise between two noise levels."""
        self.asked.append((float(sigma), float(sigma_next)))
        noise: torch.Tensor = self._draw(sigma, sigma_next)
        return noise.to(self._device)

    def ask_again(self, pairs: list[tuple[float, float]]) -> None:
        """Bring a fresh motion to where another one stood after `pairs`."""
        for sigma, sigma_next in pairs:
            self(torch.tensor(sigma), torch.tensor(sigma_next))

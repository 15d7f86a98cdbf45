"""The noise of the samplers that follow a Brownian motion, so that it can be taken up again."""

from typing import Any

import torch


class SteadyNoise:
    """The Brownian motion of one picture, drawn on the CPU so that every device sees the same.

    It halves its interval again and again, so what it returns depends on the seed and the two
    noise levels alone: a resumed picture finds it as it was.
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

    def __call__(self, sigma: torch.Tensor, sigma_next: torch.Tensor) -> torch.Tensor:
        """Return the noise between two noise levels."""
        noise: torch.Tensor = self._draw(sigma, sigma_next)
        return noise.to(self._device)

"""One pass of a sampler over one picture, and what it remembers from step to step."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch

from engines.diffusers.brownian import SteadyNoise
from engines.diffusers.recipes import BROWNIAN, RECIPES, SPACINGS
from engines.errors import InvalidSpecError


def make_scheduler(name: str, config: Mapping[str, Any], *, seed: int) -> Any:  # noqa: ANN401
    """Return diffusers' scheduler for one of our sampler names.

    Args:
        name: One of `RECIPES`.
        config: The model's own scheduler settings (noise schedule, prediction type); how its
            maker spaced the steps is left out, as that is what a sampler's name says.
        seed: Feeds the Brownian motion of the samplers that have one.
    """
    import diffusers  # noqa: PLC0415

    recipe = RECIPES[name]
    settings = dict(recipe.settings)
    schedule = {key: value for key, value in config.items() if key not in SPACINGS}
    if recipe.scheduler == BROWNIAN:
        settings["noise_sampler_seed"] = seed
    return getattr(diffusers, recipe.scheduler).from_config(schedule, **settings)


class SamplerRun:
    """One pass of a sampler over one picture: its timesteps, its memory, where it stands.

    Attributes:
        steps: Network calls of this pass.
        done: How many of them have been made.
    """

    def __init__(
        self,
        *,
        name: str,
        config: Mapping[str, Any],
        steps: int,
        generator: torch.Generator,
        shape: torch.Size,
        device: torch.device,
    ) -> None:
        self.name = name
        self._generator = generator
        self._scheduler = make_scheduler(name, config, seed=generator.initial_seed())
        self._recipe = RECIPES[name]
        try:
            # Timesteps stay on the CPU, so that reading one never waits for the GPU.
            self._scheduler.set_timesteps(steps, device="cpu", **self._grid(steps))
        except ValueError as error:
            raise InvalidSpecError(f"{name}: {error}", field="steps") from error
        self._extra = (
            {"generator": generator}
            if "generator" in inspect.signature(self._scheduler.step).parameters
            else {}
        )
        if self._recipe.scheduler == BROWNIAN:
            self._scheduler.noise_sampler = SteadyNoise(
                shape=shape, scheduler=self._scheduler, device=device
            )
        self._clean: torch.Tensor | None = None
        self._device = device
        self.done = 0
        self._window(0, len(self._scheduler.timesteps))

    def _grid(self, steps: int) -> Mapping[str, int]:
        """Return what makes a sampler take more steps than it was distilled to choose from."""
        usual = self._scheduler.config.get("original_inference_steps")
        return {} if usual is None or steps <= usual else {"original_inference_steps": steps}

    @property
    def steps(self) -> int:
        """Network calls of this pass."""
        return len(self._timesteps)

    @property
    def clean(self) -> torch.Tensor:
        """What the sampler took the finished latents for at its last step."""
        if self._clean is None:
            raise ValueError("no step has been taken")
        return self._clean

    @property
    def timestep(self) -> float:
        """The training timestep at which the network is asked next."""
        return float(self._timesteps[self.done])

    @property
    def moment(self) -> torch.Tensor:
        """The same as one number on the device."""
        return self._moments[self.done]

    def limit(self, *, strength: float, start: float, end: float) -> None:
        """Draw only a part of the steps; it may be that none is left.

        Args:
            strength: Share that is drawn, counted from the end, as for an init image.
            start: Fraction of the noise schedule at which to begin, as a refiner does.
            end: Fraction at which to stop.
        """
        order, asked = self._scheduler.order, self._scheduler.num_inference_steps
        first = max((asked - int(asked * strength)) * order, self._cut(start))
        self._window(first, max(first, self._cut(end)))

    def _cut(self, fraction: float) -> int:
        """Return how many network calls lie before a fraction of the noise schedule.

        A sampler of second order makes two for a step, and is never cut between them: whoever
        goes on from there would take the second for a first.
        """
        timesteps = self._scheduler.timesteps
        order: int = self._scheduler.order
        if fraction >= 1:
            return len(timesteps)
        below = round(self._scheduler.config.num_train_timesteps * (1 - fraction))
        calls = sum(float(moment) >= below for moment in timesteps) if fraction > 0 else 0
        return min(-(-calls // order) * order, len(timesteps))

    def _window(self, first: int, last: int) -> None:
        self._begin = first
        self._timesteps: torch.Tensor = self._scheduler.timesteps[first:last]
        # Copied once: a copy at every step would make the device wait.
        moments = self._timesteps.to(torch.float32).to(self._device)
        self._moments: tuple[torch.Tensor, ...] = torch.split(moments, 1)
        self._seek()

    def _seek(self) -> None:
        # diffusers takes the step from here when it has not made one yet.
        if hasattr(self._scheduler, "set_begin_index"):
            self._scheduler.set_begin_index(self._begin + self.done)

    def from_noise(self, noise: torch.Tensor) -> torch.Tensor:
        """Return the latents to start from: noise at the strength of the first step."""
        return noise * float(self._scheduler.init_noise_sigma)

    def blur(self, latents: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return clean latents with as much noise as the next step expects, if another makes it."""
        place = self._begin + self.done
        if place >= len(self._scheduler.timesteps):
            return latents
        moment = self._scheduler.timesteps[place : place + 1]
        blurred: torch.Tensor = self._scheduler.add_noise(latents, noise, moment)
        return blurred

    def scale(self, latents: torch.Tensor) -> torch.Tensor:
        """Return latents as the network wants them at this step."""
        moment = self._timesteps[self.done]
        scaled: torch.Tensor = self._scheduler.scale_model_input(latents, moment)
        return scaled

    def advance(self, prediction: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """Take one step and return the latents after it."""
        moment = self._timesteps[self.done]
        told = self._scheduler.step(prediction, moment, latents, **self._extra, return_dict=False)
        after = told[0]
        self._clean = told[1] if len(told) > 1 else self._scheduler.model_outputs[-1]
        self.done += 1
        moved: torch.Tensor = after.to(latents.dtype)
        return moved

    def memory(self) -> dict[str, Any]:
        """Return what the next step depends on, beside the latents."""
        kept = {name: getattr(self._scheduler, name, None) for name in self._recipe.memory}
        return {"done": self.done, **kept}

    def recall(self, memory: Mapping[str, Any]) -> None:
        """Stand where another run of the same picture stood when it told its `memory`."""
        kept = dict(memory)
        self.done = kept.pop("done")
        for name, value in kept.items():
            setattr(self._scheduler, name, value)
        self._seek()

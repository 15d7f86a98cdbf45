"""One picture being drawn: its latents, its sampler, and what the network is told of it."""

from dataclasses import dataclass, field

import torch

from engines.diffusers.conditioning import Conditioning
from engines.diffusers.library import Shelved
from engines.diffusers.plan import Worn
from engines.diffusers.samplers import SamplerRun
from engines.spec import Tiling


@dataclass(frozen=True, slots=True)
class Guide:
    """A ControlNet's picture and when it acts (fractions of the pass).

    Attributes:
        picture: 1 x 3 x height x width, values 0 to 1.
    """

    model: Shelved
    picture: torch.Tensor
    weight: float
    start: float
    end: float

    def acts(self, step: int, steps: int) -> bool:
        """Say whether it guides a step; one that lies only partly in its time is left alone."""
        return step / steps >= self.start and (step + 1) / steps <= self.end


@dataclass(frozen=True, slots=True)
class Frame:
    """What an inpainting keeps: where `mask` is 0, the latents of the `original` stay.

    Attributes:
        masked: Latents of the original without the masked part, for networks trained to fill.
    """

    original: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor
    masked: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """What sessions must have in common to share a network call.

    Attributes:
        model: Mark of the model's files.
        shape: Of the latents.
        rows: Rows of one session: two with guidance.
        tokens: Length of the encoded prompts.
        alone: The picture that draws alone, empty where company is welcome.
    """

    model: str
    rung: str
    shape: tuple[int, ...]
    rows: int
    tokens: int
    loras: tuple[Worn, ...]
    tiling: Tiling
    guides: tuple[str, ...]
    alone: str = ""


@dataclass(slots=True)
class Session:
    """One pass over one picture, between two steps.

    Attributes:
        latents: 1 x channels x height/8 x width/8, in single precision.
    """

    group: Group
    latents: torch.Tensor
    sampler: SamplerRun
    conditioning: Conditioning
    cfg: float
    guides: tuple[Guide, ...] = ()
    frame: Frame | None = None
    _next: torch.Tensor | None = field(default=None, init=False, repr=False)

    @property
    def finished(self) -> bool:
        """Whether every step of this pass is done."""
        return self.sampler.done >= self.sampler.steps

    def network_input(self) -> torch.Tensor:
        """Return what each of its rows reads at this step, in the network's number format."""
        return self._scaled() if self._next is None else self._next

    def control_weights(self) -> tuple[float, ...]:
        """Return how strongly each guide acts at this step."""
        done, steps = self.sampler.done, self.sampler.steps
        return tuple(guide.weight if guide.acts(done, steps) else 0.0 for guide in self.guides)

    def take(self, answer: torch.Tensor) -> None:
        """Go one step on with the network's answer in single precision, one row per own row."""
        if self.conditioning.rows > 1:
            without, with_prompt = answer.chunk(2)
            answer = without + self.cfg * (with_prompt - without)
        latents = self.sampler.advance(answer, self.latents)
        frame = self.frame
        if frame is not None and frame.masked is None:
            kept = self.sampler.blur(frame.original, frame.noise)
            latents = (1 - frame.mask) * kept + frame.mask * latents
        self.latents = latents
        # The device is still busy with the network: what is launched now costs the next step
        # nothing, while the device would wait for it there.
        self._next = None if self.finished else self._scaled()

    def _scaled(self) -> torch.Tensor:
        rows = self.sampler.scale(self.latents)
        if self.frame is not None and self.frame.masked is not None:
            rows = torch.cat([rows, self.frame.mask, self.frame.masked], dim=1)
        return rows.to(self.conditioning.embeds.dtype)

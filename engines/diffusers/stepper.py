"""One network call for several sessions, each at its own timestep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.conditioning import Conditioning
from engines.diffusers.guiding import Guides
from engines.diffusers.session import Session


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked in one call, not yet laid together.

    Attributes:
        samples: For every row, 1 x channels x height x width.
        moments: For every row, its timestep.
        told: The conditionings, one for every session.
    """

    samples: list[torch.Tensor]
    moments: list[torch.Tensor]
    told: tuple[Conditioning, ...]

    def reads_as(self, other: "Call") -> bool:
        """Whether it consists of the very tensors of another call of its shape."""
        pairs = (*zip(self.samples, other.samples, strict=True),
                 *zip(self.moments, other.moments, strict=True))  # fmt: skip
        return self.told == other.told and all(one is same for one, same in pairs)

    def together(self) -> dict[str, Any]:
        """Return the network's arguments, in memory of their own."""
        return {
            "sample": torch.cat(self.samples),
            "timestep": torch.cat(self.moments),
            **self.telling(),
        }

    def telling(self) -> dict[str, Any]:
        """Return the arguments that are the same at every step."""
        inputs: dict[str, Any] = {"encoder_hidden_states": torch.cat([t.embeds for t in self.told])}
        pooled = [one.pooled for one in self.told if one.pooled is not None]
        ids = [one.size_ids for one in self.told if one.size_ids is not None]
        if pooled and ids:
            inputs["added_cond_kwargs"] = {
                "text_embeds": torch.cat(pooled),
                "time_ids": torch.cat(ids),
            }
        return inputs


class Network(Protocol):
    """Asks a checkpoint's denoising network; how, is the device's business."""

    def __call__(self, checkpoint: Checkpoint, call: Call) -> torch.Tensor:
        """Return the prediction for every row; the next call may write over it."""

    def expect(self, checkpoint: Checkpoint, call: Call) -> None:
        """Make ready what will probably be asked next, while the device is still busy."""

    def prepare(self) -> None:
        """Do between two steps, outside every turn, what makes later calls quicker.

        Nothing runs on the device meanwhile.
        """


class PlainNetwork:
    """Asks the network kernel by kernel."""

    def __call__(self, checkpoint: Checkpoint, call: Call) -> torch.Tensor:
        """Return the prediction for every row."""
        return ask_network(checkpoint, call.together())

    def expect(self, checkpoint: Checkpoint, call: Call) -> None:
        """Nothing is made ready."""

    def prepare(self) -> None:
        """Nothing makes it quicker."""


def ask_network(checkpoint: Checkpoint, inputs: dict[str, Any]) -> torch.Tensor:
    """Ask the network plainly, kernel by kernel."""
    prediction: torch.Tensor = checkpoint.unet(**inputs, return_dict=False)[0]
    return prediction


def step(
    sessions: Sequence[Session], checkpoint: Checkpoint, *, network: Network, guides: Guides
) -> None:
    """Take every session one step on.

    The sessions must be of one group: same model, adapters, size, number of rows and controls.
    """
    call = gather(sessions)
    if sessions[0].guides:
        # Guided calls are rare and differ in many ways: nothing that a device prepares would pay.
        inputs = call.together()
        prediction = ask_network(checkpoint, inputs | guides.ask(sessions, checkpoint, inputs))
    else:
        prediction = network(checkpoint, call)
    rows = sessions[0].conditioning.rows
    answers = prediction.to(sessions[0].latents.dtype, copy=True)
    for session, answer in zip(sessions, torch.split(answers, rows), strict=True):
        session.take(answer)
    if not (sessions[0].guides or any(session.finished for session in sessions)):
        network.expect(checkpoint, gather(sessions))


def gather(sessions: Sequence[Session]) -> Call:
    """Return the rows of all sessions."""
    rows = range(sessions[0].conditioning.rows)
    samples = [session.network_input() for session in sessions]
    moments = [session.sampler.moment for session in sessions]
    return Call(
        samples=[sample for sample in samples for _ in rows],
        moments=[moment for moment in moments for _ in rows],
        told=tuple([session.conditioning for session in sessions]),
    )

"""One network call for several sessions, each at its own timestep."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.guiding import Guides
from engines.diffusers.session import Session


class Network(Protocol):
    """Asks a checkpoint's denoising network; how, is the device's business."""

    def __call__(self, checkpoint: Checkpoint, inputs: dict[str, Any]) -> torch.Tensor:
        """Return the prediction for every row of `inputs`."""


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
    inputs = gather(sessions, checkpoint)
    inputs |= guides.ask(sessions, checkpoint, inputs)
    prediction = network(checkpoint, inputs)
    rows = [session.conditioning.rows for session in sessions]
    for session, answer in zip(sessions, torch.split(prediction, rows), strict=True):
        session.take(answer)


def gather(sessions: Sequence[Session], checkpoint: Checkpoint) -> dict[str, Any]:
    """Return the rows of all sessions as one call's arguments."""
    dtype, device = checkpoint.dtype, checkpoint.device
    times = [
        session.sampler.timestep for session in sessions for _ in range(session.conditioning.rows)
    ]
    inputs: dict[str, Any] = {
        "sample": torch.cat([session.network_input() for session in sessions]).to(dtype),
        "timestep": torch.tensor(times, dtype=torch.float32, device=device),
        "encoder_hidden_states": torch.cat(
            [session.conditioning.embeds for session in sessions]
        ).to(dtype),
    }
    pooled = [s.conditioning.pooled for s in sessions if s.conditioning.pooled is not None]
    ids = [s.conditioning.size_ids for s in sessions if s.conditioning.size_ids is not None]
    if pooled and ids:
        inputs["added_cond_kwargs"] = {
            "text_embeds": torch.cat(pooled).to(dtype),
            "time_ids": torch.cat(ids).to(dtype),
        }
    return inputs

"""Keeps the device's memory from growing from picture to picture."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from engines.diffusers.loader import empty_cache
from engines.diffusers.studio import Studio

_LOG = logging.getLogger(__name__)
_DRIFT_BYTES = 2 * 2**30
"""What may be in use beside the weights while nothing is drawn: captured calls, encoded prompts."""


def in_use(device: torch.device) -> int:
    """Return the bytes that tensors take on the device; 0 where nobody counts."""
    match device.type:
        case "cuda":
            return torch.cuda.memory_allocated(device)
        case "mps":
            return torch.mps.current_allocated_memory()
        case _:
            return 0


@dataclass(frozen=True, slots=True)
class Tidying:
    """What is done after a picture has ended, and when no other is left."""

    studio: Studio
    measure: Callable[[torch.device], int] = in_use

    def after_picture(self) -> None:
        """Give unused memory back where the device table says so."""
        if self.studio.rules.empty_cache:
            empty_cache(self.studio.device)

    def when_idle(self) -> None:
        """Let everything go if more is in use than the models explain."""
        drift = self.measure(self.studio.device) - self.studio.loader.held
        if drift > _DRIFT_BYTES:
            _LOG.warning("%d MiB are in use that no model explains: released", drift // 2**20)
            self.studio.release()

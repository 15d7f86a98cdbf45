"""Keeps the device's memory from growing from picture to picture."""

import gc
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class Tidying:
    """What is done after a picture has ended, and when no other is left."""

    studio: Studio
    measure: Callable[[torch.device], int] = in_use
    _others: int = field(default=0, init=False)
    """Bytes that were in use when nothing of ours was: others' in this process, or lost."""

    def after_picture(self) -> None:
        """Give unused memory back where the device table says so."""
        if self.studio.rules.empty_cache:
            empty_cache(self.studio.device)

    def when_idle(self) -> None:
        """Let everything go if more is in use than the models explain.

        What that does not bring back is not asked for again: loading the models anew after every
        picture would help nobody.
        """
        if self._drift() <= _DRIFT_BYTES:
            return
        # What only refers to itself is found by looking for it, which takes a while.
        gc.collect()
        drift = self._drift()
        if drift <= _DRIFT_BYTES:
            return
        self.studio.release()
        self._others = self.measure(self.studio.device)
        _LOG.warning(
            "%d MiB were in use that no model explains: released; %d MiB still are",
            drift // 2**20,
            self._others // 2**20,
        )

    def _drift(self) -> int:
        return self.measure(self.studio.device) - self.studio.held - self._others

"""A device with a clock of its own that records as CUDA does, with CUDA's bad manners."""

from collections.abc import Callable
from typing import Any

import torch

from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.graphs import Recording
from engines.diffusers.seams import Seams


class FakeDevice:
    """Kernels take time to launch and time to run; nothing waits for them unless told to.

    As on CUDA, recording computes nothing, a replay reads the inputs where they lay and does
    what was done when it was recorded, whatever the checkpoint wears by then, and all recordings
    share one pool: a replay leaves rubbish in the answers of the others.

    Attributes:
        launch_seconds: How long the host is busy with one call of the network.
        run_seconds: How long the device then is.
        refuses: What recording fails with now.
        recorded: How many calls were recorded.
        replayed: How many were replayed.
        refused: How many could not be recorded.
        asked: Rows of each call that was made kernel by kernel.
    """

    def __init__(self, *, launch_seconds: float = 0.02, run_seconds: float = 0.01) -> None:
        self.launch_seconds = launch_seconds
        self.run_seconds = run_seconds
        self.refuses: Exception | None = None
        self.recorded = 0
        self.replayed = 0
        self.refused = 0
        self.asked: list[int] = []
        self._now = 0.0
        self._busy_until = 0.0
        self._quiet = False
        self._answers: list[torch.Tensor] = []
        self._seams = Seams()

    def clock(self) -> float:
        """Return the host's seconds."""
        return self._now

    def wait(self) -> None:
        """Wait until the device has done everything."""
        self._now = max(self._now, self._busy_until)

    def watch(self, checkpoint: Checkpoint) -> None:
        """Let the calls of a checkpoint's network take their time here."""
        forward, self._seams = checkpoint.unet.forward, checkpoint.seams

        def timed(**inputs: Any) -> Any:  # noqa: ANN401 - as diffusers has it
            if not self._quiet:
                self.asked.append(inputs["sample"].shape[0])
                began = max(self._now, self._busy_until)
                self._now += self.launch_seconds
                self._busy_until = max(began + self.run_seconds, self._now)
            return forward(**inputs)

        checkpoint.unet.forward = timed

    def record(self, ask: Callable[[], torch.Tensor]) -> Recording:
        """Record what `ask` launches; its answer is rubbish until the first replay."""
        if self.refuses is not None:
            self.refused += 1
            raise self.refuses
        answer = torch.full_like(self._ask(ask), float("nan"))
        x, y = self._seams.x, self._seams.y
        self._answers.append(answer)
        self.recorded += 1

        def replay() -> None:
            self.replayed += 1
            for one in self._answers:
                one.fill_(float("nan"))
            worn = self._seams.x, self._seams.y
            self._seams.x, self._seams.y = x, y
            answer.copy_(self._ask(ask))
            self._seams.x, self._seams.y = worn

        return Recording(replay, answer)

    def _ask(self, ask: Callable[[], torch.Tensor]) -> torch.Tensor:
        self._quiet = True
        try:
            return ask()
        finally:
            self._quiet = False

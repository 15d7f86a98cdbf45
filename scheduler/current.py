"""A job that is being drawn: its runner, its task, and why it was stopped if it was."""

import asyncio
from dataclasses import dataclass

from scheduler.job import Status
from scheduler.outcome import StopReason
from scheduler.runner import Runner


@dataclass(slots=True)
class Current:
    """A running job's task, and why it was stopped if it was."""

    runner: Runner
    task: asyncio.Task[Status]
    reason: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        """Cancel the task; what a user asked for stands, whoever else asks afterwards."""
        if self.reason is not StopReason.USER:
            self.reason = reason
        if not self.task.cancelling():
            self.task.cancel()

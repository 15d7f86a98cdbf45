"""A job that is being drawn: its runner, its task, and why it was stopped if it was."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from scheduler.job import Job, Status
from scheduler.outcome import StopReason
from scheduler.runner import Runner

_tracer = trace.get_tracer("kitty_images.scheduler")


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


async def traced(job: Job, work: Awaitable[Status]) -> Status:
    """Run a job under a span of its own that points back at the request."""
    asked = TraceContextTextMapPropagator().extract({"traceparent": job.trace})
    link = Link(trace.get_current_span(asked).get_span_context())
    with _tracer.start_as_current_span("job", context=Context(), links=[link]) as span:
        span.set_attribute("job.id", job.id)
        return await work

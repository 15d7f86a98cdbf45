"""Shows a job while it is drawn: a bar on a terminal, a line for each change elsewhere."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from service.cli.client import Images
from service.cli.exits import JobFailedError
from service.cli.follow import Patience, follow
from service.cli.replies import Job, Warned


async def watch(
    images: Images, job_id: str, console: Console, patience: Patience | None = None
) -> Job:
    """Show a job on `console` until it has ended, and return it.

    Raises:
        JobFailedError: it failed or was cancelled.
        UnreachableError: the service went away and did not come back.
    """
    async with aclosing(follow(images, job_id, patience or Patience())) as jobs:
        job = await (_bar(jobs, console) if console.is_terminal else _lines(jobs, console))
    if job["state"] != "succeeded":
        raise JobFailedError(job)
    return job


def warn(warnings: list[Warned], console: Console, *, named: Callable[[str], str] = str) -> None:
    """Say what could not be honoured; `named` knows what a field is called here."""
    for warning in warnings:
        where = f"{named(warning['field'])}: " if warning["field"] else ""
        console.print(f"[yellow]Note[/]  {escape(where + warning['detail'])}")


async def _bar(jobs: AsyncGenerator[Job], console: Console) -> Job:
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[steps]}", style="dim"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    with bar:
        task = bar.add_task("asking", total=1.0, steps="")
        async for job in jobs:
            # A queued job has no progress to show; a pulsing bar says that we wait.
            total = None if job["state"] == "queued" or job["phase"] == "loading" else 1.0
            steps = f"step {job['step']}/{job['steps']}" if job["steps"] else ""
            bar.update(
                task, description=_words(job), completed=job["progress"], total=total, steps=steps
            )
    return job


async def _lines(jobs: AsyncGenerator[Job], console: Console) -> Job:
    said = ""
    async for job in jobs:
        if (words := _words(job)) != said:
            console.print(f"{job['job_id']}: {words}", markup=False)
            said = words
    return job


def _words(job: Job) -> str:
    """Say in a few words where a job stands."""
    if job["state"] != "queued":
        phase = job["phase"] if job["state"] == "running" else job["state"]
        done = len(job["artifacts"])
        many = job["count"] > 1 and job["state"] == "running"
        return f"{phase} {done + 1} of {job['count']}" if many and done < job["count"] else phase
    words = "paused" if job["phase"] == "paused" else "queued"
    if job["position"]:
        words += f", {job['position']} ahead"
    if job["eta"]:
        words += f", about {job['eta']['p50_seconds']:.0f} s"
    return words

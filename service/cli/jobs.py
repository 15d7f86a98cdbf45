"""Commands about jobs: look, list, end, hold, go on, try again."""

from collections.abc import Callable

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.cli import options, output
from service.cli.client import Address, connect
from service.cli.exits import run
from service.cli.queue import say_if_paused
from service.cli.replies import Job
from service.cli.watch import warn, watch

_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}


def status(
    context: typer.Context,
    job_id: options.JobId,
    *,
    follow: bool = typer.Option(False, "--follow", "-f", help="Watch it to its end."),
    as_json: options.AsJson = False,
) -> None:
    """Show where a job stands. With --follow, a failed job makes the exit status 1."""
    run(_status(options.address(context), job_id, follow=follow, as_json=as_json), as_json=as_json)


async def _status(address: Address, job_id: str, *, follow: bool, as_json: bool) -> None:
    async with connect(address) as images:
        job = await images.job(job_id)
        if job["state"] == "queued":
            await say_if_paused(images)
        if follow:
            job = await watch(images, job_id, output.news())
    _print(job, as_json=as_json)


def ordering(verb: str, meaning: str) -> Callable[..., None]:
    """Return the command that tells a job to `cancel`, `pause`, `resume` or `retry`."""

    def command(
        context: typer.Context, job_id: options.JobId, *, as_json: options.AsJson = False
    ) -> None:
        run(_order(options.address(context), job_id, verb, as_json=as_json), as_json=as_json)

    command.__doc__ = meaning
    return command


async def _order(address: Address, job_id: str, verb: str, *, as_json: bool) -> None:
    async with connect(address) as images:
        _print(await images.order(job_id, verb), as_json=as_json)


def jobs(
    context: typer.Context,
    limit: options.Limit = 20,
    state: str | None = typer.Option(None, help="Only queued, running, succeeded, failed, …"),
    *,
    as_json: options.AsJson = False,
) -> None:
    """List the newest jobs."""
    run(_jobs(options.address(context), limit, state, as_json=as_json), as_json=as_json)


async def _jobs(address: Address, limit: int, state: str | None, *, as_json: bool) -> None:
    async with connect(address) as images:
        page = await images.page("jobs", limit=limit, state=state)
    if as_json:
        output.print_json(page)
        return
    output.results().print(table(page["items"]))


def table(items: list[Job]) -> Table:
    """Return a list of jobs for a terminal."""
    rows = []
    for job in items:
        state = Text(job["state"], _COLOURS.get(job["state"], "cyan"))
        prompt = " ".join(job["prompt"].split())
        rows.append((job["job_id"], state, f"{job['progress']:.0%}", job["engine"], prompt))
    return output.columns(("job", "state", "done", "engine", "prompt"), rows)


def _print(job: Job, *, as_json: bool) -> None:
    """Print a job: its state first, then what there is to know."""
    if as_json:
        output.print_json(job)
        return
    console = output.results()
    colour = _COLOURS.get(job["state"], "cyan")
    phase = "" if job["phase"] in ("", "done", "ended") else f", {job['phase']}"
    console.print(f"{job['job_id']}  [{colour}]{job['state']}[/]{phase}  {job['progress']:.0%}")
    console.print(
        f"  {escape(job['prompt'])}  [dim]{escape(job['engine'] + ' ' + job['model'])}[/]"
    )
    if job["position"] is not None:
        about = f", done in about {job['eta']['p50_seconds']:.0f} s" if job["eta"] else ""
        console.print(f"  {job['position']} ahead{about}")
    if job["error"]:
        console.print(f"  [red]{escape(job['error'])}[/] ({job['error_code']})")
    for artifact in job["artifacts"]:
        console.print(f"  [green]{escape(artifact['key'])}[/]  seed {artifact['seed']}")
    if job["deleted"]:
        console.print(f"  [dim]{job['deleted']} of {job['count']} deleted since[/]")
    warn(job["warnings"], console)

"""Commands about the GPU: who has it, and running a program under a lease."""

from typing import Annotated, Any

import typer

from service.cli import options, output
from service.cli.client import Address, connect
from service.cli.exits import run
from service.cli.lease import Terms, run_under_lease

_TITLES = ("gpu", "pictures", "holders", "waiting", "parked", "last hour", "lock")

Command = Annotated[
    list[str], typer.Argument(metavar="-- COMMAND", help="The program and its arguments.")
]


def gpu_run(
    context: typer.Context,
    command: Command,
    *,
    tenant: Annotated[
        str, typer.Option("--class", help="llm goes before pictures, images shares with them.")
    ] = "llm",
    gpu: Annotated[str, typer.Option(help="Which GPU.")] = "local",
    ttl: Annotated[
        float, typer.Option(min=0.1, help="Seconds that the lease outlives us, should we die.")
    ] = 30.0,
    wait: Annotated[
        float | None, typer.Option(min=0, help="Seconds to wait for the GPU; else for ever.")
    ] = None,
    stop_when_lost: Annotated[
        bool, typer.Option("--stop-when-lost", help="Stop the program if the lease is lost.")
    ] = False,
) -> None:
    """Run a program while the GPU is kept free for it.

    Signals are passed on, and the program's exit status is ours; 128 + N if signal N ended it,
    126 if it cannot be run, 127 if there is no such program.
    """
    terms = Terms(
        tenant=tenant, gpu=gpu, ttl_seconds=ttl, wait_seconds=wait, stop_when_lost=stop_when_lost
    )
    statuses: list[int] = []

    async def work() -> None:
        async with connect(options.address(context)) as images:
            statuses.append(await run_under_lease(images, command, terms))

    run(work(), as_json=False)
    raise typer.Exit(statuses[0])


def gpu_status(context: typer.Context, *, as_json: options.AsJson = False) -> None:
    """Show who has the GPU, who waits for it, and what is parked."""
    run(_status(options.address(context), as_json=as_json), as_json=as_json)


async def _status(address: Address, *, as_json: bool) -> None:
    async with connect(address) as images:
        answer = await images.call("GET", "api/gpu")
    if as_json:
        output.print_json(answer)
        return
    output.results().print(output.columns(_TITLES, [_row(gpu) for gpu in answer["items"]]))


def _row(gpu: dict[str, Any]) -> tuple[str, ...]:
    """Return one GPU's line in the table."""
    hour = gpu["last_hour"]
    return (
        gpu["gpu"],
        "may step" if gpu["gate"] == "open" else "are held back",
        ", ".join(
            f"{held['holder']} ({held['class']}, {held['held_seconds']:.0f} s)"
            for held in gpu["holders"]
        ),
        ", ".join(
            f"{one['holder']} ({one['class']}, {one['waiting_seconds']:.0f} s)"
            for one in gpu["waiters"]
        ),
        ", ".join(f"{one['picture']} ({one['seconds']:.0f} s)" for one in gpu["parked"]),
        f"llm {hour['llm']:.0%}, images {hour['images']:.0%}",
        gpu["lock"] or "none",
    )

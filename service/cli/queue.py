"""Commands about the queue as a whole: begin no more jobs, and begin them again."""

from collections.abc import Callable

import typer

from service.cli import options, output
from service.cli.client import Address, Images, connect
from service.cli.exits import CliError, run


def ordering(verb: str, meaning: str) -> Callable[..., None]:
    """Return the command that tells the queue to `pause` or `resume`."""

    def command(context: typer.Context, *, as_json: options.AsJson = False) -> None:
        run(_order(options.address(context), verb, as_json=as_json), as_json=as_json)

    command.__doc__ = meaning
    return command


async def _order(address: Address, verb: str, *, as_json: bool) -> None:
    async with connect(address) as images:
        queue = await images.call("POST", f"api/images/queue/{verb}")
    if as_json:
        output.print_json(queue)
        return
    state = "paused" if queue["paused"] else "on"
    output.results().print(f"the queue is {state}, {queue['waiting']} waiting")


async def say_if_paused(images: Images) -> None:
    """Tell who waits for a job that none is begun at present."""
    try:
        paused = (await images.call("GET", "api/images/stats"))["paused"]
    except CliError:
        return  # The job is there; whoever watches it next will say who does not answer.
    if paused:
        output.news().print(
            "[yellow]Note[/]  the queue is paused; kitty-cli queue.resume lets it go on"
        )

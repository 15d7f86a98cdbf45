"""kitty-cli: the commands under their names."""

import inspect
import os
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from service.cli import catalog, generate, gpu, jobs, options, pictures, queue
from service.cli.client import Address
from service.cli.exits import EXIT_STATUS

_HELP = f"""
Draw pictures with KITTY Images, list them and select them for other tools.

The service is found at IMAGES_BASE ({options.DEFAULT_BASE} when that is not set); API_TOKEN is the
token that it was started with, if any.
"""


def _flowing(text: str) -> str:
    """Return text without the line breaks of its source: the terminal's width makes others."""
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


app = typer.Typer(
    name="kitty-cli",
    help=_flowing(_HELP),
    epilog=_flowing(EXIT_STATUS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "images.generate": generate.generate,
    "images.list": pictures.list_pictures,
    "images.select": pictures.select,
    "images.delete": pictures.delete,
    "images.status": jobs.status,
    "images.jobs": jobs.jobs,
    "images.cancel": jobs.ordering("cancel", "End a job; asking again changes nothing."),
    "images.pause": jobs.ordering("pause", "Hold a job at its next step."),
    "images.resume": jobs.ordering("resume", "Let a paused job go on."),
    "images.retry": jobs.ordering("retry", "Queue a failed or cancelled job again."),
    "queue.pause": queue.ordering("pause", "Begin no more jobs, through restarts too."),
    "queue.resume": queue.ordering("resume", "Begin jobs again."),
    "images.models": catalog.models,
    "images.engines": catalog.engines,
    "gpu.run": gpu.gpu_run,
    "gpu.status": gpu.gpu_status,
}

_ALIASES = {
    "generate-image": "images.generate",
    "list-images": "images.list",
    "select-image": "images.select",
    "image-status": "images.status",
}
"""Names under which KITTY's own command line has them."""

for _name, _command in _COMMANDS.items():
    app.command(_name, help=_flowing(inspect.getdoc(_command) or ""))(_command)
for _alias, _name in _ALIASES.items():
    app.command(_alias, hidden=True, help=f"The same as {_name}.")(_COMMANDS[_name])


def _print_version(value: bool) -> None:
    if value:
        typer.echo(version("kitty-images"))
        raise typer.Exit


@app.callback()
def where(
    context: typer.Context,
    base: Annotated[
        str, typer.Option(envvar="IMAGES_BASE", help="Address of the service.")
    ] = options.DEFAULT_BASE,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Note where the service is."""
    if not base.startswith(("http://", "https://")):
        raise typer.BadParameter(f"{base!r} is no address; write http://host:8089")
    base = base.rstrip("/").removesuffix("/api/images")
    context.obj = Address(base, os.environ.get("API_TOKEN") or None)


def main() -> None:
    """Run kitty-cli."""
    app()


if __name__ == "__main__":
    main()

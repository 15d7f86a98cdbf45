"""Where the command line prints: results on stdout, news and complaints on stderr."""

import orjson
import typer
from rich.console import Console

_PIPE_COLUMNS = 200
"""Width of what goes into files and pipes, which have none of their own."""


def results() -> Console:
    """Return the console for what a command was asked for."""
    console = Console(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    return console


def news() -> Console:
    """Return the console for progress, notes and errors, which scripts leave out."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(data: object) -> None:
    """Print JSON for scripts."""
    typer.echo(orjson.dumps(data, option=orjson.OPT_INDENT_2).decode())

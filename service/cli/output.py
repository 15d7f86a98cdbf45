"""Where the command line prints: results on stdout, news and complaints on stderr."""

from collections.abc import Sequence

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def columns(titles: Sequence[str], rows: Sequence[Sequence[Text | str]]) -> Table:
    """Return a table whose last column is cut where the terminal is narrow, and no other."""
    table = Table(box=None, pad_edge=False)
    for title in titles[:-1]:
        table.add_column(title, no_wrap=True)
    table.add_column(titles[-1])
    for row in rows:
        # Text, so that nothing in a prompt or a name is taken for markup. Only a column that may
        # be wrapped gives way to the others; its cells forbid the wrapping themselves.
        first = (Text(cell) if isinstance(cell, str) else cell for cell in row[:-1])
        table.add_row(*first, Text(str(row[-1]), no_wrap=True, overflow="ellipsis"))
    return table

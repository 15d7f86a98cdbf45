"""Where the command line prints: results on stdout, news and complaints on stderr."""

from collections.abc import Iterable, Sequence

import orjson
import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from typing_extensions import override

_PIPE_COLUMNS = 200
"""Width of what goes into files and pipes, which have none of their own."""

_ORDERS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
"""The control characters, which are orders to a terminal and no words."""


class _Words(Console):
    """A console on which words stay words.

    Prompts, names and reasons come from whoever asked for a picture; an escape code in one of them
    would have the terminal recolour, retitle or erase what its owner reads.
    """

    @override
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Render without the control characters that are not rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=words(segment.text))


def words(text: str) -> str:
    """Return a text without what a terminal would obey."""
    return text.translate(_ORDERS)


def results() -> Console:
    """Return the console for what a command was asked for."""
    console = _Words(highlight=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    return console


def news() -> Console:
    """Return the console for progress, notes and errors, which scripts leave out."""
    return _Words(stderr=True, highlight=False, soft_wrap=True)


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

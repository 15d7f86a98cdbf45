"""`kitty-cli` as a test runs it: its words, its exit status, and what it shows on a terminal."""

import asyncio
import io
import json
import os
import pty
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.journey.running import ROOT

SMALL = ("--width", "96", "--height", "64", "--steps", "3")


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        return json.loads(self.out)


class Cli:
    """`kitty-cli` with a cache of its own."""

    def __init__(self, base: str, cache: Path) -> None:
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "IMAGES_BASE": base,
            "XDG_CACHE_HOME": str(cache),
        }

    async def start(self, *words: str, **how: Any) -> asyncio.subprocess.Process:  # noqa: ANN401
        """Start a command."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service.cli", *words),
            **{"stdout": pipe, "stderr": pipe, "env": self.environ, **how},
        )

    async def __call__(self, *words: str, **environ: str) -> Said:
        """Run a command to its end."""
        process = await self.start(*words, env={**self.environ, **environ})
        out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())


async def on_terminal(cli: Cli, *words: str) -> str:
    """Run a command on a terminal that understands kitty's graphics; return what it shows."""
    ours, theirs = pty.openpty()
    environ = {**cli.environ, "TERM": "xterm-kitty", "COLUMNS": "100", "COLORTERM": "truecolor"}
    process = await cli.start(*words, stdout=theirs, stderr=theirs, stdin=theirs, env=environ)
    os.close(theirs)
    shown = io.BytesIO()
    await asyncio.to_thread(drain, lambda: os.read(ours, 65536), shown)
    os.close(ours)
    assert await process.wait() == 0
    return shown.getvalue().decode()


def drain(read: Callable[[], bytes], into: io.BytesIO) -> None:
    """Read until the other side has closed; Linux says so with an error."""
    try:
        while part := read():
            into.write(part)
    except OSError:
        return

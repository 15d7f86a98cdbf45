"""Runs a program under a lease of a GPU, and gives the lease back in every case."""

import asyncio
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from service.cli.client import Images
from service.cli.exits import CliError, RefusedError, UnwillingError

PATIENCE_SECONDS = 30.0
"""How long one request waits for the GPU; then it is asked for anew."""

NO_SUCH_PROGRAM = 127
BY_SIGNAL = 128

_PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_FROM_KEYBOARD = (signal.SIGINT, signal.SIGQUIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What lease is wanted; `wait_seconds` None waits for ever."""

    tenant: str
    gpu: str
    ttl_seconds: float
    wait_seconds: float | None
    stop_when_lost: bool


class Held:
    """A lease, and how it is kept; another may have taken its place when it was lost."""

    def __init__(self, images: Images, terms: Terms, holder: str) -> None:
        self._images = images
        self._terms = terms
        self._holder = holder
        self._lease: dict[str, Any] | None = None
        self._expires = 0.0

    async def acquire(self) -> None:
        """Wait for a lease.

        Raises:
            RefusedError: there is no such GPU, or it was not to be waited for.
            UnwillingError: it was not free in time.
        """
        wait_seconds = self._terms.wait_seconds
        until = float("inf") if wait_seconds is None else time.monotonic() + wait_seconds
        while True:
            left = max(0.0, until - time.monotonic())
            body = {
                "class": self._terms.tenant,
                "gpu": self._terms.gpu,
                "holder": self._holder,
                "ttl_seconds": self._terms.ttl_seconds,
                "wait_seconds": min(left, PATIENCE_SECONDS),
            }
            try:
                self._lease = await self._images.call("POST", "api/gpu/leases", body=body)
                self._expires = time.monotonic() + self._terms.ttl_seconds
            except UnwillingError as error:
                if error.problem.get("code") != "gpu_busy" or left <= PATIENCE_SECONDS:
                    raise
            else:
                return

    async def keep(self, program: asyncio.subprocess.Process) -> None:
        """Renew the lease until cancelled; ask for another if it is lost."""
        while self._lease is not None:
            await asyncio.sleep(self._terms.ttl_seconds / 3)
            now = time.monotonic()
            body = {
                "token": self._lease["token"],
                "gpu": self._terms.gpu,
                "ttl_seconds": self._terms.ttl_seconds,
            }
            try:
                await self._images.call("PUT", f"api/gpu/leases/{self._lease['id']}", body=body)
                self._expires = now + self._terms.ttl_seconds
            except RefusedError as error:
                typer.echo(f"kitty-cli: the GPU's lease is lost: {error}", err=True)
                if self._terms.stop_when_lost:
                    _stop(program)
                    return
                await self._again()
            except CliError as error:
                typer.echo(f"kitty-cli: the GPU's lease could not be renewed: {error}", err=True)
                if self._terms.stop_when_lost and time.monotonic() >= self._expires:
                    typer.echo("kitty-cli: by now the GPU's lease is lost", err=True)
                    _stop(program)
                    return

    async def _again(self) -> None:
        """Take the lost lease's place in the queue; the program goes on meanwhile."""
        with suppress(CliError):
            await self.acquire()

    async def release(self) -> None:
        """Give the lease back; if that fails it ends by itself."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        params = {"token": str(lease["token"]), "gpu": self._terms.gpu}
        with suppress(CliError):
            await self._images.fetch("DELETE", f"api/gpu/leases/{lease['id']}", params=params)


def _stop(program: asyncio.subprocess.Process) -> None:
    """Stop a program, unless it has just ended by itself."""
    with suppress(ProcessLookupError):
        program.terminate()


async def run_under_lease(images: Images, command: Sequence[str], terms: Terms) -> int:
    """Run a program; return its exit status, as shells count it.

    Raises:
        CliError: the GPU could not be had.
    """
    if shutil.which(command[0]) is None:
        typer.echo(f"kitty-cli: there is no program {command[0]!r}", err=True)
        return NO_SUCH_PROGRAM
    held = Held(images, terms, f"{Path(command[0]).name} on {socket.gethostname()}")
    await held.acquire()
    try:
        with _signals_passed_on() as begun:
            program = await asyncio.create_subprocess_exec(*command)
            begun(program)
            keeping = asyncio.create_task(held.keep(program))
            status = await program.wait()
        keeping.cancel()
        await asyncio.wait([keeping])
    finally:
        await held.release()
    return BY_SIGNAL - status if status < 0 else status


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[asyncio.subprocess.Process], None]]:
    """Let a program have our signals; those from the keyboard reach it by themselves.

    Yields what is to be told of the program. A signal that comes before that is kept for it: else
    it would end us alone, and leave the program behind.
    """
    loop = asyncio.get_running_loop()
    at_terminal = sys.stdin.isatty()
    programs: list[asyncio.subprocess.Process] = []
    early: list[int] = []

    def pass_on(number: int) -> None:
        if not programs:
            early.append(number)
        for program in programs:
            if program.returncode is None and not (at_terminal and number in _FROM_KEYBOARD):
                program.send_signal(number)

    def begun(program: asyncio.subprocess.Process) -> None:
        programs.append(program)
        for number in early:
            with suppress(ProcessLookupError):
                program.send_signal(number)

    for number in _PASSED_ON:
        loop.add_signal_handler(number, pass_on, number)
    try:
        yield begun
    finally:
        for number in _PASSED_ON:
            loop.remove_signal_handler(number)

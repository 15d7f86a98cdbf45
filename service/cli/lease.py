"""Runs a program under a lease of a GPU, and gives the lease back in every case."""

import asyncio
import os
import shutil
import signal
import socket
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

STUBBORN_SECONDS = 10.0
"""How long a program that is to be stopped may take to end by itself."""

CANNOT_BE_RUN = 126
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
        """Renew the lease until cancelled; ask for another if it is lost.

        A service that says nothing is asked twice before the lease would have expired.
        """
        quarter = self._terms.ttl_seconds / 4
        while self._lease is not None:
            await asyncio.sleep(quarter)
            try:
                async with asyncio.timeout(quarter):
                    await self._renew(self._lease)
            except RefusedError as error:
                typer.echo(f"kitty-cli: the GPU's lease is lost: {error}", err=True)
                if self._terms.stop_when_lost:
                    await _stop(program)
                    return
                await self._again()
            except (CliError, TimeoutError) as error:
                why = str(error) or "no answer in time"
                typer.echo(f"kitty-cli: the GPU's lease could not be renewed: {why}", err=True)
                if self._terms.stop_when_lost and time.monotonic() >= self._expires:
                    typer.echo("kitty-cli: by now the GPU's lease is lost", err=True)
                    await _stop(program)
                    return

    async def _renew(self, lease: dict[str, Any]) -> None:
        """Let the lease live on, counted from before we asked."""
        now = time.monotonic()
        body = {
            "token": lease["token"],
            "gpu": self._terms.gpu,
            "ttl_seconds": self._terms.ttl_seconds,
        }
        await self._images.call("PUT", f"api/gpu/leases/{lease['id']}", body=body)
        self._expires = now + self._terms.ttl_seconds

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


async def _stop(program: asyncio.subprocess.Process) -> None:
    """Stop a program, unless it has just ended by itself."""
    with suppress(ProcessLookupError):
        program.terminate()
        await asyncio.sleep(STUBBORN_SECONDS)
        program.kill()


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
        return await _run(command, held)
    finally:
        await held.release()


async def _run(command: Sequence[str], held: Held) -> int:
    """Run a program while its lease is kept; return its exit status, as shells count it."""
    with _signals_passed_on() as begun:
        try:
            program = await asyncio.create_subprocess_exec(*command)
        except OSError as error:
            typer.echo(f"kitty-cli: {command[0]!r} cannot be run: {error.strerror}", err=True)
            return CANNOT_BE_RUN
        begun(program)
        keeping = asyncio.create_task(held.keep(program))
        status = await program.wait()
    keeping.cancel()
    await asyncio.wait([keeping])
    return BY_SIGNAL - status if status < 0 else status


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[asyncio.subprocess.Process], None]]:
    """Let a program have our signals; those from the keyboard reach it by themselves.

    Yields what is to be told of the program. A signal that comes before that is kept for it: else
    it would end us alone, and leave the program behind.
    """
    loop = asyncio.get_running_loop()
    programs: list[asyncio.subprocess.Process] = []
    early: list[int] = []

    def pass_on(number: int) -> None:
        if not programs:
            early.append(number)
        for program in programs:
            if program.returncode is None and not (number in _FROM_KEYBOARD and _in_front()):
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


def _in_front() -> bool:
    """Say whether what is typed at our terminal, if we have one, reaches our whole group."""
    try:
        with Path("/dev/tty").open("rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False

"""The service as a child process: started, waited for, and brought down in good order."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from service.cli.client import Images
from service.cli.exits import AnsweredError, UnreachableError
from service.settings import SettingsError

_LAST_WORDS = 2000
"""Characters of the log that are quoted when the service dies at its start."""

_ASK_SECONDS = 0.03


class ServerDiedError(Exception):
    """The service ended before it answered; the message ends with its last words.

    Attributes:
        code: The exit status that it left.
    """

    def __init__(self, detail: str, *, code: int) -> None:
        super().__init__(detail)
        self.code = code


async def answers(images: Images) -> bool:
    """Say whether KITTY Images is there already; whoever refuses to say so is somebody else."""
    try:
        reply = await images.call("GET", "healthz")
    except (UnreachableError, AnsweredError):
        return False
    return isinstance(reply, dict) and reply.get("status") == "ok"


class Server:
    """A service of our own, for as long as the block lasts.

    It runs in a session of its own, so that Ctrl-C reaches us alone and the service gets one
    SIGTERM from us, not two signals of which the second would hurry it.

    Attributes:
        log: Where its output goes.
    """

    def __init__(self, *, log: Path) -> None:
        self.log = log
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start it; it takes a moment until it answers.

        Raises:
            SettingsError: there can be no log in the data folder.
        """
        with self._empty_log() as sink:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "service"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        for number in (signal.SIGTERM, signal.SIGHUP):
            if task is not None:
                loop.add_signal_handler(number, task.cancel)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it and wait until it has ended."""
        process = self._running
        if process.returncode is not None:
            return
        loop = asyncio.get_running_loop()
        # Whoever presses Ctrl-C again does not want to wait for the rest of a picture.
        loop.add_signal_handler(signal.SIGINT, self._terminate)
        self._terminate()
        await process.wait()
        loop.remove_signal_handler(signal.SIGINT)

    async def wait_until_up(self, images: Images) -> None:
        """Return when it answers.

        Raises:
            ServerDiedError: it ended instead.
        """
        while not await answers(images):
            if (code := self._running.returncode) is not None:
                words = self.log.read_text(errors="replace")[-_LAST_WORDS:].strip()
                silence = f"it left no word in {self.log}; is the disk full?"
                detail = f"the service did not start:\n{words or silence}"
                raise ServerDiedError(detail, code=code)
            await asyncio.sleep(_ASK_SECONDS)

    async def ended(self) -> int:
        """Wait until it ends by itself; return its exit status."""
        return await self._running.wait()

    def _empty_log(self) -> BinaryIO:
        """Open the log, in a folder that is made when it is missing."""
        try:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            return self.log.open("wb")
        except OSError as error:
            raise SettingsError(f"DATA_DIR: {self.log.parent}: {error.strerror}") from None

    def _terminate(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._running.pid, signal.SIGTERM)

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the server was not started")
        return self._process

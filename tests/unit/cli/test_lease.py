"""How a program is kept, signalled and stopped under a lease."""

import asyncio
import os
import pty
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from typing_extensions import override

from service.cli import lease
from service.cli.client import Address, Images
from service.cli.lease import Terms, _signals_passed_on, run_under_lease

PAUSE = (sys.executable, "-c", "import signal; signal.pause()")
STUBBORN = (
    sys.executable, "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()",
)  # fmt: skip
TERMS = Terms(tenant="llm", gpu="local", ttl_seconds=0.2, wait_seconds=None, stop_when_lost=True)


class Mute(Images):
    """A service that gives a lease and then says nothing any more."""

    def __init__(self, address: Address, session: ClientSession) -> None:
        super().__init__(address=address, session=session)
        self.heard: list[str] = []

    @override
    async def fetch(self, method: str, path: str, **how: Any) -> bytes:
        self.heard.append(method)
        if method == "PUT":
            await asyncio.Event().wait()
        return b'{"id": "one", "token": 1}'


async def under_a_lease(*command: str) -> tuple[int, list[str]]:
    """Return a program's exit status, and what the service was asked."""
    async with ClientSession() as session:
        service = Mute(Address("http://nowhere"), session)
        async with asyncio.timeout(60):
            return await run_under_lease(service, command, TERMS), service.heard


async def test_a_service_that_says_nothing_has_taken_the_lease_when_its_time_is_over() -> None:
    status, heard = await under_a_lease(*PAUSE)
    assert status == 128 + signal.SIGTERM
    assert heard == ["POST", "PUT", "PUT", "DELETE"]


async def test_a_program_that_will_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "STUBBORN_SECONDS", 0.2)
    assert (await under_a_lease(*STUBBORN))[0] == 128 + signal.SIGKILL


async def test_a_file_that_is_no_program_gives_its_lease_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "page"
    file.write_text("words")
    file.chmod(0o700)
    assert await under_a_lease(str(file)) == (126, ["POST", "DELETE"])
    assert "cannot be run" in capsys.readouterr().err


async def test_a_signal_that_comes_before_the_program_is_kept_for_it() -> None:
    with _signals_passed_on() as begun:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(5):  # the loop hears of it in one turn and tells in the next
            await asyncio.sleep(0)
        program = await asyncio.create_subprocess_exec(*PAUSE)
        begun(program)
        assert await program.wait() == -signal.SIGUSR1


async def test_a_signal_that_comes_later_is_passed_on() -> None:
    with _signals_passed_on() as begun:
        program = await asyncio.create_subprocess_exec(*PAUSE)
        begun(program)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await program.wait() == -signal.SIGTERM


_COUNTING = """
import os, signal
def hear(number, _):
    heard.append(number)
    os.write(1, b"heard\\n")
heard = []
signal.signal(signal.SIGINT, hear)
signal.signal(signal.SIGUSR2, hear)
signal.signal(signal.SIGUSR1, lambda *_: os._exit(heard.count(signal.SIGINT)))
os.write(1, b"ready\\n")
while True:
    signal.pause()
"""
_PASSING_ON = """
import asyncio, sys
from service.cli.lease import _signals_passed_on
async def main():
    with _signals_passed_on() as begun:
        program = await asyncio.create_subprocess_exec(sys.executable, "-c", sys.argv[1])
        begun(program)
        sys.exit(await program.wait())
asyncio.run(main())
"""
_AT_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[2:]])
"""


async def test_ctrl_c_is_heard_once_though_the_input_is_no_terminal() -> None:
    ours, theirs = pty.openpty()
    passing_on = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _AT_TERMINAL, str(theirs), _PASSING_ON, _COUNTING,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, pass_fds=[theirs],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert passing_on.stdout is not None
    assert await passing_on.stdout.readline() == b"ready\n"
    passing_on.send_signal(signal.SIGSTOP)  # so that the two come one after the other
    os.write(ours, b"\x03")
    assert await passing_on.stdout.readline() == b"heard\n"
    passing_on.send_signal(signal.SIGCONT)
    passing_on.send_signal(signal.SIGUSR2)
    assert await passing_on.stdout.readline() == b"heard\n"
    passing_on.send_signal(signal.SIGUSR1)
    assert await passing_on.wait() == 1
    os.close(ours)
    os.close(theirs)

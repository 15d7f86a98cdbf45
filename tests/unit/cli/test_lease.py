"""What a program under a lease hears."""

import asyncio
import os
import signal
import sys

from service.cli.lease import _signals_passed_on

PAUSE = (sys.executable, "-c", "import signal; signal.pause()")


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

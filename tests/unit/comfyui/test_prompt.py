import asyncio

import pytest

from engines.comfyui.client import Client
from engines.comfyui.prompt import Prompt, Timing
from engines.comfyui.records import Waiting
from engines.comfyui.ticket import Ticket
from engines.errors import EngineDownError, EngineTimeoutError
from engines.http import Server
from engines.outlast import outlast

TICKET = Ticket(
    prompt_id="p", client_id="c", output="7", passes={}, classes={}, size=None, facts={}
)


@pytest.fixture
def prompt() -> Prompt:
    client = Client(server=Server(base_url="http://127.0.0.1:9"))
    return Prompt(client=client, ticket=TICKET, timing=Timing(stall_seconds=100.0))


@pytest.mark.parametrize("standing", [Waiting.RUNNING, Waiting.PENDING])
async def test_what_should_move_and_does_not_has_stalled(prompt: Prompt, standing: Waiting) -> None:
    prompt._last_sign = asyncio.get_running_loop().time() - 99.0
    prompt._judge(standing, 0)
    prompt._last_sign -= 2.0
    with pytest.raises(EngineTimeoutError, match=standing.value):
        prompt._judge(standing, 0)


async def test_waiting_for_another_prompt_is_no_stall(prompt: Prompt) -> None:
    prompt._last_sign = -1000.0
    prompt._judge(Waiting.BEHIND, 0)
    prompt._judge(Waiting.RUNNING, 0)


async def test_what_is_cancelled_is_outlasted() -> None:
    ended, go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await go.wait()
        ended.set()

    task = asyncio.create_task(outlast(work()))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_fails_fails_and_what_returns_returns() -> None:
    async def work(error: Exception | None) -> int:
        await asyncio.sleep(0)
        if error is not None:
            raise error
        return 7

    assert await outlast(work(None)) == 7
    with pytest.raises(EngineDownError):
        await outlast(work(EngineDownError()))

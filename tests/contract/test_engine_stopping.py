"""What every engine owes the scheduler: it stops, and is free afterwards."""

import asyncio
from dataclasses import replace

import pytest

from tests.contract.engines import Bench, Server
from tests.contract.trial import begin, draw, every_engine, http_engines
from tests.fakes.drawing import drain
from tests.fakes.turn import FreeTurn


@every_engine
async def test_closing_at_a_step_leaves_the_engine_free(bench: Bench) -> None:
    if bench.server is not None:
        bench.server.stage.hold()
    turn = FreeTurn()
    updates = await begin(bench, turn)
    await updates.aclose()
    assert not bench.busy()
    assert not turn.held
    if bench.server is not None:
        assert bench.server.stage.finished == 0
        bench.server.stage.release()
    await draw(bench)


@every_engine
async def test_cancelling_the_reader_leaves_the_engine_free(bench: Bench) -> None:
    if bench.server is not None:
        bench.server.stage.hold()
    turn = FreeTurn()
    updates = await begin(bench, turn)
    reader = asyncio.create_task(drain(updates))
    await asyncio.sleep(0)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert not bench.busy()
    assert not turn.held


@http_engines
@pytest.mark.parametrize("cancels", [1, 3])
async def test_closing_waits_for_the_server_to_be_free(
    bench: Bench, server: Server, cancels: int
) -> None:
    server.stage.hold()
    server.stage.linger()
    turn = FreeTurn()
    reader = asyncio.create_task(drain(bench.engine.generate(bench.spec, turn)))
    await server.stage.drawing()
    for _ in range(cancels):
        reader.cancel()
        await asyncio.sleep(0)
    await server.stage.stopping()
    for _ in range(3):  # whatever else travels between the two has arrived by then
        assert (await bench.engine.probe()).ok
    assert not reader.done(), "it left while the server was still drawing"
    assert turn.held, "it gave the GPU away while the server was still drawing"
    server.stage.let_go()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert not bench.busy()
    assert not turn.held
    assert server.stage.finished == 0


@http_engines
async def test_closing_before_the_work_was_sent_sends_nothing(bench: Bench, server: Server) -> None:
    turn = FreeTurn(shut=True)
    reader = asyncio.create_task(drain(bench.engine.generate(bench.spec, turn)))
    await turn.refused()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert server.stage.begun == 0


@http_engines
async def test_closing_while_the_work_is_being_sent_leaves_nothing_behind(
    bench: Bench, server: Server
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    reader = asyncio.create_task(drain(bench.engine.generate(bench.spec, turn)))
    server.stage.on_accept = lambda: (reader.cancel(), None)[1]  # before the answer is on its way
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert server.stage.begun == 1
    assert server.stage.finished == 0
    assert not bench.busy()
    assert not turn.held


@http_engines
async def test_after_a_cancelled_picture_the_next_is_its_own(bench: Bench, server: Server) -> None:
    server.stage.hold()
    updates = await begin(bench, FreeTurn())
    await updates.aclose()
    server.stage.release()
    other = replace(bench, spec=bench.spec.picture(7))
    picture = await draw(other, FreeTurn(picture_id="job-7"))
    assert picture.seed == bench.spec.seed + 7
    assert server.stage.finished == 1

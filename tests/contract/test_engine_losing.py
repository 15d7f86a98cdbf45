"""What every engine owes the scheduler: a lost server costs no picture and draws none twice."""

import asyncio
from dataclasses import replace

import pytest

from engines.base import Feature
from engines.errors import LostError
from tests.contract.engines import Bench, Server
from tests.contract.trial import begin, draw, draw_to_the_end, http_engines
from tests.fakes.drawing import drain
from tests.fakes.stage import Phase
from tests.fakes.turn import FreeTurn


@http_engines
async def test_the_name_of_the_work_is_kept_before_it_is_sent(bench: Bench, server: Server) -> None:
    turn = FreeTurn()
    seen: list[tuple[bool, str | None]] = []
    server.stage.on_accept = lambda: seen.append((turn.held, turn.ticket))
    await draw(bench, turn)
    [(held, ticket)] = seen
    assert held
    assert ticket


@http_engines
@pytest.mark.parametrize("phase", list(Phase))
async def test_a_lost_connection_never_makes_two_pictures(
    bench: Bench, server: Server, phase: Phase
) -> None:
    turn = FreeTurn()
    server.stage.cut(phase)
    picture, lost = await draw_to_the_end(bench, turn)
    assert picture.seed == bench.spec.seed
    assert not server.stage.cuts(phase), "the connection was never cut"
    assert server.stage.most_at_once == 1, "a second drawing was sent while the first went on"
    assert not bench.busy()
    if Feature.REATTACH in bench.engine.capabilities.features:
        assert server.stage.begun == 1
    else:
        assert server.stage.begun <= 1 + lost
        assert server.stage.finished <= (2 if phase is Phase.FETCHING else 1)


@http_engines
async def test_after_a_restart_of_ours_the_work_is_found_again(
    bench: Bench, server: Server
) -> None:
    server.stage.hold()
    server.stage.linger()
    before = FreeTurn()
    frozen = await begin(bench, before)  # nobody pulls it any more, as if the process were gone
    assert bench.restarted is not None
    engine = bench.restarted()
    after = FreeTurn(ticket=before.ticket)
    drawing = asyncio.create_task(draw(replace(bench, engine=engine), after))
    if Feature.REATTACH not in engine.capabilities.features:
        await server.stage.stopping()
        server.stage.let_go()
    server.stage.release()
    picture = await drawing
    assert picture.seed == bench.spec.seed
    assert server.stage.most_at_once == 1
    assert server.stage.finished == 1
    if Feature.REATTACH in engine.capabilities.features:
        assert server.stage.begun == 1
    await frozen.aclose()
    await engine.aclose()


@http_engines
async def test_a_ticket_that_the_server_does_not_know_is_no_obstacle(
    bench: Bench, server: Server
) -> None:
    before = FreeTurn()
    updates = await begin(bench, before)
    await updates.aclose()
    ended = server.stage.begun
    turn = FreeTurn(picture_id="job-1", ticket=before.ticket)
    assert bench.restarted is not None
    engine = bench.restarted()
    picture = await draw(replace(bench, engine=engine), turn)
    assert picture.seed == bench.spec.seed
    assert server.stage.begun == ended + 1
    await engine.aclose()


@http_engines
@pytest.mark.parametrize("ticket", ["", "somebody-else:42", '{"prompt_id": "x"}', "☃"])
async def test_a_ticket_of_another_engine_is_no_obstacle(
    bench: Bench, server: Server, ticket: str
) -> None:
    await draw(bench, FreeTurn(ticket=ticket))
    assert server.stage.begun == 1


@http_engines
async def test_a_dead_server_is_a_lost_engine_and_no_exception_of_probe(
    bench: Bench, server: Server
) -> None:
    assert (await bench.engine.probe()).ok
    await server.stop()
    with pytest.raises(LostError) as caught:
        await draw(bench)
    assert caught.value.code == "engine_down"
    health = await bench.engine.probe()
    assert not health.ok
    assert health.detail
    with pytest.raises(LostError):
        await bench.engine.models()


@http_engines
async def test_a_server_that_dies_while_drawing_is_a_lost_engine(
    bench: Bench, server: Server
) -> None:
    server.stage.hold()
    turn = FreeTurn()
    reader = asyncio.create_task(drain(bench.engine.generate(bench.spec, turn)))
    await server.stage.drawing()
    await server.stop()
    with pytest.raises(LostError):
        await reader
    assert not turn.held

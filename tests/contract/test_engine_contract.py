"""What every engine owes the scheduler, whatever it draws on."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from engines.base import Feature, Picture
from engines.errors import BadPictureError, EngineError, LostError
from tests.contract.engines import BENCHES, CODES, HTTP, Bench, Server, open_bench
from tests.fakes.drawing import Updates, drain, first_step
from tests.fakes.stage import Flaw, Phase
from tests.fakes.turn import FreeTurn

every_engine = pytest.mark.parametrize("bench", list(BENCHES), indirect=True)
http_engines = pytest.mark.parametrize("bench", list(HTTP), indirect=True)
every_failure = pytest.mark.parametrize(
    ("bench", "code"),
    [(name, code) for name, codes in CODES.items() for code in codes],
    indirect=["bench"],
)


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(request.param, tmp_path) as bench:
        yield bench


@pytest.fixture
def server(bench: Bench) -> Server:
    assert bench.server is not None
    return bench.server


async def draw(bench: Bench, turn: FreeTurn | None = None) -> Picture:
    """Draw the bench's picture on its engine."""
    [picture], _ = await drain(bench.engine.generate(bench.spec, turn or FreeTurn()))
    return picture


async def draw_to_the_end(bench: Bench, turn: FreeTurn) -> tuple[Picture, int]:
    """Draw as the scheduler does: again, with the same turn, whenever the engine was lost."""
    for lost in range(4):
        with suppress(LostError):
            return await draw(bench, turn), lost
        assert not turn.held
    pytest.fail("lost four times in a row")


async def begin(bench: Bench, turn: FreeTurn) -> Updates:
    """Draw until the first step has been reported."""
    updates = bench.engine.generate(bench.spec, turn)
    await first_step(updates)
    return updates


def colours(picture: Picture) -> bytes:
    with Image.open(io.BytesIO(picture.png)) as image:
        return image.convert("RGB").tobytes()


# -- drawing


@every_engine
async def test_progress_never_falls_and_ends_at_one_picture(bench: Bench) -> None:
    pictures, progress = await drain(bench.engine.generate(bench.spec, FreeTurn()))
    drawing = [p for p in progress if p.phase == "drawing"]
    assert drawing, "nothing was reported while it drew"
    assert [p.step for p in drawing] == sorted(p.step for p in drawing)
    assert all(0 <= p.step <= p.steps for p in drawing)
    assert len(pictures) == 1


@every_engine
async def test_the_picture_is_the_one_asked_for(bench: Bench) -> None:
    picture = await draw(bench)
    with Image.open(io.BytesIO(picture.png)) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == bench.spec.output_size == (picture.width, picture.height)
    assert picture.seed == bench.spec.seed
    assert picture.shortfalls == ()
    assert picture.facts.get("engine_version")


@every_engine
async def test_another_seed_gives_another_picture(bench: Bench) -> None:
    other = replace(bench, spec=bench.spec.picture(1))
    first, second = await draw(bench), await draw(other)
    assert second.seed == first.seed + 1
    assert colours(first) != colours(second)


@every_engine
async def test_the_turn_is_held_while_drawing_and_left_with_the_picture(bench: Bench) -> None:
    turn = FreeTurn()
    async with aclosing(bench.engine.generate(bench.spec, turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                assert not turn.held, "the GPU is still held while the picture is stored"
                break
    assert turn.entered >= 1
    assert not turn.held


@every_engine
async def test_nothing_is_drawn_before_the_turn_is_given(bench: Bench) -> None:
    turn = FreeTurn(shut=True)
    drawing = asyncio.create_task(drain(bench.engine.generate(bench.spec, turn)))
    await turn.refused()
    assert not drawing.done()
    assert not bench.busy()
    turn.open()
    pictures, _ = await drawing
    assert len(pictures) == 1


@every_engine
async def test_what_cannot_be_honoured_is_a_shortfall(bench: Bench) -> None:
    if bench.server is not None:
        assert bench.unhonoured, "an HTTP engine that can do everything is not believable"
    for wish, spec in bench.unhonoured.items():
        picture = await draw(replace(bench, spec=spec))
        assert wish in {s.field for s in picture.shortfalls}, wish
        assert all(s.code and s.detail for s in picture.shortfalls)


# -- stopping


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


# -- losing the server


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


# -- failing


@every_failure
async def test_a_failure_has_our_code_and_the_engines_words(bench: Bench, code: str) -> None:
    trouble = await bench.provoke(code)
    engine, turn = trouble.engine or bench.engine, FreeTurn()
    with pytest.raises(EngineError) as caught:
        await drain(engine.generate(trouble.spec, turn))
    assert caught.value.code == code
    assert trouble.words
    assert trouble.words in caught.value.detail
    assert not turn.held
    if trouble.engine is not None:
        await trouble.engine.aclose()


@http_engines
@pytest.mark.parametrize("code", ["out_of_memory", "bad_picture"])
async def test_after_a_failure_the_next_picture_is_drawn(bench: Bench, code: str) -> None:
    trouble = await bench.provoke(code)
    with pytest.raises(EngineError):
        await drain(bench.engine.generate(trouble.spec, FreeTurn()))
    await draw(bench, FreeTurn(picture_id="job-1"))


@http_engines
@pytest.mark.parametrize("flaw", list(Flaw))
async def test_what_is_no_picture_of_the_spec_is_refused(
    bench: Bench, server: Server, flaw: Flaw
) -> None:
    server.stage.spoil(flaw)
    with pytest.raises(BadPictureError):
        await draw(bench)
    assert server.stage.flaw() is None, "the spoiled picture was never sent"


# -- the rest


@every_engine
async def test_models_name_the_one_that_is_drawn_with(bench: Bench) -> None:
    models = await bench.engine.models()
    assert any(m.kind == "checkpoint" and m.answers_to(bench.spec.model) for m in models)
    assert len({(m.kind, m.name) for m in models}) == len(models)


@every_engine
async def test_a_healthy_engine_says_so_and_which_version_it_is(bench: Bench) -> None:
    health = await bench.engine.probe()
    assert health.ok
    assert health.version


@every_engine
async def test_it_draws_again_after_its_memory_was_taken(bench: Bench) -> None:
    await draw(bench)
    await bench.engine.release_memory()
    await draw(bench, FreeTurn(picture_id="job-1"))


@every_engine
async def test_it_may_be_closed_twice(bench: Bench) -> None:
    await draw(bench)
    await bench.engine.aclose()
    await bench.engine.aclose()

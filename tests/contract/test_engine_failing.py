"""What every engine owes the scheduler: failures with our codes, models, health, and an end."""

import pytest

from engines.errors import BadPictureError, EngineError
from tests.contract.engines import Bench, Server
from tests.contract.trial import draw, every_engine, every_failure, http_engines
from tests.fakes.drawing import drain
from tests.fakes.stage import Flaw
from tests.fakes.turn import FreeTurn


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

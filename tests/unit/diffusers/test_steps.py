"""What the step as quantum gives: parking, cancelling, going on."""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from engines.base import Picture, Progress
from engines.diffusers import DiffusersEngine
from engines.diffusers.session import Session
from engines.errors import InvalidSpecError, ModelNotFoundError
from tests.fakes.drawing import SPEC, distance, draw, pixels_of
from tests.fakes.local import engine_in
from tests.fakes.turn import GateTurn


async def test_phases_come_in_order_and_every_piece_of_work_has_its_turn(
    make_engine: Callable[..., DiffusersEngine],
) -> None:
    turn = GateTurn()
    picture, progress = await draw(make_engine(), SPEC, turn)

    phases = [p.phase for p in progress]
    assert phases[:2] == ["loading", "encoding"]
    assert phases[-1] == "decoding"
    assert {p.steps for p in progress if p.phase == "drawing"} == {SPEC.steps}
    assert turn.entered == 1 + 1 + SPEC.steps + 1
    assert not turn.held
    assert (picture.width, picture.height, picture.seed) == (64, 64, SPEC.seed)


async def test_a_closed_turn_parks_at_the_next_step_and_the_picture_is_the_same(
    engine: DiffusersEngine,
) -> None:
    undisturbed, _ = await draw(engine, SPEC)
    turn = GateTurn("parked")
    seen: list[Progress] = []
    async with aclosing(engine.generate(replace(SPEC, steps=SPEC.steps), turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                assert update.png == undisturbed.png
                break
            seen.append(update)
            if update.phase == "drawing" and update.step == 1:
                turn.close()
            if update.phase == "parked":
                stood = turn.entered
                await asyncio.sleep(0)
                assert turn.entered == stood
                turn.open()
    assert "parked" in [p.phase for p in seen]


async def test_closing_the_generator_ends_it_at_the_next_step(engine: DiffusersEngine) -> None:
    turn = GateTurn("cancelled")
    async with aclosing(engine.generate(replace(SPEC, steps=50), turn)) as updates:
        async for update in updates:
            if isinstance(update, Progress) and update.step >= 1:
                break
    entered = turn.entered
    assert not turn.held
    await draw(engine, SPEC)
    assert turn.entered == entered
    assert entered < 50


async def test_a_cancelled_caller_still_waits_until_the_thread_is_free(
    engine: DiffusersEngine,
) -> None:
    turn = GateTurn("impatient")
    stepping = asyncio.Event()

    async def caller() -> None:
        async with aclosing(engine.generate(replace(SPEC, steps=50), turn)) as updates:
            async for update in updates:
                if isinstance(update, Progress) and update.step >= 1:
                    stepping.set()

    task = asyncio.create_task(caller())
    await stepping.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not turn.held


async def test_a_failing_picture_leaves_its_company_alone(
    engine: DiffusersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session.take

    def failing(self: Session, prediction: object) -> None:
        if self.cfg == 3.0 and self.sampler.done == 2:
            raise ValueError("this one is broken")
        real(self, prediction)

    expected, _ = await draw(engine, SPEC)
    monkeypatch.setattr(Session, "take", failing)
    turns = [GateTurn(f"company-{n}", is_open=False) for n in range(2)]
    good = asyncio.create_task(draw(engine, SPEC, turns[0]))
    bad = asyncio.create_task(draw(engine, replace(SPEC, cfg=3.0), turns[1]))
    await asyncio.sleep(0)
    for turn in turns:
        turn.open()

    with pytest.raises(ValueError, match="this one is broken"):
        await bad
    picture, _ = await good
    assert distance(pixels_of(picture.png), pixels_of(expected.png)) <= 1


async def test_released_memory_is_taken_again_and_parked_pictures_go_on(
    engine: DiffusersEngine,
) -> None:
    undisturbed, _ = await draw(engine, SPEC)
    turn = GateTurn("released")
    async with aclosing(engine.generate(SPEC, turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                assert update.png == undisturbed.png
                break
            if update.phase == "drawing" and update.step == 1:
                turn.close()
            if update.phase == "parked":
                await engine.release_memory()
                assert not any(model.loaded for model in await engine.models())
                turn.open()


async def test_an_unknown_model_is_refused_without_a_turn(engine: DiffusersEngine) -> None:
    turn = GateTurn("unknown")
    with pytest.raises(ModelNotFoundError):
        await draw(engine, replace(SPEC, model="nobody"), turn)
    assert turn.entered == 0


@pytest.mark.parametrize(
    ("model", "sampler", "words"),
    [
        ("tiny-sd15", "nobody", "no sampler 'nobody'; there are: euler, euler_a"),
        ("tiny-sd15", "pndm", "no sampler 'pndm'"),
        ("mini", "pndm", "^mini cannot be drawn with pndm; there are: euler"),
    ],
    ids=["unknown", "nobody's", "refused"],
)
async def test_a_sampler_that_cannot_be_used_is_refused_without_a_turn(
    engine: DiffusersEngine, model: str, sampler: str, words: str
) -> None:
    turn = GateTurn("sampler")
    with pytest.raises(InvalidSpecError, match=words) as refused:
        await draw(engine, replace(SPEC, model=model, sampler=sampler), turn)
    assert refused.value.field == "sampler"
    assert turn.entered == 0


async def test_a_card_refuses_a_sampler_that_there_is(models_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(models_dir / "tiny-sd15", tmp_path / "models" / "choosy")
    (folder / "kitty.json").write_text('{"refused_samplers": ["heun"]}')
    engine = engine_in(tmp_path, tmp_path / "models")
    with pytest.raises(InvalidSpecError, match="choosy cannot be drawn with heun") as refused:
        await draw(engine, replace(SPEC, model="choosy", sampler="heun"))
    await engine.aclose()
    assert refused.value.field == "sampler"
    assert refused.value.detail.endswith(
        "there are: euler, euler_a, ddim, dpmpp_2m, dpmpp_2m_karras, dpmpp_sde, unipc, lcm"
    )

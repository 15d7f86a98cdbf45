"""What the step as quantum gives: parking, cancelling, overtaking, sharing calls."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from engines.base import Picture, Progress
from engines.diffusers import DiffusersEngine, stepper
from engines.diffusers import runner as runner_module
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.session import Session
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.spec import Lora
from tests.fakes.drawing import SPEC, distance, draw, draw_all, pixels_of
from tests.fakes.turn import GateTurn


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[Session]]:
    """Records which sessions share each network call; the calls are made all the same."""
    made: list[list[Session]] = []
    real = runner_module.step

    def recording(sessions: Sequence[Session], checkpoint: Checkpoint, **tools: Any) -> None:
        made.append(list(sessions))
        real(sessions, checkpoint, **tools)

    monkeypatch.setattr(runner_module, "step", recording)
    return made


@pytest.fixture
def timesteps(monkeypatch: pytest.MonkeyPatch) -> list[list[float]]:
    """Records the moments at which the sessions of each call stand."""
    made: list[list[float]] = []
    real = stepper.gather

    def recording(sessions: Sequence[Session]) -> Any:
        made.append([session.sampler.timestep for session in sessions])
        return real(sessions)

    monkeypatch.setattr(stepper, "gather", recording)
    return made


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


async def test_mixed_batch_equals_pictures_drawn_alone(
    engine: DiffusersEngine, calls: list[list[Session]], timesteps: list[list[float]]
) -> None:
    specs = [
        SPEC,
        replace(SPEC, seed=8, sampler="dpmpp_2m", steps=6),
        replace(SPEC, seed=9, sampler="euler_a", prompt="a dog", cfg=2.0, steps=5),
    ]
    alone = [(await draw(engine, spec))[0] for spec in specs]
    assert {len(call) for call in calls} == {1}
    calls.clear()

    together = await draw_all(engine, *specs)

    assert max(len(call) for call in calls) == 3
    assert any(len(set(moments)) == 3 for moments in timesteps)
    for one, other in zip(alone, together, strict=True):
        assert distance(pixels_of(one.png), pixels_of(other.png)) <= 1


async def test_reproducible_pictures_share_no_call_and_keep_every_bit(
    engine: DiffusersEngine, calls: list[list[Session]]
) -> None:
    spec = replace(SPEC, reproducible=True, cfg=4.5)
    alone, _ = await draw(engine, spec)
    calls.clear()

    pictures = await draw_all(engine, spec, replace(SPEC, seed=8), replace(SPEC, seed=9))

    assert pictures[0].png == alone.png
    groups = [call for call in calls if len(call) > 1]
    assert groups
    assert all(session.cfg != spec.cfg for call in groups for session in call)


@pytest.mark.parametrize(
    "other",
    [
        replace(SPEC, width=128),
        replace(SPEC, model="tiny-sdxl"),
        replace(SPEC, cfg=1.0),
        replace(SPEC, loras=(Lora("bold"),)),
    ],
    ids=["size", "model", "guidance", "loras"],
)
async def test_pictures_that_differ_in_what_a_call_fixes_share_none(
    engine: DiffusersEngine, calls: list[list[Session]], other: object
) -> None:
    await draw_all(engine, SPEC, other)
    assert {len(call) for call in calls} == {1}


async def test_an_urgent_picture_steps_before_the_long_one_that_it_overtakes(
    engine: DiffusersEngine, calls: list[list[Session]]
) -> None:
    long = replace(SPEC, steps=12, sampler="unipc", width=128)
    undisturbed, _ = await draw(engine, long)
    calls.clear()
    slow, urgent = GateTurn("slow", urgency=(5.0,)), GateTurn("urgent", urgency=(1.0,))
    order: list[str] = []
    slow.on_enter = lambda: order.append("slow")
    urgent.on_enter = lambda: order.append("urgent")

    async with aclosing(engine.generate(long, slow)) as updates:
        sketch: asyncio.Task | None = None
        async for update in updates:
            if isinstance(update, Progress) and update.step == 2 and sketch is None:
                sketch = asyncio.create_task(draw(engine, SPEC, urgent))
                await asyncio.sleep(0)
            if isinstance(update, Picture):
                picture = update
                break
    assert sketch is not None
    await sketch

    first = order.index("urgent")
    last = len(order) - order[::-1].index("urgent")
    assert "slow" not in order[first:last]
    assert picture.png == undisturbed.png


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
    ("model", "sampler"), [("tiny-sd15", "nobody"), ("mini", "pndm")], ids=["unknown", "refused"]
)
async def test_a_sampler_that_cannot_be_used_is_refused_without_a_turn(
    engine: DiffusersEngine, model: str, sampler: str
) -> None:
    turn = GateTurn("sampler")
    with pytest.raises(InvalidSpecError) as refused:
        await draw(engine, replace(SPEC, model=model, sampler=sampler), turn)
    assert refused.value.field == "sampler"
    assert turn.entered == 0

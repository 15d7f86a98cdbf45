"""Pictures share network calls where they can, and the urgent ones come first."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from engines.base import Picture, Progress
from engines.diffusers import DiffusersEngine, stepper
from engines.diffusers import runner as runner_module
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.session import Session
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
        replace(SPEC, prompt="a cat, " * 40),
    ],
    ids=["size", "model", "guidance", "loras", "length of the prompt"],
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

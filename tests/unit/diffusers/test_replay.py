"""Replayed calls draw what plain calls draw, and are recorded only where that pays."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engines.diffusers.replay import KEPT, Replays
from engines.diffusers.session import Session
from engines.diffusers.stepper import gather
from engines.spec import GenerationSpec, Lora, Tiling
from tests.fakes.device import FakeDevice
from tests.fakes.drawing import SPEC, distance
from tests.fakes.rounds import Rounds, open_rounds
from tests.fakes.turn import GateTurn


@pytest.fixture
def device() -> FakeDevice:
    """A device whose kernels take longer to launch than to run."""
    return FakeDevice()


MakeRounds = Callable[..., Rounds]


@pytest.fixture
def make_rounds(models_dir: Path, tmp_path: Path) -> Iterator[MakeRounds]:
    """Opens loops that draw plainly, or on a device that replays."""
    with ExitStack() as stack:

        def make(device: FakeDevice | None = None, kind: type[Replays] = Replays) -> Rounds:
            if device is None:
                return stack.enter_context(open_rounds(models_dir, tmp_path))
            network = kind(recorder=device, clock=device.clock)
            rounds = stack.enter_context(
                open_rounds(models_dir, tmp_path, change=lambda s: replace(s, network=network))
            )
            model = rounds.studio.library.find(SPEC.model)
            device.watch(rounds.studio.loader.get(model))
            return rounds

        yield make


async def draw(rounds: Rounds, *specs: GenerationSpec) -> list[NDArray[np.uint8]]:
    """Draw pictures together."""
    turns = [GateTurn(f"p{number}") for number in range(len(specs))]
    orders = [rounds.order(spec, turn) for spec, turn in zip(specs, turns, strict=True)]
    rounds.draw()
    return [(await rounds.drawn(order)).pixels for order in orders]


async def test_the_second_call_decides_and_the_third_is_replayed(
    make_rounds: MakeRounds, device: FakeDevice
) -> None:
    spec = replace(SPEC, steps=6)
    (plain,) = await draw(make_rounds(), spec)
    (replayed,) = await draw(make_rounds(device), spec)
    assert device.asked == [2, 2]
    assert device.recorded == 1
    assert device.replayed == 4
    assert np.array_equal(plain, replayed)


@pytest.mark.parametrize(
    "others",
    [
        (replace(SPEC, prompt="a dog"), replace(SPEC, negative_prompt="grey")),
        (replace(SPEC, seed=8, steps=7, sampler="dpmpp_2m"), replace(SPEC, cfg=1.0)),
        (replace(SPEC, width=128), replace(SPEC, tiling=Tiling.BOTH)),
        (replace(SPEC, loras=(Lora("bold", 0.8),)), replace(SPEC, loras=(Lora("soft", 0.8),))),
    ],
    ids=["prompts", "rows", "shapes", "dress"],
)
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
async def test_pictures_that_take_turns_and_share_calls_are_as_if_drawn_plainly(
    make_rounds: MakeRounds, device: FakeDevice, others: tuple[GenerationSpec, ...]
) -> None:
    specs = [replace(SPEC, steps=8), *others, replace(SPEC, seed=9)]
    plain, replaying = make_rounds(), make_rounds(device)
    for company in (specs, specs[::-1]):
        expected = await draw(plain, *company)
        found = await draw(replaying, *company)
        for one, other in zip(expected, found, strict=True):
            assert distance(one, other) <= 1
    assert device.replayed > 0


async def test_what_is_read_next_lies_there_before_the_turn_ends(
    make_rounds: MakeRounds, device: FakeDevice
) -> None:
    rounds = make_rounds(device)
    orders = [
        rounds.order(replace(SPEC, steps=9, seed=seed), GateTurn(f"p{seed}")) for seed in (1, 2)
    ]
    while device.replayed < 2:
        rounds.runner.round()
    sessions = [drawing.work.session for drawing in rounds.runner._drawings if drawing.work]
    checkpoint = rounds.studio.loader.get(rounds.studio.library.find(SPEC.model))
    (shape,) = (shape for shape in checkpoint.captures.values() if shape.recording is not None)
    wanted = gather([session for session in sessions if session is not None])
    assert torch.equal(shape.inputs["sample"], torch.cat(wanted.samples))
    assert torch.equal(shape.inputs["timestep"], torch.cat(wanted.moments))
    rounds.draw()
    for order in orders:
        await rounds.drawn(order)


async def test_an_answer_outlives_the_next_replay(
    make_rounds: MakeRounds, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[torch.Tensor] = []
    real = Session.take

    def keeping(self: Session, answer: torch.Tensor) -> None:
        answers.append(answer)
        real(self, answer)

    monkeypatch.setattr(Session, "take", keeping)
    await draw(make_rounds(device), replace(SPEC, cfg=1.0, steps=6))
    assert device.replayed == 4
    assert len({answer.data_ptr() for answer in answers}) == 6


async def test_what_the_device_takes_longer_to_run_is_not_recorded(
    make_rounds: MakeRounds, device: FakeDevice
) -> None:
    device.run_seconds = 3 * device.launch_seconds
    rounds = make_rounds(device)
    await draw(rounds, replace(SPEC, steps=10))
    assert device.recorded == 0
    assert len(device.asked) == 10
    # Another program may have slowed the device down: now and then it is looked at again.
    device.run_seconds = 0.0
    await draw(rounds, replace(SPEC, steps=10))
    assert device.recorded == 1
    assert len(device.asked) == 16


async def test_nothing_is_recorded_while_a_turn_is_held(
    make_rounds: MakeRounds, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds, turn = make_rounds(device), GateTurn()
    held: list[bool] = []
    real = device.record
    monkeypatch.setattr(device, "record", lambda ask: held.append(turn.held) or real(ask))
    order = rounds.order(SPEC, turn)
    rounds.draw()
    await rounds.drawn(order)
    assert held == [False]


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (RuntimeError("operation not permitted when stream is capturing"), 1),
        (torch.OutOfMemoryError("CUDA out of memory"), 3),
    ],
    ids=["unable", "short"],
)
async def test_what_cannot_be_recorded_is_drawn_plainly_and_tried_again_if_memory_was_short(
    make_rounds: MakeRounds,
    device: FakeDevice,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    tries: int,
) -> None:
    device.refuses = error
    spec = replace(SPEC, steps=8)
    (plain,) = await draw(make_rounds(), spec)
    with caplog.at_level(logging.WARNING):
        (found,) = await draw(make_rounds(device), spec)
    assert "cannot be replayed" in caplog.text
    assert device.refused == tries
    assert len(device.asked) == 8
    assert np.array_equal(plain, found)


async def test_a_checkpoint_that_was_dressed_anew_is_not_recorded_as_it_was(
    make_rounds: MakeRounds, device: FakeDevice
) -> None:
    class Redressing(Replays):
        def prepare(self) -> None:
            checkpoint.seams.set(Tiling.BOTH)
            super().prepare()

    rounds = make_rounds(device, Redressing)
    checkpoint = rounds.studio.loader.get(rounds.studio.library.find(SPEC.model))
    await draw(rounds, SPEC)
    assert device.recorded == 0


async def test_a_checkpoint_forgets_the_oldest_shape(
    make_rounds: MakeRounds, device: FakeDevice
) -> None:
    rounds = make_rounds(device)
    checkpoint = rounds.studio.loader.get(rounds.studio.library.find(SPEC.model))
    checkpoint.captures |= dict.fromkeys(range(KEPT))
    await draw(rounds, SPEC)
    assert len(checkpoint.captures) == KEPT
    assert 0 not in checkpoint.captures

"""A batch is as large as memory allows: measured, predicted, corrected when it was too large."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines.diffusers import runner as runner_module
from engines.diffusers.batches import LOOK_SECONDS, Batches, Need
from engines.diffusers.devices import DEVICES
from engines.diffusers.meter import meter_of
from engines.diffusers.session import Group, Session
from engines.spec import Tiling
from tests.fakes.drawing import SPEC
from tests.fakes.rounds import Rounds, open_rounds
from tests.fakes.turn import GateTurn

GROUP = Group("model", "fp16", (1, 4, 64, 64), 2, 77, (), Tiling.NONE, ())


@dataclass(slots=True)
class FakeMeter:
    """A device with `room` bytes, of which `others` hold some; a call takes `once` and `each`.

    Attributes:
        looks: How often it was asked what is free.
        watched: How often a call was watched.
    """

    room: int = 1000
    others: int = 0
    once: int = 0
    each: int = 100
    looks: int = 0
    watched: int = 0
    replayed: bool = False
    _peak: int = 0

    def begin(self) -> int:
        self.watched += 1
        self._peak = 7
        return 7

    def call(self, pictures: int) -> None:
        took = 1 if self.replayed else self.once + self.each * pictures
        if took > self.room - self.others:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self._peak = 7 + took

    def peak(self) -> int:
        return self._peak

    def free(self) -> int:
        self.looks += 1
        return self.room - self.others


@dataclass(slots=True)
class Hands:
    """A clock that is moved by hand."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def watched(batches: Batches, meter: FakeMeter, pictures: int, group: Group = GROUP) -> None:
    with batches.watched(group, pictures):
        meter.call(pictures)


def test_without_a_meter_the_setting_stands() -> None:
    assert Batches(most=5).limit(GROUP) == 5


def test_the_first_call_is_one_picture_and_the_next_as_many_as_fit() -> None:
    meter = FakeMeter()
    batches = Batches(most=16, meter=meter)
    assert batches.limit(GROUP) == 1
    watched(batches, meter, 1)
    assert batches.limit(GROUP) == 10
    assert batches.limit(replace(GROUP, shape=(1, 4, 128, 128))) == 1
    assert batches.limit(replace(GROUP, loras=())) == 10


def test_the_setting_is_never_exceeded_and_one_picture_is_always_tried() -> None:
    meter, clock = FakeMeter(room=10_000), Hands()
    batches = Batches(most=4, meter=meter, clock=clock)
    watched(batches, meter, 1)
    assert batches.limit(GROUP) == 4
    meter.others = meter.room
    clock.seconds += LOOK_SECONDS
    assert batches.limit(GROUP) == 1


def test_a_larger_call_tells_what_was_only_taken_once() -> None:
    meter = FakeMeter(room=1000, once=100, each=50)
    batches = Batches(most=32, meter=meter)
    watched(batches, meter, 1)
    assert batches.limit(GROUP) == 6
    watched(batches, meter, 6)
    assert batches.limit(GROUP) == 15
    watched(batches, meter, 15)
    assert batches.limit(GROUP) == 17
    assert meter.watched == 3


def test_calls_that_are_no_larger_are_not_measured_again() -> None:
    meter = FakeMeter()
    batches = Batches(most=16, meter=meter)
    for pictures in (4, 4, 2, 1, 4):
        watched(batches, meter, pictures)
    assert meter.watched == 1


def test_a_replayed_call_tells_nothing() -> None:
    meter = FakeMeter(room=1000, each=100)
    batches = Batches(most=64, meter=meter)
    watched(batches, meter, 2)
    meter.replayed = True
    watched(batches, meter, 4)
    assert batches.limit(GROUP) == 10


def test_what_others_take_is_seen_after_a_moment_and_not_asked_at_every_step() -> None:
    meter, clock = FakeMeter(), Hands()
    batches = Batches(most=16, meter=meter, clock=clock)
    watched(batches, meter, 1)
    assert [batches.limit(GROUP) for _ in range(5)] == [10] * 5
    assert meter.looks == 1
    meter.others = 700
    clock.seconds += LOOK_SECONDS
    assert batches.limit(GROUP) == 3


def test_a_call_that_ran_out_halves_the_limit_whatever_is_predicted() -> None:
    meter = FakeMeter()
    batches = Batches(most=16, meter=meter)
    watched(batches, meter, 1)
    batches.shrink(GROUP, 9)
    assert batches.limit(GROUP) == 4
    batches.shrink(GROUP, 1)
    assert batches.limit(GROUP) == 1


@given(
    once=st.integers(0, 10**10),
    each=st.integers(1, 10**10),
    measured=st.integers(1, 64),
    free=st.integers(0, 10**12),
)
def test_as_many_as_fit_are_never_too_many(once: int, each: int, measured: int, free: int) -> None:
    fitting = Need(measured, once + each * measured).fitting(free)
    if fitting >= measured:
        # Beyond what was measured, each picture is counted with its part of what is taken once.
        assert once + each * fitting <= free
    assert each * fitting <= free


def test_only_devices_with_memory_of_their_own_count_are_metered() -> None:
    assert meter_of(torch.device("cpu"), DEVICES["cpu"]) is None
    assert meter_of(torch.device("cuda"), DEVICES["cuda"]) is not None
    assert meter_of(torch.device("mps"), DEVICES["mps"]) is not None
    assert DEVICES["mps"].spare_gib > DEVICES["cuda"].spare_gib > 0


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of pictures in each call."""
    made: list[int] = []
    real = runner_module.step

    def counting(sessions: list[Session], *args: object, **tools: object) -> None:
        made.append(len(sessions))
        real(sessions, *args, **tools)

    monkeypatch.setattr(runner_module, "step", counting)
    return made


@pytest.fixture
def make_rounds(models_dir: Path, tmp_path: Path) -> Iterator[object]:
    with ExitStack() as stack:

        def make(meter: FakeMeter | None, most: int) -> Rounds:
            batches = Batches(most=most, meter=meter)
            change = lambda studio: replace(studio, batches=batches)  # noqa: E731
            return stack.enter_context(open_rounds(models_dir, tmp_path, change=change))

        yield make


async def test_pictures_are_drawn_in_batches_that_fit(
    make_rounds: object, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = FakeMeter(room=350)
    rounds = make_rounds(meter, 8)
    counting = runner_module.step

    def taking(sessions: list[Session], *args: object, **tools: object) -> None:
        meter.call(len(sessions))
        counting(sessions, *args, **tools)

    monkeypatch.setattr(runner_module, "step", taking)
    orders = [rounds.order(replace(SPEC, seed=n), GateTurn(f"p{n}")) for n in range(4)]
    rounds.draw()
    for order in orders:
        await rounds.drawn(order)
    assert sizes[0] == 1
    assert max(sizes) == 3


async def test_a_picture_that_was_stepped_before_its_company_failed_is_not_stepped_again(
    make_rounds: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Session.take

    def failing(self: Session, answer: torch.Tensor) -> None:
        if self.cfg == 3.0 and self.sampler.done == SPEC.steps - 1:
            raise ValueError("this one is broken")
        real(self, answer)

    monkeypatch.setattr(Session, "take", failing)
    rounds = make_rounds(None, 8)
    turns = [GateTurn("good"), GateTurn("bad")]
    good = rounds.order(SPEC, turns[0])
    bad = rounds.order(replace(SPEC, cfg=3.0), turns[1])
    rounds.draw()
    assert (await rounds.drawn(good)).pixels.shape == (64, 64, 3)
    with pytest.raises(ValueError, match="this one is broken"):
        await rounds.drawn(bad)

"""Asks the network by replaying a recorded call, where that was measured to pay."""

import logging
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch

from engines.diffusers.batches import is_out_of_memory
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.graphs import Recorder, Recording
from engines.diffusers.stepper import Call, ask_network

LAUNCHING_SHARE = 0.5
"""A call is recorded when launching its kernels takes more than this part of its time.

Where the device is busy for longer than that, it is what is waited for, and replaying saves
nothing; the margin is there because the interpreter that launches is shared with the service.
"""

KEPT = 64
"""Shapes that a checkpoint remembers."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Shape:
    """A call of one shape: its arguments lie where a recording reads them.

    Attributes:
        laid: The call that `inputs` hold now.
        calls: How often it was asked kernel by kernel.
    """

    inputs: dict[str, Any]
    laid: Call
    calls: int = 0
    recording: Recording | None = None

    def lay(self, call: Call) -> None:
        """Write a call's arguments over those that lie here, where they differ."""
        if call.reads_as(self.laid):
            return
        torch.cat(call.samples, out=self.inputs["sample"])
        torch.cat(call.moments, out=self.inputs["timestep"])
        if call.told != self.laid.told:
            _write(self.inputs, call.telling())
        self.laid = call


@dataclass(frozen=True, slots=True)
class _Wish:
    """A call that is to be recorded, and how its checkpoint was dressed when it was asked."""

    checkpoint: Checkpoint
    dress: Hashable
    shape: Shape


class Replays:
    """Replays the calls whose kernels take longer to launch than to run.

    A shape's first call is asked kernel by kernel and loads what it needs. The second is timed,
    and from then on the fourth, the eighth, … as long as recording does not seem to pay. What
    pays is recorded after the step, when the GPU is nobody's: that costs the pictures about as
    much as a few steps, but it runs nothing on the device, so a chat does not wait for it.
    Recordings belong to their checkpoint and go with it.
    """

    def __init__(
        self, *, recorder: Recorder, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._recorder = recorder
        self._clock = clock
        self._wishes: list[_Wish] = []
        self._able = True

    def __call__(self, checkpoint: Checkpoint, call: Call) -> torch.Tensor:
        """Return the prediction for every row; the next call may write over it."""
        key = _key(checkpoint, call)
        shape = checkpoint.captures.get(key)
        if shape is None:
            shape = Shape(call.together(), call)
            while len(checkpoint.captures) >= KEPT:
                del checkpoint.captures[next(iter(checkpoint.captures))]
            checkpoint.captures[key] = shape
        else:
            shape.lay(call)
        if shape.recording is None:
            return self._ask(checkpoint, shape)
        shape.recording.replay()
        return shape.recording.answer

    def expect(self, checkpoint: Checkpoint, call: Call) -> None:
        """Lay a call where its recording will read it: the device comes to that after its step."""
        shape = checkpoint.captures.get(_key(checkpoint, call))
        if shape is not None and shape.recording is not None:
            shape.lay(call)

    def prepare(self) -> None:
        """Record what was found to pay."""
        wishes, self._wishes = self._wishes, []
        for wish in wishes:
            if wish.dress == _dress(wish.checkpoint):
                self._record(wish.checkpoint, wish.shape)

    def _ask(self, checkpoint: Checkpoint, shape: Shape) -> torch.Tensor:
        shape.calls += 1
        # Powers of two, from the second on.
        if not self._able or shape.calls == 1 or shape.calls & (shape.calls - 1):
            return ask_network(checkpoint, shape.inputs)
        self._recorder.wait()
        began = self._clock()
        answer = ask_network(checkpoint, shape.inputs)
        launched = self._clock()
        self._recorder.wait()
        if launched - began > LAUNCHING_SHARE * (self._clock() - began):
            self._wishes.append(_Wish(checkpoint, _dress(checkpoint), shape))
        return answer

    def _record(self, checkpoint: Checkpoint, shape: Shape) -> None:
        began = self._clock()
        try:
            shape.recording = self._recorder.record(lambda: ask_network(checkpoint, shape.inputs))
        except RuntimeError as error:
            # It is drawn as before, more slowly. Short memory may be there again for a later call;
            # after anything else the device may not have come out of recording cleanly.
            self._able = is_out_of_memory(error)
            _LOG.warning("a call of %s cannot be replayed: %s", checkpoint.shelved.info.name, error)
            return
        rows = shape.inputs["sample"].shape[0]
        _LOG.info(
            "recorded %d rows of %s in %.2f s",
            rows,
            checkpoint.shelved.info.name,
            self._clock() - began,
        )


def _dress(checkpoint: Checkpoint) -> Hashable:
    return checkpoint.worn, checkpoint.seams.x, checkpoint.seams.y


def _key(checkpoint: Checkpoint, call: Call) -> Hashable:
    embeds = call.told[0].embeds
    return len(call.samples), call.samples[0].shape, embeds.shape, _dress(checkpoint)


def _write(held: dict[str, Any], inputs: dict[str, Any]) -> None:
    for name, value in inputs.items():
        if isinstance(value, dict):
            _write(held[name], value)
        else:
            held[name].copy_(value)

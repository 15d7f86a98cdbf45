"""How many pictures fit into one network call: measured, predicted, and learned the hard way."""

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from engines.diffusers.meter import Meter
from engines.diffusers.session import Group

LOOK_SECONDS = 1.0
"""How old the knowledge of free memory may be; asking the driver takes time."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the largest call of a kind took that was measured: so many bytes for its pictures."""

    pictures: int
    bytes: int

    def fitting(self, free: int) -> int:
        """Return how many pictures fit into `free` bytes.

        A call takes something at least for every picture and perhaps something once, so this
        is never too many, and comes closer with every larger call.
        """
        return free * self.pictures // self.bytes


class Batches:
    """The batch limit per kind of call.

    Without a meter it is the setting. With one, the first call of a kind is one picture alone,
    which is measured; from then on as many as fit into what is free. A call that ran out of memory
    all the same halves it.
    """

    def __init__(
        self,
        *,
        most: int,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._meter = meter if most > 1 else None
        self._clock = clock
        self._needs: dict[Hashable, Need] = {}
        self._ceilings: dict[Hashable, int] = {}
        self._watched: dict[Hashable, int] = {}
        self._free = 0
        self._looked = float("-inf")

    def limit(self, group: Group) -> int:
        """Pictures of a group that may share a call."""
        likes = _likes(group)
        most = self._ceilings.get(likes, self._most)
        if self._meter is None:
            return most
        need = self._needs.get(likes)
        if need is None:
            return 1
        return max(1, min(most, need.fitting(self._freely(self._meter))))

    def need(self, group: Group) -> Need | None:
        """Return what was measured of a group's calls."""
        return self._needs.get(_likes(group))

    def free(self) -> int | None:
        """Return the bytes that calls may still take; None where nobody counts."""
        return None if self._meter is None else self._freely(self._meter)

    @contextmanager
    def watched(self, group: Group, pictures: int) -> Iterator[None]:
        """Measure the call in the block if it is larger than all of its kind before it."""
        likes, meter = _likes(group), self._meter
        if meter is None or pictures <= self._watched.get(likes, 0):
            yield
            return
        before = meter.begin()
        yield
        self._watched[likes] = pictures
        self._learn(likes, Need(pictures, meter.peak() - before))

    def shrink(self, group: Group, failed: int) -> None:
        """Allow at most half as many as there were in the call that failed."""
        self._ceilings[_likes(group)] = max(1, failed // 2)

    def _learn(self, likes: Hashable, need: Need) -> None:
        """Keep a need; a replayed call takes next to nothing and tells nothing."""
        known = self._needs.get(likes)
        if need.bytes > 0 and (known is None or need.bytes >= known.bytes):
            self._needs[likes] = need

    def _freely(self, meter: Meter) -> int:
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked, self._free = now, meter.free()
        return self._free


def _likes(group: Group) -> Hashable:
    """What decides how much memory a row takes."""
    return group.model, group.rung, group.shape, group.rows, group.tokens, group.guides


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a device ran out of memory; MPS says so in words alone."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )

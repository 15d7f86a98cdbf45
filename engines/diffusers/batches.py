"""How many pictures fit into one network call, learned from what the device can hold."""

from collections.abc import Hashable

import torch

from engines.diffusers.session import Group


class Batches:
    """The batch limit per kind of call; a call that ran out of memory halves it."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._limits: dict[Hashable, int] = {}

    def limit(self, group: Group) -> int:
        """Pictures of a group that may share a call."""
        return self._limits.get(_likes(group), self._most)

    def shrink(self, group: Group, failed: int) -> None:
        """Allow at most half as many as there were in the call that failed."""
        self._limits[_likes(group)] = max(1, failed // 2)


def _likes(group: Group) -> Hashable:
    """What decides how much memory a row takes."""
    return group.model, group.rung, group.shape, group.rows, group.tokens, group.guides


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a device ran out of memory; MPS says so in words alone."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )

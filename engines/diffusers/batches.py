"""How many pictures fit into one network call, learned from what the device can hold."""

import torch


class Batches:
    """The batch limit; a call that ran out of memory halves it."""

    def __init__(self, *, most: int) -> None:
        self._most = most

    @property
    def limit(self) -> int:
        """Pictures that may share a call."""
        return self._most

    def halve(self) -> bool:
        """Allow half as many; False when there is nothing left to halve."""
        if self._most == 1:
            return False
        self._most //= 2
        return True


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether a device ran out of memory; MPS says so in words alone."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "out of memory" in str(error).lower()
    )

"""The samplers that an engine draws with, by the names that requests call them."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Samplers:
    """What an engine says of its samplers.

    Attributes:
        names: Those that are worth listing, every client's own first.
        reads: Says whether a name means one of them, in the very way in which the engine reads
            it while it draws; that may be more than it lists, such as `sampler/scheduler`.
    """

    names: tuple[str, ...]
    reads: Callable[[str], bool]

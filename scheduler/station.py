"""One engine's place in the scheduler: who waits for it, who draws on it, whether it works."""

from dataclasses import dataclass, field

from engines.base import Engine
from engines.breaker import Breaker
from scheduler.backlog import Backlog
from scheduler.gpu import Gpu
from scheduler.seats import Seats


@dataclass(slots=True, kw_only=True)
class Station:
    """An engine with its GPU, backlog, seats and breaker.

    Attributes:
        loaded: The model that was drawn with last, None before the first.
        probing: Whether a probe is under way that will close or reopen the breaker.
    """

    engine: Engine
    gpu: Gpu
    seats: Seats
    backlog: Backlog = field(default_factory=Backlog)
    breaker: Breaker = field(default_factory=Breaker)
    loaded: str | None = None
    probing: bool = False

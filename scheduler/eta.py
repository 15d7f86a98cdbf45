"""When a job will be done, learned from those that were; nothing is said while nothing is known."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from engines.spec import GenerationSpec

KEPT = 50
NEEDED = 3
KINDS_KEPT = 4096
"""Kinds of pictures that are remembered; whoever asks for ever new sizes fills no memory."""


@dataclass(frozen=True, slots=True)
class Eta:
    """Seconds from now until the job is done, in half and in nine of ten cases."""

    p50_seconds: float
    p90_seconds: float


def quantile(values: Iterable[float], share: float) -> float:
    """Return the nearest-rank quantile of at least one value."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(slots=True)
class _Seen:
    """The last observations of one kind of picture, in seconds."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))


_Key = tuple[str, str, int, int, int, bool]


class Forecast:
    """Remembers how long pictures took: per engine, model, size, steps, and cold or warm.

    Cold means that the model was not the one loaded before.
    """

    def __init__(self) -> None:
        self._seen: dict[_Key, _Seen] = {}
        self._rates: dict[str, _Seen] = {}

    def learn(self, engine: str, spec: GenerationSpec, *, cold: bool, seconds: float) -> None:
        """Take in how long one picture took from its turn to its end."""
        key = _key(engine, spec, cold=cold)
        seen = self._seen[key] = self._seen.pop(key, _Seen())
        seen.seconds.append(seconds)
        if len(self._seen) > KINDS_KEPT:
            del self._seen[next(iter(self._seen))]
        if not cold:
            self._rates.setdefault(engine, _Seen()).seconds.append(seconds / max(spec.cost, 1e-6))

    def picture(self, engine: str, spec: GenerationSpec, *, cold: bool) -> Eta | None:
        """Return how long one such picture takes; None if fewer than `NEEDED` were seen."""
        for temperature in (cold, not cold):
            seen = self._seen.get(_key(engine, spec, cold=temperature))
            if seen is not None and len(seen.seconds) >= NEEDED:
                return Eta(quantile(seen.seconds, 0.5), quantile(seen.seconds, 0.9))
        return None

    def job(
        self, engine: str, spec: GenerationSpec, *, count: int, cold: bool, ahead: float
    ) -> Eta | None:
        """Return when a job will be done behind `ahead` megapixel-steps of other work."""
        own = self.picture(engine, spec, cold=cold)
        if own is None:
            return None
        rates = self._rates.get(engine)
        if ahead and (rates is None or len(rates.seconds) < NEEDED):
            return None
        middle = ahead * quantile(rates.seconds, 0.5) if rates and ahead else 0.0
        late = ahead * quantile(rates.seconds, 0.9) if rates and ahead else 0.0
        return Eta(middle + count * own.p50_seconds, late + count * own.p90_seconds)


def _key(engine: str, spec: GenerationSpec, *, cold: bool) -> _Key:
    width, height = spec.output_size
    return (engine, spec.model, width, height, spec.steps, cold)

"""How a GPU was used lately, and how long its pictures have had to wait; pure, no clock."""

from collections import deque
from dataclasses import dataclass

from scheduler.eta import NEEDED, Eta, quantile

HOUR_SECONDS = 3600.0
_MINUTE_SECONDS = 60.0
_KEPT = 50


@dataclass(slots=True)
class _Minute:
    """Seconds of one minute that each class had the GPU."""

    start: float
    llm: float = 0.0
    images: float = 0.0


@dataclass(frozen=True, slots=True)
class HourShares:
    """What part of the last hour each class had the GPU, 0 to 1; the rest it was idle."""

    llm: float
    images: float


class Usage:
    """Books who had the GPU, minute by minute, for an hour."""

    def __init__(self) -> None:
        self._minutes: deque[_Minute] = deque()
        self._at: float | None = None
        self._images_total = 0.0

    def book(self, now: float, *, llm: bool, images_total: float) -> None:
        """Take in whether a chat had it since the last call, and for how long images ever had."""
        start, self._at = self._at, now
        images_seconds, self._images_total = images_total - self._images_total, images_total
        if start is None or now <= start:
            return
        self._forget(now)
        length = now - start
        at = max(start, now - HOUR_SECONDS)
        while at < now:
            minute = self._minute(at)
            until = min(now, minute.start + _MINUTE_SECONDS)
            part = until - at
            minute.llm += part if llm else 0.0
            minute.images += images_seconds * part / length
            at = until

    def shares(self, now: float) -> HourShares:
        """Return the shares of the hour up to the last booking."""
        self._forget(now)
        llm = sum(minute.llm for minute in self._minutes) / HOUR_SECONDS
        images = sum(minute.images for minute in self._minutes) / HOUR_SECONDS
        return HourShares(llm=min(1.0, llm), images=min(1.0, images))

    def _minute(self, at: float) -> _Minute:
        start = at - at % _MINUTE_SECONDS
        if not self._minutes or self._minutes[-1].start < start:
            self._minutes.append(_Minute(start))
        return self._minutes[-1]

    def _forget(self, now: float) -> None:
        while self._minutes and self._minutes[0].start + _MINUTE_SECONDS <= now - HOUR_SECONDS:
            self._minutes.popleft()


class Closures:
    """Remembers how long pictures were held back, to say how much longer they will be."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._lengths: deque[float] = deque(maxlen=_KEPT)

    def note(self, now: float, shut: bool) -> None:
        """Take in whether pictures are held back now."""
        if shut and self._since is None:
            self._since = now
        elif not shut and self._since is not None:
            self._lengths.append(now - self._since)
            self._since = None

    def remaining(self, now: float) -> Eta | None:
        """Return in how many seconds pictures go on, judged by the times that it took as long.

        None while too few such times have been seen; zero while nothing is held back.
        """
        if self._since is None:
            return Eta(0.0, 0.0)
        so_far = now - self._since
        rest = [length - so_far for length in self._lengths if length > so_far]
        if len(rest) < NEEDED:
            return None
        return Eta(quantile(rest, 0.5), quantile(rest, 0.9))

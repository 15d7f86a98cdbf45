"""Shares of a GPU by lane: stride scheduling, where work counts and not the number of jobs."""

from collections.abc import Collection

from scheduler.job import LANE_WEIGHTS, Lane


class Shares:
    """Remembers how much each lane has had; pure arithmetic, no clock.

    Every lane has a *pass*: the work it has had divided by its weight. The lane with the smallest
    pass goes next (Waldspurger and Weihl, "Stride Scheduling", 1995). A lane that was idle starts
    again where the least served busy lane is, so that it can save up nothing.
    """

    def __init__(self) -> None:
        self._passes = dict.fromkeys(Lane, 0.0)

    def pass_of(self, lane: Lane) -> float:
        """Return the lane's pass: work per weight."""
        return self._passes[lane]

    def charge(self, lane: Lane, work: float) -> None:
        """Record that a lane has had some work (in any unit, as long as it is always the same)."""
        self._passes[lane] += work / LANE_WEIGHTS[lane]

    def join(self, lane: Lane, busy: Collection[Lane]) -> None:
        """Record that a lane that had nothing to do has now; `busy` are the other busy ones."""
        others = [self._passes[other] for other in busy if other is not lane]
        if others:
            self._passes[lane] = max(self._passes[lane], min(others))

    def next(self, busy: Collection[Lane]) -> Lane:
        """Return the lane that goes next; between equals the heavier one."""
        return min(busy, key=lambda lane: (self._passes[lane], -LANE_WEIGHTS[lane]))

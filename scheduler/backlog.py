"""The waiting jobs of one engine, and which of them goes next; pure, no clock, no tasks.

How the next job is chosen:

1. The lane whose share is furthest behind (`scheduler.shares`), counted in estimated work.
2. Every `AGEING`-th choice of a lane is its oldest job, whatever its priority: so a job that has
   `n` older ones in its lane goes after at most `AGEING * (n + 1)` choices of that lane.
3. Else the highest priority in the lane, and among its clients the one whose turn it is.
4. That client's oldest job; but one of its next `AFFINITY` jobs goes first if it needs the loaded
   model and the oldest does not. A job is passed over at most `AFFINITY` times.
"""

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from scheduler.job import Job, JobId, Lane
from scheduler.shares import Shares

AGEING = 8
AFFINITY = 4
ALL_LANES = tuple(Lane)
_SLACK = 64


@dataclass(slots=True)
class _Waiting:
    """A job in the backlog; `gone` once it was taken, since queues drop entries lazily."""

    job: Job
    arrival: int
    gone: bool = False
    passed_over: int = 0


@dataclass(slots=True)
class _Band:
    """The jobs of one lane and priority: clients in the order of their turns."""

    clients: dict[str, deque[_Waiting]] = field(default_factory=dict)
    size: int = 0


@dataclass(slots=True)
class _LaneQueue:
    """The jobs of one lane, by priority and by age."""

    bands: dict[int, _Band] = field(default_factory=dict)
    ages: deque[_Waiting] = field(default_factory=deque)
    size: int = 0
    choices: int = 0


class Backlog:
    """Every operation takes the same short time however many jobs wait."""

    def __init__(self) -> None:
        self._lanes = {lane: _LaneQueue() for lane in Lane}
        self._entries: dict[JobId, _Waiting] = {}
        self._shares = Shares()
        self._arrivals = 0
        self._cost = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._entries

    def __iter__(self) -> Iterator[Job]:
        return (entry.job for entry in self._entries.values())

    def ids(self) -> tuple[JobId, ...]:
        """Return which jobs wait; of a hundred thousand in about a millisecond."""
        return tuple(self._entries)

    def push(self, job: Job, *, front: bool = False) -> None:
        """Add a job, at the `front` of its client's if it had its turn already and lost it."""
        self.remove(job.id)
        lane = self._lanes[job.lane]
        if not lane.size:
            self._shares.join(job.lane, self._busy())
        band = lane.bands.setdefault(job.priority, _Band())
        queue = band.clients.setdefault(job.client, deque())
        entry = _Waiting(job, -self._arrivals if front else self._arrivals)
        self._arrivals += 1
        for line in (queue, lane.ages):
            (line.appendleft if front else line.append)(entry)
        band.size += 1
        lane.size += 1
        self._entries[job.id] = entry
        self._cost += job.cost

    def remove(self, job_id: JobId) -> Job | None:
        """Take a job out, wherever it stands; None if it is not there."""
        entry = self._entries.pop(job_id, None)
        if entry is None:
            return None
        entry.gone = True
        self._cost -= entry.job.cost
        lane = self._lanes[entry.job.lane]
        lane.size -= 1
        band = lane.bands[entry.job.priority]
        band.size -= 1
        if not band.size:
            del lane.bands[entry.job.priority]
        elif not _clean(band.clients[entry.job.client]):
            del band.clients[entry.job.client]
        if not lane.size:
            lane.ages.clear()
        elif len(lane.ages) > 2 * lane.size + _SLACK:
            _tidy(lane)
        return entry.job

    def next(self, *, loaded: str | None = None, lanes: Collection[Lane] = ALL_LANES) -> Job | None:
        """Take out the job that goes next; `loaded` is the model in memory now."""
        busy = [lane for lane in self._busy() if lane in lanes]
        if not busy:
            return None
        choice = self._shares.next(busy)
        entry = self._choose(self._lanes[choice], loaded)
        self.remove(entry.job.id)
        self._shares.charge(choice, entry.job.cost)
        return entry.job

    @property
    def mean_cost(self) -> float:
        """The mean work of the waiting jobs in megapixel-steps; 0 when none waits."""
        return self._cost / len(self._entries) if self._entries else 0.0

    def position(self, job_id: JobId) -> int | None:
        """Return about how many jobs of its lane go before it; None if it is not waiting."""
        entry = self._entries.get(job_id)
        if entry is None:
            return None
        lane = self._lanes[entry.job.lane]
        ahead = sum(b.size for priority, b in lane.bands.items() if priority > entry.job.priority)
        band = lane.bands[entry.job.priority]
        _clean(lane.ages)
        return ahead + min(entry.arrival - lane.ages[0].arrival, band.size - 1)

    def _busy(self) -> list[Lane]:
        return [lane for lane, waiting in self._lanes.items() if waiting.size]

    def _choose(self, lane: _LaneQueue, loaded: str | None) -> _Waiting:
        """Rules 2 to 4; the lane has at least one job."""
        lane.choices += 1
        if lane.choices % AGEING == 0:
            _clean(lane.ages)
            return lane.ages[0]
        band = lane.bands[max(lane.bands)]
        while True:
            client, queue = next(iter(band.clients.items()))
            del band.clients[client]
            if _clean(queue):
                band.clients[client] = queue
                return _prefer(queue, loaded)


def _clean(queue: deque[_Waiting]) -> bool:
    """Drop what is gone from the head of a queue; say whether anything is left."""
    while queue and queue[0].gone:
        queue.popleft()
    return bool(queue)


def _tidy(lane: _LaneQueue) -> None:
    """Drop all that is gone, wherever it stands: that which is cancelled is seldom at the head."""
    lane.ages = deque(entry for entry in lane.ages if not entry.gone)
    for band in lane.bands.values():
        for client, queue in band.clients.items():
            band.clients[client] = deque(entry for entry in queue if not entry.gone)


def _prefer(queue: deque[_Waiting], loaded: str | None) -> _Waiting:
    """Rule 4: the oldest of a client's jobs, or a near one that spares a change of models."""
    first = queue[0]
    if loaded is None or first.job.spec.model == loaded or first.passed_over >= AFFINITY:
        return first
    near = [queue[place] for place in range(1, min(len(queue), AFFINITY + 1))]
    for entry in near:
        if not entry.gone and entry.job.spec.model == loaded:
            first.passed_over += 1
            return entry
    return first

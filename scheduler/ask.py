"""A request that is ready to become a job: everything settled but its number and its place."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from engines.base import EngineName, Shortfall
from engines.spec import GenerationSpec
from scheduler.job import Job, JobId, Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a client wants; see `scheduler.job.Job` for the fields."""

    spec: GenerationSpec
    engine: EngineName
    count: int = 1
    lane: Lane | None = None
    priority: int = 0
    client: str = ""
    tags: tuple[str, ...] = ()
    shortfalls: tuple[Shortfall, ...] = ()
    idempotency_key: str = ""
    digest: str = ""
    trace: str = ""
    pinned: bool = False

    def job(self, *, number: int, now: datetime, highres_cost: float) -> Job:
        """Return the job; without a wish its lane follows from its cost in megapixel-steps."""
        costly = self.spec.cost * self.count > highres_cost
        return Job(
            id=_new_id(now),
            number=number,
            spec=self.spec,
            engine=self.engine,
            lane=self.lane or (Lane.HIGHRES if costly else Lane.NORMAL),
            created_at=now,
            count=self.count,
            priority=self.priority,
            client=self.client,
            tags=self.tags,
            shortfalls=self.shortfalls,
            idempotency_key=self.idempotency_key,
            digest=self.digest,
            trace=self.trace,
            pinned=self.pinned,
        )


def _new_id(now: datetime) -> JobId:
    """Return a UUID of version 7 (RFC 9562, 5.7), in hex: the time in milliseconds, then chance.

    So new jobs stand together in the journal's index, and a commit of many touches few pages.
    """
    milliseconds, chance = int(now.timestamp() * 1000), secrets.randbits(74)
    high, low = milliseconds << 16 | 0x7000 | chance >> 62, 1 << 63 | chance & (1 << 62) - 1
    return JobId(f"{high:016x}{low:016x}")

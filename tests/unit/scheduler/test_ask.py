"""What a request becomes when it is let in."""

import uuid
from datetime import UTC, datetime, timedelta

from tests.unit.scheduler.parts import an_ask

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def test_an_id_is_a_uuid_that_begins_with_the_time() -> None:
    made = [NOON + timedelta(milliseconds=number) for number in range(200)]
    ids = [an_ask().job(number=1, now=now, highres_cost=1.0).id for now in made]
    assert ids == sorted(ids)
    for now, job_id in zip(made, ids, strict=True):
        read = uuid.UUID(job_id)
        assert (read.hex, read.variant, read.version) == (job_id, uuid.RFC_4122, 7)
        assert int(job_id[:12], 16) == round(now.timestamp() * 1000)


def test_ids_of_one_moment_differ() -> None:
    ids = {an_ask().job(number=1, now=NOON, highres_cost=1.0).id for _ in range(1000)}
    assert len(ids) == 1000

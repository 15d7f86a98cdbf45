"""The arrows that a job may walk, and the names of its pictures."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.errors import IllegalTransitionError
from scheduler.job import (
    JOB_JSON,
    Artifact,
    Cancelled,
    Failed,
    Queued,
    Running,
    Status,
    Storing,
    Succeeded,
)
from tests.unit.scheduler.test_backlog import job

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
STATUSES = (
    Queued(),
    Running(NOW),
    Storing(NOW),
    Succeeded((), NOW),
    Failed("internal", "m", NOW),
    Cancelled("r", NOW),
)


@given(st.lists(st.sampled_from(STATUSES), max_size=12))
def test_no_walk_leaves_success_and_none_skips_the_drawing(walk: list[Status]) -> None:
    one, seen = job(1), [Queued]
    for status in walk:
        try:
            one = one.step(status)
        except IllegalTransitionError:
            continue
        seen.append(type(status))
    if Succeeded in seen:
        assert seen[-1] is Succeeded
        assert seen[seen.index(Succeeded) - 1] in (Running, Storing)
    assert one.finished == (seen[-1] in (Succeeded, Failed, Cancelled))


@pytest.mark.parametrize("status", [Storing(NOW), Succeeded((), NOW)])
def test_a_waiting_job_cannot_be_done(status: Status) -> None:
    with pytest.raises(IllegalTransitionError):
        job(1).step(status)


def test_keys_follow_from_creation_time_and_job() -> None:
    one = job(7)
    assert re.fullmatch(r"20260101_000000_[0-9a-f]{8}", one.stem(0))
    assert one.stem(0) == one.stem(0) != one.stem(1)


def test_a_job_survives_json_whole() -> None:
    artifact = Artifact("images/a.png", "images/a.json", 0, 5, 8, 8, 100, "ab")
    running = Running(NOW, tickets={0: "t"}, artifacts=(artifact,))
    one = job(3, client="c", priority=2).step(running)
    assert JOB_JSON.validate_json(JOB_JSON.dump_json(one)) == one

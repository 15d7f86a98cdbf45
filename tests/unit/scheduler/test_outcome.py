"""What becomes of a job when something ends badly."""

from dataclasses import replace

import pytest

from engines.errors import (
    BadPictureError,
    EngineDownError,
    EngineTimeoutError,
    InvalidSpecError,
    ModelNotFoundError,
    OutOfMemoryError,
)
from scheduler.errors import StoreError
from scheduler.job import Artifact, Cancelled, Failed, Queued, Running, Storing
from scheduler.outcome import (
    MAX_ATTEMPTS,
    MAX_CRASHES,
    StopReason,
    after_crash,
    after_error,
    after_restart,
    after_stop,
)
from tests.unit.scheduler.test_backlog import job
from tests.unit.scheduler.test_job import NOW

RUNNING = job(1).step(Running(NOW, tickets={0: "t"}))


@pytest.mark.parametrize("error", [EngineDownError, EngineTimeoutError, BadPictureError])
def test_the_engine_s_faults_are_tried_again_until_the_cap(error: type[Exception]) -> None:
    outcome = after_error(RUNNING, error("gone"), now=NOW)
    assert outcome.status == Queued(again=True, reason=error.code, tickets={0: "t"})
    assert outcome.attempts == 1
    tired = replace(RUNNING, attempts=MAX_ATTEMPTS - 1)
    assert after_error(tired, error("gone"), now=NOW).status == Failed(error.code, "gone", NOW)


@pytest.mark.parametrize(
    "error", [InvalidSpecError, ModelNotFoundError, OutOfMemoryError, StoreError]
)
def test_what_would_fail_again_fails_at_once(error: type[Exception]) -> None:
    assert after_error(RUNNING, error("no"), now=NOW).status == Failed(error.code, "no", NOW)


def test_a_bug_fails_the_job_without_telling_its_details() -> None:
    status = after_error(RUNNING, KeyError("secret"), now=NOW).status
    assert isinstance(status, Failed)
    assert status.code == "internal"
    assert "secret" not in status.message


@pytest.mark.parametrize("reason", [StopReason.SHUTDOWN, StopReason.GPU])
def test_an_interruption_spends_no_attempt(reason: StopReason) -> None:
    outcome = after_stop(RUNNING, reason, now=NOW)
    assert isinstance(outcome.status, Queued)
    assert outcome.attempts == 0


def test_a_cancel_ends_the_job() -> None:
    assert isinstance(after_stop(RUNNING, StopReason.USER, now=NOW).status, Cancelled)


def test_the_third_crash_in_a_row_ends_the_job() -> None:
    one = RUNNING
    for crashes in (1, 2):
        outcome = after_crash(one, now=NOW)
        assert isinstance(outcome.status, Queued)
        assert outcome.crashes == crashes
        one = replace(one, crashes=outcome.crashes)
    status = after_crash(one, now=NOW).status
    assert isinstance(status, Failed)
    assert status.code == "poison_job"


def test_whatever_ends_a_job_it_lists_what_was_stored() -> None:
    drawn = (Artifact("k.png", "k.json", 0, 1, 64, 64, 9, "0" * 64),)
    half = replace(job(1).step(Running(NOW, artifacts=drawn)), crashes=MAX_CRASHES - 1)
    unknown = after_restart(half, engine_known=False, now=NOW)
    assert unknown is not None
    for outcome in (
        unknown,
        after_crash(half, now=NOW),
        after_error(half, OutOfMemoryError(), now=NOW),
        after_stop(half, StopReason.USER, now=NOW),
    ):
        assert isinstance(outcome.status, Failed | Cancelled)
        assert outcome.status.artifacts == drawn


def test_a_restart_touches_only_what_ran_or_has_lost_its_engine() -> None:
    for one in (job(1), RUNNING.step(Storing(NOW))):
        assert after_restart(one, engine_known=True, now=NOW) is None
    assert after_restart(RUNNING.step(Storing(NOW)), engine_known=False, now=NOW) is None
    assert after_restart(RUNNING, engine_known=True, now=NOW) == after_crash(RUNNING, now=NOW)
    lost = after_restart(job(1), engine_known=False, now=NOW)
    assert lost is not None
    assert isinstance(lost.status, Failed)
    assert lost.status.code == "engine_unknown"

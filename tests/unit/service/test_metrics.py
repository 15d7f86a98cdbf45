"""The figures: every job begins once, and engines are blamed only for what they did."""

from dataclasses import replace
from pathlib import Path

from engines.base import EngineName
from scheduler.events import JobEvent
from scheduler.job import Failed, Job, Queued, Running
from service.metrics import Metrics
from tests.unit.scheduler.parts import a_scheduler
from tests.unit.scheduler.test_backlog import job
from tests.unit.scheduler.test_job import NOW


async def figures(folder: Path, *jobs: Job) -> str:
    """Return what is shown after these jobs were heard of, in that order."""
    async with a_scheduler(folder) as parts:
        metrics = Metrics(parts.scheduler)
        for number, one in enumerate(jobs):
            metrics.count(JobEvent(number, NOW, "status", one))
        return metrics.render().decode()


async def test_a_job_that_is_paused_and_resumed_began_once(tmp_path: Path) -> None:
    running = Running(NOW)
    told = [replace(job(1), status=replace(running, paused=p)) for p in (False, True, False)]
    name = told[0].engine
    assert f'jobs_started_total{{engine="{name}"}} 1.0' in await figures(tmp_path, *told)


async def test_an_engine_that_takes_over_is_not_blamed_for_the_other(tmp_path: Path) -> None:
    lost = replace(job(1), engine=EngineName("down"), status=Running(NOW))
    back = replace(lost, status=Queued(again=True, reason="engine_down"))
    text = await figures(tmp_path, lost, back, replace(back, engine=EngineName("up")))
    assert 'engine_errors_total{code="engine_down",engine="down"} 1.0' in text
    assert 'engine_errors_total{code="engine_down",engine="up"}' not in text


async def test_what_is_not_the_engine_s_fault_is_no_engine_error(tmp_path: Path) -> None:
    running = replace(job(1), status=Running(NOW))
    taken = replace(running, status=Queued(again=True, reason="gpu_taken"))
    poison = replace(job(2), status=Failed("poison_job", "", NOW))
    text = await figures(tmp_path, running, taken, poison)
    assert "engine_errors_total{" not in text
    assert 'code="poison_job"' in text

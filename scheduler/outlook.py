"""When a job will be done, as far as that can be known from where it stands."""

from scheduler.eta import Eta, Forecast
from scheduler.job import Job, Queued, Running
from scheduler.station import Station


def outlook(job: Job, station: Station, forecast: Forecast) -> Eta | None:
    """Return when a job will be done; None while that is not known.

    What a chat may still keep the GPU counts too, and while it does the rest of a parked picture
    does not melt away.
    """
    own, shut = _own(job, station, forecast), station.gpu.shut_for()
    if own is None or shut is None:
        return None
    return Eta(own.p50_seconds + shut.p50_seconds, own.p90_seconds + shut.p90_seconds)


def _own(job: Job, station: Station, forecast: Forecast) -> Eta | None:
    """Return how much of the GPU's time will pass until a job is done."""
    match job.status:
        case Running(paused=False, done=done):
            whole = forecast.job(job.engine, job.spec, count=job.count, cold=False, ahead=0.0)
            left = 1.0 - done
            return whole and Eta(left * whole.p50_seconds, left * whole.p90_seconds)
        case Queued(paused=False):
            position = station.backlog.position(job.id)
            if position is None:
                return None
            return forecast.job(
                job.engine,
                job.spec,
                count=job.count,
                cold=station.loaded != job.spec.model,
                ahead=position * station.backlog.mean_cost,
            )
        case _:
            return None

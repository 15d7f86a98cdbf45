"""What goes over the wire to clients: jobs and pictures, in the words that they know."""

from collections.abc import Collection, Sequence
from typing import Literal

from engines.base import Shortfall
from scheduler.eta import Eta
from scheduler.job import (
    Artifact,
    Cancelled,
    Failed,
    Job,
    Queued,
    Running,
    Status,
    Storing,
    Succeeded,
)
from service.store.rows import Entry
from service.views.jobs import ErrorView, EtaView, JobView, ProgressView, ResultView, StatusWord
from service.views.pictures import ArtifactView, PictureView
from service.views.problems import WarningView

Words = Literal["guide", "kitty"]

_WORDS: dict[type[Status], tuple[StatusWord, StatusWord]] = {
    Queued: ("queued", "queued"),
    Running: ("running", "started"),
    Storing: ("running", "started"),
    Succeeded: ("done", "finished"),
    Failed: ("error", "failed"),
    Cancelled: ("error", "failed"),
}
"""Status → the guide's word and KITTY's."""


_AT_REST: ProgressView = {"phase": "", "progress": 0.0, "step": 0, "steps": 0}


def status_word(status: Status, words: Words) -> StatusWord:
    """Return a status as a client's dialect calls it."""
    return _WORDS[type(status)][words == "kitty"]


def eta_view(eta: Eta | None) -> EtaView | None:
    """Return when a job will be done, rounded to what it is worth."""
    if eta is None:
        return None
    return {"p50_seconds": round(eta.p50_seconds, 2), "p90_seconds": round(eta.p90_seconds, 2)}


def shortfall_view(shortfall: Shortfall) -> WarningView:
    """Return a warning."""
    return {"code": shortfall.code, "detail": shortfall.detail, "field": shortfall.field}


def artifact_view(artifact: Artifact) -> ArtifactView:
    """Return a stored picture."""
    return {
        "key": artifact.key,
        "meta_key": artifact.meta_key,
        "index": artifact.index,
        "seed": artifact.seed,
        "width": artifact.width,
        "height": artifact.height,
        "size": artifact.size_bytes,
        "sha256": artifact.sha256,
        "url": f"/api/images/file/{artifact.key}",
        "thumb_url": f"/api/images/thumb/{artifact.key}",
    }


def entry_view(entry: Entry) -> PictureView:
    """Return a picture of the catalogue as `GET /api/images/latest` lists it."""
    return {
        **artifact_view(entry.artifact),
        "last_modified": entry.created,
        "job_id": entry.job_id,
        "engine": entry.engine,
        "model": entry.model,
        "prompt": entry.prompt,
        "negative_prompt": entry.negative_prompt,
        "tags": entry.tags,
    }


def drawn(job: Job) -> Sequence[Artifact]:
    """Return the pictures that were drawn of a job so far."""
    return () if isinstance(job.status, Queued) else job.status.artifacts


def job_view(
    job: Job,
    words: Words,
    *,
    position: int | None = None,
    eta: Eta | None = None,
    deleted: Collection[str] = (),
) -> JobView:
    """Return a job as `GET /api/images/jobs/{id}` shows it, without pictures that were deleted."""
    status = job.status
    kept = [artifact for artifact in drawn(job) if artifact.key not in deleted]
    artifacts = [artifact_view(artifact) for artifact in kept]
    warnings = dict.fromkeys((*job.shortfalls, *(s for a in kept for s in a.shortfalls)))
    done = isinstance(status, Succeeded) and bool(artifacts)
    return {
        "job_id": job.id,
        "status": status_word(status, words),
        "state": status.kind,
        **_progress(status),
        "count": job.count,
        "position": position,
        "eta": eta_view(eta),
        "artifacts": artifacts,
        "deleted": len(drawn(job)) - len(artifacts),
        "result": _result(artifacts) if done else None,
        **_error(status),
        "attempts": job.attempts,
        "prompt": job.spec.prompt,
        "model": job.spec.model,
        "engine": job.engine,
        "seed": job.spec.seed,
        "lane": job.lane.value,
        "priority": job.priority,
        "tags": job.tags,
        "created_at": job.created_at,
        "warnings": [shortfall_view(shortfall) for shortfall in warnings],
    }


def _result(artifacts: list[ArtifactView]) -> ResultView:
    """Return what KITTY's clients read of a finished job."""
    return {"png_key": artifacts[0]["key"], "meta_key": artifacts[0]["meta_key"]}


def _progress(status: Status) -> ProgressView:
    """Return how far a job is."""
    match status:
        case Running(progress=progress, done=done, paused=paused):
            return {
                "phase": "paused" if paused else progress.phase,
                "progress": round(done, 4),
                "step": progress.step,
                "steps": progress.steps,
            }
        case Queued(paused=paused):
            return {**_AT_REST, "phase": "paused" if paused else "waiting"}
        case Storing():
            return {**_AT_REST, "phase": "storing", "progress": 1.0}
        case Succeeded():
            return {**_AT_REST, "phase": "done", "progress": 1.0}
        case Failed() | Cancelled():
            return {**_AT_REST, "phase": "ended"}


def _error(status: Status) -> ErrorView:
    """Return why a job failed, or came back to the queue."""
    match status:
        case Failed(code=code, message=message):
            return {"error": message, "error_code": code}
        case Cancelled(reason=reason):
            return {"error": reason.replace("_", " "), "error_code": "cancelled"}
        case Queued(reason=reason) if reason:
            return {"error": None, "error_code": reason}
        case _:
            return {"error": None, "error_code": None}

"""Jobs: submit, look, list, cancel, pause, resume, retry."""

import hashlib
from collections.abc import Collection

from aiohttp import web
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engines.errors import InvalidSpecError
from engines.router import Route
from engines.spec import SPEC_JSON, Draft
from scheduler.ask import Ask
from scheduler.job import Job, JobId
from service.api.body import read_body, reply
from service.bodies import GenerateBody
from service.calls import Call, described
from service.drafts import unknown_fields
from service.keys import CATALOGUE, DRAFTS, JOURNAL, MODELS, ROUTER, SCHEDULER, SETTINGS
from service.problems import RequestError
from service.queries import JobsQuery, read_query
from service.views.jobs import AcceptedView, JobPage, JobView, QueueView, WholeJobView
from service.wire import drawn, eta_view, job_view, shortfall_view, status_word

routes = web.RouteTableDef()

_FOUND = ("job_not_found", "store_down")
_MOVED = (*_FOUND, "illegal_transition")
_KEY_LENGTH = 200

LOOK_SECONDS = 5.0
"""How long a submit that would be refused waits for the engines to look again."""


@routes.post("/api/images/generate")
@described(
    Call(
        section="jobs",
        status=202,
        answer=AcceptedView,
        headers={
            "Idempotency-Key": "the same key from the same client gives the same job again",
            "X-Client": "who asks, instead of the address; clients take turns",
        },
        body=GenerateBody,
        codes=(
            ("invalid_request", 400),
            "images_disabled",
            "invalid_spec",
            "model_not_found",
            "bad_key",
            "not_found",
            "idempotency_conflict",
            "queue_full",
            "shutting_down",
            "store_down",
        ),
        example={"prompt": "a red cube", "steps": 20, "count": 2},
    )
)
async def generate(request: web.Request) -> web.Response:
    """Accept a request for pictures; it is durable when the answer leaves."""
    if not request.app[SETTINGS].images_enabled:
        raise RequestError("images are switched off", code="images_disabled", status=503)
    body, raw = await read_body(request, GenerateBody)
    draft = await request.app[DRAFTS].read(body)
    route = await _settled(request, draft)
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    key = _header(request, "Idempotency-Key")
    ask = Ask(
        spec=route.spec,
        engine=route.engine,
        count=body.count,
        lane=body.lane,
        priority=body.priority,
        client=_client(request),
        tags=body.tags,
        shortfalls=(*unknown_fields(body), *route.shortfalls),
        idempotency_key=key,
        digest=hashlib.sha256(raw).hexdigest() if key else "",
        trace=carrier.get("traceparent", ""),
        pinned=route.pinned,
    )
    job, _ = await request.app[SCHEDULER].submit(ask)
    trace.get_current_span().set_attribute("job.id", job.id)
    return _accepted(request, job)


@routes.get("/api/images/jobs")
@described(
    Call(
        section="jobs",
        answer=JobPage,
        query=JobsQuery,
        codes=("store_down",),
        example={"limit": 20},
    )
)
async def list_jobs(request: web.Request) -> web.Response:
    """List jobs, newest first; `cursor` goes on where the last page ended."""
    query = read_query(request, JobsQuery)
    jobs = await request.app[JOURNAL].page(
        limit=query.limit, before=query.cursor, states=query.state.split(",") if query.state else ()
    )
    table = request.app[SCHEDULER].table
    jobs = [table.newest(job) for job in jobs]
    keys = [artifact.key for job in jobs for artifact in drawn(job)]
    deleted = await request.app[CATALOGUE].deleted(keys) if keys else set[str]()
    items = [_view(request, job, deleted) for job in jobs]
    following = str(jobs[-1].number) if len(jobs) == query.limit else None
    answer: JobPage = {"items": items, "next_cursor": following}
    return reply(answer)


@routes.get("/api/images/jobs/{job_id}")
@described(Call(section="jobs", answer=WholeJobView, codes=_FOUND))
async def show_job(request: web.Request) -> web.Response:
    """Show where a job stands, and what it draws with every default settled."""
    job = await request.app[SCHEDULER].table.find(_job_id(request))
    spec = SPEC_JSON.dump_python(job.spec, mode="json")
    answer: WholeJobView = {**await _shown(request, job), "spec": spec}
    return reply(answer)


@routes.delete("/api/images/jobs/{job_id}")
@described(Call(section="jobs", answer=JobView, codes=_FOUND))
async def cancel_job(request: web.Request) -> web.Response:
    """End a job; asking again changes nothing."""
    job = await request.app[SCHEDULER].cancel(_job_id(request))
    return reply(await _shown(request, job))


@routes.post("/api/images/jobs/{job_id}/retry")
@described(Call(section="jobs", status=202, answer=JobView, codes=_MOVED))
async def retry_job(request: web.Request) -> web.Response:
    """Queue a failed or cancelled job again."""
    job = await request.app[SCHEDULER].retry(_job_id(request))
    return reply(await _shown(request, job), status=202)


@routes.post("/api/images/jobs/{job_id}/pause")
@described(Call(section="jobs", answer=JobView, codes=_MOVED))
async def pause_job(request: web.Request) -> web.Response:
    """Hold a job at its next step boundary."""
    job = await request.app[SCHEDULER].pause(_job_id(request), paused=True)
    return reply(await _shown(request, job))


@routes.post("/api/images/jobs/{job_id}/resume")
@described(Call(section="jobs", answer=JobView, codes=_MOVED))
async def resume_job(request: web.Request) -> web.Response:
    """Let a paused job go on."""
    job = await request.app[SCHEDULER].pause(_job_id(request), paused=False)
    return reply(await _shown(request, job))


@routes.post("/api/images/queue/{verb:pause|resume}")
@described(
    Call(section="jobs", answer=QueueView, codes=("no_such_path", "shutting_down", "store_down"))
)
async def pause_queue(request: web.Request) -> web.Response:
    """Begin no more jobs, through restarts too, or begin them again."""
    scheduler = request.app[SCHEDULER]
    await scheduler.pause_all(paused=request.match_info["verb"] == "pause")
    answer: QueueView = {"paused": scheduler.paused, "waiting": scheduler.waiting}
    return reply(answer)


async def _settled(request: web.Request, draft: Draft) -> Route:
    """Settle a draft; nothing is refused by what the engines said before they looked again."""
    router = request.app[ROUTER]
    try:
        return router.settle(draft)
    except InvalidSpecError:
        await request.app[MODELS].look_again(patience_seconds=LOOK_SECONDS)
    return router.settle(draft)


def _job_id(request: web.Request) -> JobId:
    return JobId(request.match_info["job_id"])


def _client(request: web.Request) -> str:
    """Return who asks: the name that the client gives itself, else its address."""
    return _header(request, "X-Client") or request.remote or ""


def _header(request: web.Request, name: str) -> str:
    """Return a header that is kept, empty without it.

    Raises:
        RequestError: it is too long, or no plain text.
    """
    text = request.headers.get(name, "")
    if len(text) > _KEY_LENGTH or not text.isprintable():
        detail = f"at most {_KEY_LENGTH} characters of plain text"
        raise RequestError(detail, code="invalid_request", field=name)
    return text


async def _shown(request: web.Request, job: Job) -> JobView:
    """Return a job as it is now: with its place in the queue, and what was not deleted."""
    keys = [artifact.key for artifact in drawn(job)]
    return _view(request, job, await request.app[CATALOGUE].deleted(keys) if keys else ())


def _view(request: web.Request, job: Job, deleted: Collection[str]) -> JobView:
    """Return a job with its place in the queue."""
    scheduler = request.app[SCHEDULER]
    position = None if job.finished else scheduler.position(job)
    eta = None if job.finished else scheduler.eta(job)
    words = request.app[SETTINGS].status_words
    return job_view(job, words, position=position, eta=eta, deleted=deleted)


def _accepted(request: web.Request, job: Job) -> web.Response:
    """Return the short answer to a submit."""
    scheduler, here = request.app[SCHEDULER], f"/api/images/jobs/{job.id}"
    answer: AcceptedView = {
        "job_id": job.id,
        "status": status_word(job.status, request.app[SETTINGS].status_words),
        "state": job.status.kind,
        "position": scheduler.position(job),
        "eta": eta_view(scheduler.eta(job)),
        "seed": job.spec.seed,
        "model": job.spec.model,
        "engine": job.engine,
        "links": {
            "self": here,
            "cancel": here,
            "live": f"/api/images/ws?job_id={job.id}",
        },
        "warnings": [shortfall_view(s) for s in job.shortfalls],
    }
    response = reply(answer, status=202)
    response.headers["Location"] = here
    return response

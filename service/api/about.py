"""What can be drawn with, how things stand, and whether the service is well."""

from aiohttp import web
from pydantic import Field

from engines.base import EngineName, ModelInfo
from scheduler.station import Station
from service.api.body import reply
from service.calls import Call, described
from service.keys import CLOCK, JOURNAL, METRICS, MODELS, SCHEDULER
from service.middleware import GALLERY, reads_html
from service.queries import Query, read_query
from service.views.standing import (
    EngineList,
    EngineView,
    HealthView,
    ModelList,
    ModelView,
    ReadyView,
    RootView,
    StatsView,
)

routes = web.RouteTableDef()


class ModelsQuery(Query):
    """The query of `GET /api/images/models`."""

    refresh: bool = Field(default=False, description="ask the engines anew")


@routes.get("/api/images/models")
@described(Call(section="engines", answer=ModelList, query=ModelsQuery))
async def models(request: web.Request) -> web.Response:
    """List what every engine can draw with."""
    known = request.app[MODELS]
    if read_query(request, ModelsQuery).refresh:
        await known.refresh()
    answer: ModelList = {
        "items": [
            model_view(engine, info)
            for engine in request.app[SCHEDULER].stations
            for info in known[engine] or ()
        ],
        "errors": {str(name): reason for name, reason in known.errors.items()},
    }
    return reply(answer)


@routes.get("/api/images/engines")
@described(Call(section="engines", answer=EngineList))
async def engines(request: web.Request) -> web.Response:
    """List the engines: what they can do and how they are."""
    now = request.app[CLOCK].monotonic()
    stations = request.app[SCHEDULER].stations
    answer: EngineList = {
        "items": [engine_view(name, station, now) for name, station in stations.items()]
    }
    return reply(answer)


@routes.get("/api/images/stats")
@described(Call(section="jobs", answer=StatsView))
async def stats(request: web.Request) -> web.Response:
    """Count jobs, in the words of KITTY's old service."""
    counts = request.app[SCHEDULER].table.counts
    answer: StatsView = {
        "queued": counts.get("queued", 0),
        "started": counts.get("running", 0) + counts.get("storing", 0),
        "finished": counts.get("succeeded", 0),
        "failed": counts.get("failed", 0) + counts.get("cancelled", 0),
        "paused": request.app[SCHEDULER].paused,
    }
    return reply(answer)


@routes.get("/")
@described(Call(section="operations", answer=RootView))
async def root(request: web.Request) -> web.Response:
    """Say that we are here; KITTY's start script waits for this. A browser gets the gallery."""
    if reads_html(request):
        raise web.HTTPSeeOther(GALLERY)
    answer: RootView = {
        "service": "kitty-images",
        "gallery": "/vision",
        "health": "/healthz",
        "docs": "/docs",
    }
    return reply(answer)


@routes.get("/healthz")
@described(Call(section="operations", answer=HealthView))
async def healthz(request: web.Request) -> web.Response:
    """Say that the process is alive."""
    answer: HealthView = {"status": "ok", "paused": request.app[SCHEDULER].paused}
    return reply(answer)


@routes.get("/readyz")
@described(Call(section="operations", answer=ReadyView, codes=("store_down",)))
async def readyz(request: web.Request) -> web.Response:
    """Say whether jobs are taken: the journal answers."""
    await request.app[JOURNAL].last_number()
    answer: ReadyView = {"status": "ready", "paused": request.app[SCHEDULER].paused}
    return reply(answer)


@routes.get("/metrics")
@described(Call(section="operations", media="text/plain"))
async def metrics(request: web.Request) -> web.Response:
    """Return the figures that Prometheus collects."""
    return web.Response(
        body=request.app[METRICS].render(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


def model_view(engine: EngineName, info: ModelInfo) -> ModelView:
    """Return a model."""
    return {
        "engine": engine,
        "name": info.name,
        "kind": info.kind,
        "base": info.base,
        "aliases": info.aliases,
        "size_bytes": info.size_bytes,
        "digest": info.digest,
        "trigger_words": info.trigger_words,
        "defaults": info.defaults,
        "bounds": info.bounds,
        "refused_samplers": info.refused_samplers,
        "loaded": info.loaded,
        "error": info.error,
    }


def engine_view(name: EngineName, station: Station, now: float) -> EngineView:
    """Return an engine; `now` is the time by the scheduler's clock."""
    can = station.engine.capabilities
    return {
        "engine": name,
        "gpu": station.gpu.name,
        "state": station.breaker.state(now).value,
        "reason": station.breaker.reason,
        "preemption": can.preemption,
        "features": sorted(f.value for f in can.features),
        "samplers": can.samplers.names if can.samplers is not None else (),
        "batch": can.batch,
        "slots": can.slots,
        "drawing": len(station.seats),
        "waiting": station.waiting,
        "loaded_model": station.loaded,
    }

"""What can be drawn with, how things stand, and whether the service is well."""

from dataclasses import asdict

from aiohttp import web

from service.api.body import reply
from service.keys import CLOCK, JOURNAL, METRICS, MODELS, SCHEDULER

routes = web.RouteTableDef()


@routes.get("/api/images/models")
async def models(request: web.Request) -> web.Response:
    """List what every engine can draw with; `refresh=1` asks them anew."""
    known = request.app[MODELS]
    if request.query.get("refresh"):
        await known.refresh()
    items = [
        {"engine": engine, **asdict(info)}
        for engine in request.app[SCHEDULER].stations
        for info in known[engine] or ()
    ]
    return reply(
        {"items": items, "errors": {str(name): reason for name, reason in known.errors.items()}}
    )


@routes.get("/api/images/engines")
async def engines(request: web.Request) -> web.Response:
    """List the engines: what they can do and how they are."""
    now = request.app[CLOCK].monotonic()
    items = [
        {
            "engine": name,
            "gpu": station.gpu.name,
            "state": station.breaker.state(now).value,
            "reason": station.breaker.reason,
            "preemption": station.engine.capabilities.preemption,
            "features": sorted(f.value for f in station.engine.capabilities.features),
            "batch": station.engine.capabilities.batch,
            "slots": station.engine.capabilities.slots,
            "drawing": len(station.seats),
            "waiting": station.waiting,
            "loaded_model": station.loaded,
        }
        for name, station in request.app[SCHEDULER].stations.items()
    ]
    return reply({"items": items})


@routes.get("/api/images/stats")
async def stats(request: web.Request) -> web.Response:
    """Count jobs, in the words of KITTY's old service."""
    counts = await request.app[JOURNAL].counts()
    return reply(
        {
            "queued": counts.get("queued", 0),
            "started": counts.get("running", 0) + counts.get("storing", 0),
            "finished": counts.get("succeeded", 0),
            "failed": counts.get("failed", 0) + counts.get("cancelled", 0),
            "paused": request.app[SCHEDULER].paused,
        }
    )


@routes.get("/")
async def root(_: web.Request) -> web.Response:
    """Say that we are here; KITTY's start script waits for this."""
    return reply({"service": "kitty-images", "gallery": "/vision", "health": "/healthz"})


@routes.get("/healthz")
async def healthz(_: web.Request) -> web.Response:
    """Say that the process is alive."""
    return reply({"status": "ok"})


@routes.get("/readyz")
async def readyz(request: web.Request) -> web.Response:
    """Say whether jobs are taken: the journal answers."""
    await request.app[JOURNAL].last_number()
    return reply({"status": "ready", "paused": request.app[SCHEDULER].paused})


@routes.get("/metrics")
async def metrics(request: web.Request) -> web.Response:
    """Return the figures that Prometheus collects."""
    return web.Response(
        body=request.app[METRICS].render(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )

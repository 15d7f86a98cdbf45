"""Builds the aiohttp application from its parts; no I/O happens here."""

from collections.abc import Mapping
from pathlib import Path

import aiohttp_jinja2
import jinja2
from aiohttp import web
from aiohttp.typedefs import Middleware

from engines.base import EngineName
from engines.models import Models
from engines.router import Router
from scheduler.gpu import Gpu
from scheduler.intake import Limits
from scheduler.scheduler import Scheduler
from scheduler.station import Station
from service import gallery, live
from service.api import about, docs, gpu, images, jobs
from service.drafts import Drafts
from service.frames import Frames
from service.gpu_metrics import GpuMetrics
from service.keys import (
    CATALOGUE,
    CLOCK,
    DRAFTS,
    FRAMES,
    GPUS,
    IMAGES,
    INPUTS,
    JOURNAL,
    KEYS,
    LLM,
    METRICS,
    MODELS,
    OBJECTS,
    ROUTER,
    SCHEDULER,
    SETTINGS,
    THUMBS,
)
from service.lifespan import drain, lifespan
from service.metrics import Metrics
from service.middleware import guard, traced, translated
from service.openapi.page import ticked
from service.origins import preflights, sharing
from service.resources import Resources
from service.settings import Settings
from service.sharing import build_gpus, build_proxy

TEMPLATES = Path(__file__).parent.parent / "templates"


def build_app(settings: Settings, parts: Resources) -> web.Application:
    """Wire the parts together."""
    on = [built.gpu for built in parts.engines.values()]
    gpus = build_gpus(settings, on, clock=parts.clock)
    models = Models({name: built.engine for name, built in parts.engines.items()})
    router, scheduler = _deciders(settings, parts, models=models, gpus=gpus)
    app = web.Application(
        middlewares=_middlewares(settings), client_max_size=int(settings.max_body_mb * 2**20)
    )
    app[SETTINGS] = settings
    app[GPUS] = gpus
    app[LLM] = build_proxy(settings, gpus)
    app[SCHEDULER] = scheduler
    app[MODELS] = models
    app[ROUTER] = router
    app[DRAFTS] = Drafts(inputs=parts.inputs, objects=parts.objects, keys=parts.keys)
    app[JOURNAL] = parts.journal
    app[CATALOGUE] = parts.catalogue
    app[OBJECTS] = parts.objects
    app[IMAGES] = parts.images
    app[INPUTS] = parts.inputs
    app[THUMBS] = parts.thumbs
    app[KEYS] = parts.keys
    app[CLOCK] = parts.clock
    app[METRICS] = Metrics(scheduler)
    GpuMetrics(app[METRICS].registry, gpus.values())
    app[FRAMES] = Frames(settings.status_words)
    app[docs.DOCUMENT] = {}
    _add_routes(app)
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        filters={"ticked": ticked},
    )
    app.cleanup_ctx.append(lifespan)
    app.on_shutdown.append(drain)
    if settings.allowed_origins:
        app.on_response_prepare.append(sharing(settings.allowed_origins))
    return app


def _deciders(
    settings: Settings, parts: Resources, *, models: Models, gpus: Mapping[str, Gpu]
) -> tuple[Router, Scheduler]:
    """Return what decides where a job goes and when; each asks the other about engines."""
    stations: dict[EngineName, Station] = {}
    router = Router(
        engines=parts.engines,
        default=parts.default_engine,
        models=models,
        profiles=parts.config.profiles,
        standing=lambda name: stations[name].standing(parts.clock.monotonic()),
    )
    scheduler = Scheduler(
        engines={name: (built.engine, gpus[built.gpu]) for name, built in parts.engines.items()},
        journal=parts.journal,
        images=parts.images,
        clock=parts.clock,
        limits=Limits(queue_max=settings.queue_max, highres_cost=settings.highres_cost),
        alternative=router.alternative,
    )
    stations.update(scheduler.stations)
    return router, scheduler


def _add_routes(app: web.Application) -> None:
    """Say which path leads where."""
    for part in (jobs, images, gpu, about, docs, live, gallery):
        app.add_routes(part.routes)
    app.add_routes([web.route("*", "/llm/{server}/{path:.*}", app[LLM].handle)])
    app.add_routes([web.get(f"/{app[SETTINGS].s3_bucket}/{{key:.+}}", images.from_bucket)])


def _middlewares(settings: Settings) -> list[Middleware]:
    """Return what every request passes, from the outside in.

    Traces cost a twelfth of a submit's time, so there are some only if anybody reads them; and
    browsers' questions about pages of other sites are answered only if any page is let in.
    """
    tracing = [traced] if settings.otel_exporter_otlp_endpoint else []
    cross = [preflights(settings.allowed_origins)] if settings.allowed_origins else []
    return [*tracing, gallery.readable, translated, *cross, guard(settings)]

"""The typed keys under which the application holds its parts."""

from collections.abc import Mapping

from aiohttp import web

from engines.inputs import Inputs
from engines.models import Models
from engines.router import Router
from scheduler.gpu import Gpu
from scheduler.ports import Clock
from scheduler.scheduler import Scheduler
from service.drafts import Drafts
from service.frames import Frames
from service.llm.proxy import Proxy
from service.metrics import Metrics
from service.settings import Settings
from service.store.base import ObjectStore
from service.store.catalogue import Catalogue
from service.store.images import PictureStore
from service.store.journal import Journal
from service.store.keys import Keys
from service.thumbs import Thumbs

SETTINGS = web.AppKey("settings", Settings)
GPUS: web.AppKey[Mapping[str, Gpu]] = web.AppKey("gpus")
LLM = web.AppKey("llm", Proxy)
SCHEDULER = web.AppKey("scheduler", Scheduler)
ROUTER = web.AppKey("router", Router)
MODELS = web.AppKey("models", Models)
DRAFTS = web.AppKey("drafts", Drafts)
CLOCK = web.AppKey("clock", Clock)
JOURNAL = web.AppKey("journal", Journal)
CATALOGUE = web.AppKey("catalogue", Catalogue)
OBJECTS = web.AppKey("objects", ObjectStore)
INPUTS = web.AppKey("inputs", Inputs)
IMAGES = web.AppKey("images", PictureStore)
KEYS = web.AppKey("keys", Keys)
FRAMES = web.AppKey("frames", Frames)
THUMBS = web.AppKey("thumbs", Thumbs)
METRICS = web.AppKey("metrics", Metrics)

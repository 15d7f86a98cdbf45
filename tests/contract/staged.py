"""An image store with all its parts within reach, and pictures of a job for it."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from engines.base import EngineName, Picture, Shortfall
from engines.spec import GenerationSpec
from scheduler.job import Job, JobId, Lane
from service.store.base import ObjectInfo, ObjectStore
from service.store.catalogue import Catalogue
from service.store.images import PictureStore
from service.store.keys import Keys
from service.store.spool import Spool

KEYS = Keys()

SPEC = GenerationSpec("a kitten, 猫", "mini", 16, 8, 5, 7.0, 41, "euler")

JOB = Job(
    id=JobId("job-1"),
    number=1,
    spec=SPEC,
    engine=EngineName("fake"),
    lane=Lane.NORMAL,
    created_at=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    count=2,
    tags=("pets",),
    shortfalls=(Shortfall("unknown_field", "ignored", "foo"),),
)


def picture(seed: int = 41) -> Picture:
    out = io.BytesIO()
    Image.new("RGB", (16, 8), (seed % 256, 2, 3)).save(out, "PNG")
    return Picture(out.getvalue(), 16, 8, seed, facts={"model_hash": "abc"})


class Watched:
    """A real store that tells of each put and delete before it is done."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.puts: list[str] = []
        self.stats: list[str] = []
        self.before_put: Callable[[str], object] = lambda key: key
        self.before_delete: Callable[[str], object] = lambda key: key

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        self.before_put(key)
        await self.store.put(key, data, content_type=content_type)
        self.puts.append(key)

    async def delete(self, key: str) -> None:
        self.before_delete(key)
        await self.store.delete(key)

    async def stat(self, key: str) -> ObjectInfo:
        self.stats.append(key)
        return await self.store.stat(key)

    def __getattr__(self, name: str) -> object:
        return getattr(self.store, name)


@dataclass
class Stage:
    """An image store with all its parts within reach."""

    objects: Watched
    spool: Spool
    catalogue: Catalogue
    images: PictureStore
    spool_folder: Path

    async def keys(self) -> list[str]:
        return [info.key async for info in self.objects.store.list("")]

    async def rows(self) -> list[str]:
        return [e.artifact.key for e in (await self.catalogue.latest(limit=1000)).items]


async def anybody(_job_id: str) -> None:
    """Let everybody delete everything."""


async def remove(stage: Stage) -> None:
    """Delete the first picture of the job."""
    await stage.images.removals.remove(KEYS.png(JOB, 0), allow=anybody)

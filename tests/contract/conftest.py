"""An engine on trial, its server, and an image store."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.store.base import ObjectStore
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.images import PictureStore
from service.store.rows import SCHEMA
from service.store.spool import Spool
from tests.contract.engines import Bench, Server, open_bench
from tests.contract.staged import KEYS, Stage, Watched


@pytest.fixture
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(request.param, tmp_path) as bench:
        yield bench


@pytest.fixture
def server(bench: Bench) -> Server:
    assert bench.server is not None
    return bench.server


@pytest.fixture
async def stage(objects: ObjectStore, tmp_path: Path) -> AsyncIterator[Stage]:
    database = Database(tmp_path / "kitty.db")
    await database.open(schema=SCHEMA)
    watched, spool, catalogue = Watched(objects), Spool(tmp_path / "spool"), Catalogue(database)
    await spool.open()
    images = PictureStore(objects=watched, spool=spool, catalogue=catalogue, keys=KEYS)  # type: ignore[arg-type]
    yield Stage(watched, spool, catalogue, images, tmp_path / "spool")
    await database.aclose()

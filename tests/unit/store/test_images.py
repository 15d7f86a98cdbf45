"""Pictures on their way from the spool to the store, whoever brings them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from engines.base import Picture
from engines.card import test_card as a_card
from scheduler.errors import StoreDownError
from service.store import journal, rows
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.files import FileStore
from service.store.images import PictureStore
from service.store.keys import Keys
from service.store.sidecar import Parcel, Sidecar
from service.store.spool import Spool
from tests.unit.scheduler.test_backlog import job

CARD = Picture(png=a_card(width=64, height=64, seed=1), width=64, height=64, seed=1)


class Slow(Spool):
    """Lets others come between the look at a picture and its reading."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.read = 0
        self.listed = asyncio.Event()
        self.reading = asyncio.Event()
        self.go = asyncio.Event()

    @override
    async def waiting(self) -> Sequence[str]:
        found = await super().waiting()
        self.listed.set()
        return found

    @override
    async def parcel(self, sidecar: Sidecar) -> Parcel:
        self.read += 1
        self.reading.set()
        await self.go.wait()
        return await super().parcel(sidecar)


async def test_a_picture_that_two_bring_to_the_store_is_brought_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA + rows.SCHEMA)
    objects, spool = FileStore(tmp_path / "objects"), Slow(tmp_path / "spool")
    await spool.open()
    images = PictureStore(objects=objects, spool=spool, catalogue=Catalogue(database), keys=Keys())
    with pytest.raises(StoreDownError):
        await images.put(job(1), 0, CARD)
    await objects.open()
    async with asyncio.TaskGroup() as group:
        flushing = group.create_task(images.flush(job(1)))
        await spool.reading.wait()
        sweeping = group.create_task(images.sweep())
        await spool.listed.wait()
        spool.go.set()
    assert [artifact.index for artifact in flushing.result()] == [0]
    assert (sweeping.result(), spool.read) == (0, 1)
    await database.aclose()

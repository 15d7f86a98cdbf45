"""Pictures on their way from the spool to the store, whoever brings them."""

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


class Overtaken(Spool):
    """Lets another bring everything to the store between a look and the reading."""

    other: PictureStore | None = None

    @override
    async def parcel(self, sidecar: Sidecar) -> Parcel:
        if self.other is not None:
            await self.other.sweep()
        return await super().parcel(sidecar)


async def test_a_picture_that_a_sweep_brings_meanwhile_is_stored(tmp_path: Path) -> None:
    database = Database(tmp_path / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA + rows.SCHEMA)
    objects, spool = FileStore(tmp_path / "objects"), Overtaken(tmp_path / "spool")
    await spool.open()
    stores = [
        PictureStore(objects=objects, spool=one, catalogue=Catalogue(database), keys=Keys())
        for one in (spool, Spool(tmp_path / "spool"))
    ]
    with pytest.raises(StoreDownError):
        await stores[0].put(job(1), 0, CARD)
    await objects.open()
    spool.other = stores[1]
    artifacts = await stores[0].flush(job(1))
    assert [artifact.index for artifact in artifacts] == [0]
    await database.aclose()

"""One door to object store, spool and catalogue; implements `scheduler.ports.ImageStore`."""

import asyncio
import logging
from collections.abc import Sequence

from engines.base import Picture
from scheduler.errors import NotStoredError, StoreDownError, StoreError
from scheduler.job import Artifact, Job
from service.store.base import ObjectStore
from service.store.catalogue import Catalogue
from service.store.keys import Keys, meta_of
from service.store.locks import KeyLocks
from service.store.removal import Removals, Step
from service.store.sidecar import Parcel, Sidecar, decode, pack
from service.store.spool import Spool

_log = logging.getLogger(__name__)

_INLINE_BYTES = 65_536
"""Pictures up to this size are packed at once: a thread would cost more than the hashing."""


async def _forget_nothing(_key: str) -> None:
    """Delete nothing: nobody made anything of the pictures."""


class PictureStore:
    """Stores each picture exactly once, in the order PNG, sidecar, catalogue.

    The keys follow from the job and the bytes from job and picture, so a repeat overwrites
    itself; the sidecar is the mark that a picture is stored.

    Attributes:
        removals: Deletes pictures.

    Args:
        forget: Deletes what others made of a picture that is deleted.
    """

    def __init__(
        self,
        *,
        objects: ObjectStore,
        spool: Spool,
        catalogue: Catalogue,
        keys: Keys,
        forget: Step = _forget_nothing,
    ) -> None:
        self._objects = objects
        self._spool = spool
        self._catalogue = catalogue
        self._keys = keys
        self._locks = KeyLocks()
        self.removals = Removals(
            objects=objects, spool=spool, catalogue=catalogue, locks=self._locks, forget=forget
        )

    async def put(self, job: Job, index: int, picture: Picture) -> Artifact:
        """Store a picture; when the store fails, in whatever way, it goes to the spool.

        Raises:
            StoreDownError: the picture is safe in the spool, not in the store.
            BadPngError: the picture is no whole PNG.
            StoreError: the picture could not even be spooled.
        """
        if len(picture.png) <= _INLINE_BYTES:
            parcel = pack(job, index, picture, self._keys)
        else:
            parcel = await asyncio.to_thread(pack, job, index, picture, self._keys)
        async with self._locks[parcel.sidecar.key]:
            try:
                await self._upload(parcel)
            except StoreError as error:
                await self._spool.keep(parcel)
                await self._catalogue.stay(parcel.sidecar.key)
                raise StoreDownError(f"the picture waits in the spool: {error}") from error
            # The end of the job, written later, flushes it; until then a restart finds the sidecar.
            await self._catalogue.add(parcel.sidecar, flush=False)
        return parcel.sidecar.artifact

    async def find(self, job: Job) -> Sequence[Artifact | None]:
        """Return what is stored of the job's pictures, and finish what a crash left undone.

        Spooled pictures are uploaded, and stored ones entered into the catalogue. While the
        store is down the catalogue answers for it; a picture that neither knows is None.
        """
        found: list[Artifact | None] = []
        down = False
        for index in range(job.count):
            sidecar = await self._spool.sidecar(self._keys.meta(job, index))
            if not down:
                try:
                    sidecar = await self._settle(job, index)
                except StoreError as error:
                    _log.warning("the store cannot say what is stored: %s", error)
                    down = True
            if sidecar is not None:
                found.append(sidecar.artifact)
            elif down:
                entry = await self._catalogue.get(self._keys.png(job, index))
                found.append(entry.artifact if entry else None)
            else:
                found.append(None)
        return found

    async def flush(self, job: Job) -> Sequence[Artifact]:
        """Upload the job's spooled pictures; return the artifacts of all that are stored.

        Raises:
            StoreDownError: the store still fails; what was not uploaded stays in the spool.
            NotStoredError: a picture has vanished from the spool.
        """
        artifacts = []
        for index in range(job.count):
            try:
                sidecar = await self._settle(job, index)
            except NotStoredError:
                raise
            except StoreError as error:
                raise StoreDownError(f"pictures wait in the spool: {error}") from error
            if sidecar is not None:
                artifacts.append(sidecar.artifact)
        return artifacts

    async def sweep(self) -> int:
        """Upload all that waits in the spool, whatever became of its job; return how many.

        Raises:
            StoreDownError: the store still fails; what was not uploaded stays in the spool.
        """
        swept = 0
        for key in await self._spool.waiting():
            try:
                async with self._locks[key]:
                    await self.removals.finish(key)
                    sidecar = await self._spool.sidecar(meta_of(key))
                    if sidecar is not None:
                        await self._deliver(sidecar)
                        swept += 1
            except StoreError as error:
                raise StoreDownError(f"pictures wait in the spool: {error}") from error
        return swept

    async def _settle(self, job: Job, index: int) -> Sidecar | None:
        """Bring one picture to where it belongs; return its sidecar if it is stored now."""
        meta_key = self._keys.meta(job, index)
        async with self._locks[self._keys.png(job, index)]:
            await self.removals.finish(self._keys.png(job, index))
            spooled = await self._spool.sidecar(meta_key)
            if spooled is not None:
                await self._deliver(spooled)
                return spooled
            try:
                stored = decode(await self._objects.get(meta_key), meta_key)
            except NotStoredError:
                return None
            if stored is not None:
                await self._catalogue.add(stored)
            return stored

    async def _deliver(self, sidecar: Sidecar) -> None:
        """Bring a picture from the spool to the store."""
        await self._upload(await self._spool.parcel(sidecar))
        await self._catalogue.add(sidecar)
        await self._spool.drop(sidecar.key)

    async def _upload(self, parcel: Parcel) -> None:
        """Store the picture, then the sidecar: never a sidecar without its picture."""
        sidecar = parcel.sidecar
        await self._objects.put(sidecar.key, parcel.png, content_type="image/png")
        await self._objects.put(sidecar.meta_key, sidecar.encode(), content_type="application/json")

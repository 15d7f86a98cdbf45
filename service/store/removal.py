"""Deletes pictures: from where they are found first, then from where they lie."""

import logging
from collections.abc import Awaitable, Callable

from scheduler.errors import NotStoredError, StoreError
from service.store.base import ObjectStore
from service.store.catalogue import Catalogue
from service.store.keys import meta_of
from service.store.locks import KeyLocks
from service.store.sidecar import Sidecar, decode
from service.store.spool import Spool

_log = logging.getLogger(__name__)

Step = Callable[[str], Awaitable[None]]


class Removals:
    """Takes pictures out of catalogue, store and spool.

    That a picture is leaving is written down in the commit that takes it out of the catalogue.
    So neither a crash nor a store that fails half-way leaves a picture that is half there:
    nobody finds it any more, and what is left of its files goes later.

    Args:
        forget: Deletes what others made of a picture; called when its files are gone.
    """

    def __init__(
        self,
        *,
        objects: ObjectStore,
        spool: Spool,
        catalogue: Catalogue,
        locks: KeyLocks,
        forget: Step,
    ) -> None:
        self._objects = objects
        self._spool = spool
        self._catalogue = catalogue
        self._locks = locks
        self._forget = forget

    async def remove(self, key: str, *, allow: Step) -> None:
        """Delete the picture under a key that was checked.

        `allow` is called with the id of the job that drew it; what it raises is raised.

        Raises:
            NotStoredError: there is no such picture.
            StoreError: the store failed; the picture is there as before.
        """
        async with self._locks[key]:
            entry = await self._catalogue.get(key)
            sidecar = await self._described(key)
            pending = key in await self._catalogue.leaving()
            if not pending:
                if sidecar is None and entry is None:
                    raise NotStoredError(f"there is no picture {key}")
                await allow(sidecar.job_id if sidecar else entry.job_id if entry else "")
            await self._catalogue.leave(key)
            try:
                await self._objects.delete(meta_of(key))
            except StoreError as error:
                if sidecar is not None and not pending:
                    await (self._catalogue.add(sidecar) if entry else self._catalogue.stay(key))
                    raise
                # It is deleted already, or never was whole.
                _tell_later(key, error)
                return
            try:
                await self._clear(key)
            except StoreError as error:
                _tell_later(key, error)

    async def finish(self, key: str) -> None:
        """Delete the files of a picture if it is leaving; whoever calls holds its lock.

        Raises:
            StoreError: the store failed; it is leaving still.
        """
        if key in await self._catalogue.leaving():
            await self._objects.delete(meta_of(key))
            await self._clear(key)

    async def finish_all(self) -> None:
        """Delete the files of all pictures that are leaving.

        Raises:
            StoreError: the store failed; those that are left are leaving still.
        """
        for key in await self._catalogue.leaving():
            async with self._locks[key]:
                await self.finish(key)

    async def _described(self, key: str) -> Sidecar | None:
        """Return the sidecar of a picture, waiting or stored; shows as well that the store is up.

        Raises:
            StoreError: the store cannot say.
        """
        try:
            stored = decode(await self._objects.get(meta_of(key)), meta_of(key))
        except NotStoredError:
            stored = None
        return stored or await self._spool.sidecar(meta_of(key))

    async def _clear(self, key: str) -> None:
        """Delete what is left of a picture when the store has no sidecar of it any more.

        Raises:
            StoreError: the store failed.
        """
        await self._spool.drop(key)
        await self._objects.delete(key)
        await self._forget(key)
        await self._catalogue.left(key)
        _log.info("the picture %s was deleted", key)


def _tell_later(key: str, error: StoreError) -> None:
    """Note that a picture is deleted, but not its files."""
    _log.warning("the files of %s, which was deleted, go later: %s", key, error)

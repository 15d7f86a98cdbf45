"""Keep pictures safe on this machine while the store is down."""

from collections.abc import Sequence
from pathlib import Path

from scheduler.errors import NotStoredError, StoreDownError, StoreError
from service.store.files import FileStore
from service.store.keys import META, meta_of, png_of
from service.store.sidecar import Parcel, Sidecar, decode


class Spool:
    """Pictures that wait for the store, under the keys that they will have there.

    As in the store the sidecar comes last: a picture waits only once its sidecar is there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = FileStore(folder)

    async def open(self) -> None:
        """Make the folder; may be called again."""
        await self._files.open()

    async def keep(self, parcel: Parcel) -> None:
        """Write a picture and its sidecar durably.

        Raises:
            StoreError: the spool cannot be written; the picture is not safe.
        """
        sidecar = parcel.sidecar
        try:
            await self._files.put(sidecar.key, parcel.png, content_type="image/png")
            await self._files.put(
                sidecar.meta_key, sidecar.encode(), content_type="application/json"
            )
        except StoreDownError as error:
            raise StoreError(f"neither store nor spool takes the picture: {error}") from error

    async def sidecar(self, meta_key: str) -> Sidecar | None:
        """Return the sidecar of a waiting picture, None if none waits under the key."""
        try:
            return decode(await self._files.get(meta_key), meta_key)
        except NotStoredError:
            return None

    async def parcel(self, sidecar: Sidecar) -> Parcel:
        """Return a waiting picture."""
        return Parcel(await self._files.get(sidecar.key), sidecar)

    async def drop(self, key: str) -> None:
        """Forget a picture that has reached the store, or is not wanted; the mark goes first."""
        await self._files.delete(meta_of(key))
        await self._files.delete(key)

    async def waiting(self) -> Sequence[str]:
        """Return the keys of the pictures that wait, oldest first."""
        return [png_of(info.key) async for info in self._files.list("") if info.key.endswith(META)]

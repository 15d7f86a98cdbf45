"""Small versions of stored pictures, made when they are first asked for and kept on the disk."""

import asyncio
import io
from pathlib import Path

from PIL import Image

from scheduler.errors import NotStoredError, StoreDownError
from service.store.base import ObjectStore
from service.store.keys import thumb_of

SIDE = 320
"""Pixels of the longer side; sharp on screens with two pixels a point."""

_QUALITY = 80
_AT_ONCE = 2


class Thumbs:
    """A folder of small WebP pictures; whoever empties it loses only time."""

    def __init__(self, *, folder: Path, objects: ObjectStore) -> None:
        self._folder = folder
        self._objects = objects
        self._making = asyncio.Semaphore(_AT_ONCE)

    async def get(self, key: str) -> bytes:
        """Return the thumbnail of the picture under a key that was checked.

        Raises:
            NotStoredError: there is no such picture.
        """
        path = self._path(key)
        try:
            return await asyncio.to_thread(path.read_bytes)
        except FileNotFoundError:
            png = await self._objects.get(key)
        async with self._making:
            small = await asyncio.to_thread(_make, png, path)
        try:
            # It may have been deleted since, and `forget` have come before there was a thumbnail.
            await self._objects.stat(key)
        except NotStoredError:
            await self.forget(key)
            raise
        return small

    async def forget(self, key: str) -> None:
        """Delete the thumbnail of a picture that is gone.

        Raises:
            StoreDownError: it cannot be deleted.
        """
        try:
            await asyncio.to_thread(self._path(key).unlink, missing_ok=True)
        except OSError as error:
            raise StoreDownError(f"the thumbnail of {key}: {error.strerror}") from error

    def _path(self, key: str) -> Path:
        return self._folder / thumb_of(key).rsplit("/", 1)[-1]


def _make(png: bytes, path: Path) -> bytes:
    """Shrink a picture and leave the result in the folder."""
    with Image.open(io.BytesIO(png), formats=("PNG",)) as picture:
        small = picture.convert("RGB")
        small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=_QUALITY)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{id(buffer)}")
    partial.write_bytes(buffer.getvalue())
    partial.replace(path)
    return buffer.getvalue()

"""Keep objects as files in a folder, so that pictures need no server."""

import asyncio
import errno
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from scheduler.errors import NotStoredError, StoreDownError, StoreError
from service.store.base import ObjectInfo
from service.store.keys import plain

_INCOMING: Final = ".incoming"
_PORTION: Final = 500
_STALE_SECONDS: Final = 3600


@contextmanager
def _translated(what: str, missing: type[StoreError] = NotStoredError) -> Iterator[None]:
    """Turn the system's errors into the store's: the one place where that is done."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise missing(f"{what} is not there") from error
    except OSError as error:
        raise StoreDownError(f"{what}: {error.strerror or error}") from error


def _sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    """Describe a file; every put makes a new one, so inode and time change with the bytes."""
    return ObjectInfo(
        key=key,
        size_bytes=found.st_size,
        modified=datetime.fromtimestamp(found.st_mtime, UTC),
        etag=f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}",
    )


def _walk(folder: Path, above: str = "") -> Iterator[tuple[str, os.stat_result]]:
    """Yield all files in the order of their keys.

    A folder sorts as its name with the slash, so that `a.png` comes before `a/b.png`.
    """
    with os.scandir(folder) as entries:
        found = sorted((f"{e.name}/" if e.is_dir() else e.name, e) for e in entries)
    for name, entry in found:
        if name.startswith("."):
            continue
        if name.endswith("/"):
            yield from _walk(Path(entry.path), above + name)
        else:
            # A file that is deleted while it is listed is simply not in the list.
            with suppress(FileNotFoundError):
                yield above + name, entry.stat()


class FileStore:
    """A folder with one file for each object.

    The folder is made by `open` alone: when it vanishes later (an unplugged disk, say), the
    store is down instead of filling the empty place where it was.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        self._incoming = self._folder / _INCOMING

    async def open(self) -> None:
        """Make the folder, and remove what a crash left half written long ago."""

        def work() -> None:
            self._incoming.mkdir(parents=True, exist_ok=True)
            for left in self._incoming.iterdir():
                if left.stat().st_mtime < time.time() - _STALE_SECONDS:
                    left.unlink(missing_ok=True)

        with _translated(f"the folder {self._folder}", StoreDownError):
            await asyncio.to_thread(work)

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store an object durably; `content_type` follows from the ending of the key."""
        del content_type
        path = self._path(key)
        with _translated(f"the folder {self._folder}", StoreDownError):
            await asyncio.to_thread(self._write, path, data)

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Read an object, or a range of it; what lies beyond its end is empty."""
        path = self._path(key)

        def work() -> bytes:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(-1 if length is None else length)

        with self._reading(key):
            return await asyncio.to_thread(work)

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object."""
        path = self._path(key)
        with self._reading(key):
            found = await asyncio.to_thread(path.stat)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), key)
            return _info(key, found)

    async def delete(self, key: str) -> None:
        """Remove an object durably if it is there."""
        path = self._path(key)

        def work() -> None:
            path.unlink()
            _sync_folder(path.parent)

        with suppress(NotStoredError), self._reading(key):
            await asyncio.to_thread(work)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield the files whose keys begin with the prefix, in the order of the keys."""
        above = prefix.rpartition("/")[0]
        folder = self._path(above) if above else self._folder
        found = _walk(folder, f"{above}/" if above else "")
        with _translated(str(folder)):
            while True:
                try:
                    portion = await asyncio.to_thread(_portion, found)
                except FileNotFoundError as error:
                    if not self._folder.is_dir():
                        raise StoreDownError(f"the folder {self._folder} is gone") from error
                    return
                for key, status in portion:
                    if key.startswith(prefix):
                        yield _info(key, status)
                if not portion:
                    return

    async def link(self, key: str, *, seconds: int) -> str | None:
        """Answer None: a folder has no address that others could fetch from."""
        del key, seconds
        return None

    def uri(self, key: str) -> str:
        """Return the path of the file."""
        return str(self._path(key))

    async def aclose(self) -> None:
        """Do nothing: no file stays open."""

    def _path(self, key: str) -> Path:
        """Return where an object lies; `plain` keys cannot lead out of the folder."""
        return self._folder / plain(key)

    @contextmanager
    def _reading(self, key: str) -> Iterator[None]:
        """Translate errors; a missing file means a missing object only if the folder is there."""
        try:
            with _translated(key):
                yield
        except NotStoredError as error:
            if not self._folder.is_dir():
                raise StoreDownError(f"the folder {self._folder} is gone") from error
            raise

    def _write(self, path: Path, data: bytes) -> None:
        """Write beside, then move into place: the object is whole or not there."""
        beside = self._incoming / f"{path.name}.{secrets.token_hex(8)}"
        try:
            with beside.open("xb", buffering=0) as file:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            if not path.parent.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True)
                _sync_folder(path.parent.parent)
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _portion(found: Iterator[tuple[str, os.stat_result]]) -> list[tuple[str, os.stat_result]]:
    """Take the next portion of a listing."""
    return list(islice(found, _PORTION))

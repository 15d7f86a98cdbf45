"""What an object store must do to keep our pictures: bytes under keys, nothing else."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows of an object; `etag` changes whenever the bytes do."""

    key: str
    size_bytes: int
    modified: datetime
    etag: str


class ObjectStore(Protocol):
    """Bytes under keys.

    All methods raise `StoreDownError` when the store does not answer, and `StoreError` when it
    refuses.
    """

    async def open(self) -> None:
        """Connect and make the bucket or folder if it is missing; may be called again."""

    async def put(self, key: str, data: bytes, *, content_type: str) -> None:
        """Store an object whole or not at all, replacing what was there."""

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """Return an object's bytes, or a range of them.

        Raises:
            NotStoredError: nothing is stored under the key.
        """

    async def stat(self, key: str) -> ObjectInfo:
        """Describe an object.

        Raises:
            NotStoredError: nothing is stored under the key.
        """

    async def delete(self, key: str) -> None:
        """Remove an object; nothing happens if there is none."""

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Yield every object under a prefix, in the order of the keys."""

    async def link(self, key: str, *, seconds: int) -> str | None:
        """Return a URL that anybody may fetch the object from for a while; None without one."""

    def uri(self, key: str) -> str:
        """Return the object's place in the store's own words: `s3://…` or a path."""

    async def aclose(self) -> None:
        """Disconnect; may be called twice."""

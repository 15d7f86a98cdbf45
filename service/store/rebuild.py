"""Make the catalogue agree with the sidecars in the store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from scheduler.errors import NotStoredError
from service.store.base import ObjectStore
from service.store.catalogue import Catalogue
from service.store.keys import META, Keys, meta_of, png_of
from service.store.sidecar import Sidecar, decode

_PORTION: Final = 200
_AT_ONCE: Final = 16
"""Sidecars that are fetched together."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild did.

    Attributes:
        entered: Pictures whose sidecars were read.
        removed: Entries whose sidecars are gone.
        skipped: Sidecars that are damaged or not ours.
    """

    entered: int = 0
    removed: int = 0
    skipped: int = 0


async def rebuild(catalogue: Catalogue, objects: ObjectStore, keys: Keys) -> Rebuilt:
    """Read all sidecars, a portion at a time; enter each, and forget what has none.

    May run while pictures are stored, and again after it was cut off.

    Raises:
        StoreDownError: the store failed; what was entered stays.
    """
    entered = removed = skipped = 0
    after = ""
    async for portion, until in _portions(objects, keys.prefix):
        found = await _fetch(objects, portion)
        await catalogue.add_all(found)
        entered += len(found)
        skipped += len(portion) - len(found)
        removed += await _forget(catalogue, objects, {s.key for s in found}, after, until)
        after = until
    return Rebuilt(entered, removed, skipped)


async def _portions(objects: ObjectStore, prefix: str) -> AsyncIterator[tuple[list[str], str]]:
    """Yield the keys of sidecars in portions, and up to which picture each portion goes."""
    portion: list[str] = []
    async for info in objects.list(prefix):
        if info.key.endswith(META):
            portion.append(info.key)
            if len(portion) == _PORTION:
                yield portion, png_of(portion[-1])
                portion = []
    yield portion, "\U0010ffff"


async def _fetch(objects: ObjectStore, meta_keys: list[str]) -> list[Sidecar]:
    """Read sidecars, some at a time; leave out what is not ours or gone meanwhile."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def fetch(meta_key: str) -> Sidecar | None:
        async with gate:
            try:
                return decode(await objects.get(meta_key), meta_key)
            except NotStoredError:
                return None

    found = await asyncio.gather(*map(fetch, meta_keys))
    return [sidecar for sidecar in found if sidecar is not None]


async def _forget(
    catalogue: Catalogue, objects: ObjectStore, seen: set[str], after: str, until: str
) -> int:
    """Remove the entries of one stretch that have no sidecar."""
    gone = []
    for key in await catalogue.keys_between(after, until):
        if key in seen:
            continue
        try:
            # It may have been stored since the store was listed: ask again before forgetting it.
            await objects.stat(meta_of(key))
        except NotStoredError:
            gone.append(key)
    if gone:
        await catalogue.remove(gone)
    return len(gone)

"""Thumbnails are made of what is there, and of nothing that is gone."""

from pathlib import Path

import pytest
from typing_extensions import override

from engines.card import test_card as a_card
from scheduler.errors import NotStoredError, StoreDownError
from service.store.files import FileStore
from service.thumbs import Thumbs

KEY = "images/20260131_174500_0123abcd.png"


class Fleeting(FileStore):
    """Loses what was read from it."""

    @override
    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        data = await super().get(key, start=start, length=length)
        await self.delete(key)
        return data


async def put_card(objects: FileStore) -> None:
    await objects.open()
    png = a_card(width=64, height=64, seed=1)
    await objects.put(KEY, png, content_type="image/png")


async def test_a_picture_that_is_deleted_meanwhile_leaves_no_thumbnail(tmp_path: Path) -> None:
    objects = Fleeting(tmp_path / "objects")
    await put_card(objects)
    thumbs = Thumbs(folder=tmp_path / "thumbs", objects=objects)
    with pytest.raises(NotStoredError):
        await thumbs.get(KEY)
    assert list((tmp_path / "thumbs").iterdir()) == []


async def test_a_thumbnail_is_forgotten_with_its_picture(tmp_path: Path) -> None:
    objects = FileStore(tmp_path / "objects")
    await put_card(objects)
    thumbs = Thumbs(folder=tmp_path / "thumbs", objects=objects)
    await thumbs.forget(KEY)
    await thumbs.get(KEY)
    await objects.delete(KEY)
    assert await thumbs.get(KEY), "it is kept, so nobody may forget to forget it"
    await thumbs.forget(KEY)
    with pytest.raises(NotStoredError):
        await thumbs.get(KEY)


async def test_a_thumbnail_that_cannot_be_forgotten_is_said(tmp_path: Path) -> None:
    (tmp_path / "thumbs" / "20260131_174500_0123abcd.thumb.webp").mkdir(parents=True)
    thumbs = Thumbs(folder=tmp_path / "thumbs", objects=FileStore(tmp_path / "objects"))
    with pytest.raises(StoreDownError, match="the thumbnail of images/"):
        await thumbs.forget(KEY)

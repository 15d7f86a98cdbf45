"""The places where objects may lie, each with a way to make it fail and come back."""

import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from service.store.base import ObjectStore
from service.store.files import FileStore
from service.store.s3 import S3Store
from tests.contract.rgw import Gateway


class Place(ABC):
    """Where objects lie, with its breaker."""

    @abstractmethod
    def store(self) -> ObjectStore:
        """Return another store on the same place, not opened."""

    @abstractmethod
    def fail(self) -> None:
        """Take the place away as an accident would."""

    @abstractmethod
    def come_back(self) -> None:
        """Bring it back with all that it held."""


class FolderPlace(Place):
    """A folder; it fails as an unplugged disk does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._away = folder.with_name("away")

    def store(self) -> FileStore:
        return FileStore(self._folder)

    def fail(self) -> None:
        self._folder.rename(self._away)

    def come_back(self) -> None:
        if self._away.exists():
            shutil.rmtree(self._folder, ignore_errors=True)
            self._away.rename(self._folder)


class BucketPlace(Place):
    """A bucket of its own on the gateway; it fails as a crash of the gateway does."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.bucket = f"kitty-{uuid.uuid4().hex[:12]}"

    def store(self, **changes: Any) -> S3Store:  # noqa: ANN401 - any setting of the store
        settings = {
            "endpoint_url": self.gateway.url,
            "bucket": self.bucket,
            "access_key": self.gateway.access_key,
            "secret_key": self.gateway.secret_key,
        }
        return S3Store(**{**settings, **changes})

    def fail(self) -> None:
        self.gateway.kill()

    def come_back(self) -> None:
        self.gateway.revive()


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.server)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each place in turn; whatever a test does to it, it is back afterwards."""
    if request.param == "folder":
        made: Place = FolderPlace(tmp_path / "objects")
    else:
        made = BucketPlace(request.getfixturevalue("gateway"))
    yield made
    made.come_back()


@pytest.fixture
def bucket(gateway: Gateway) -> Iterator[BucketPlace]:
    """A bucket, for what only S3 can do."""
    made = BucketPlace(gateway)
    yield made
    made.come_back()


@pytest.fixture
async def objects(place: Place) -> AsyncIterator[ObjectStore]:
    """An open store on each place in turn."""
    store = place.store()
    await store.open()
    yield store
    await store.aclose()

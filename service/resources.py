"""Opens everything that has to be opened before the application can be built, and closes it."""

import asyncio
import fcntl
import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engines.base import EngineName
from engines.config import Config, ConfigError, read_config
from engines.diffusers.settings import DiffusersSettings
from engines.inputs import Inputs
from engines.registry import Built, EngineSettings, build_engines, default_engine
from scheduler.errors import StoreError
from scheduler.ports import Clock, SystemClock
from service.settings import Settings, SettingsError
from service.store import journal, rows
from service.store.base import ObjectStore
from service.store.catalogue import Catalogue
from service.store.database import Database
from service.store.files import FileStore
from service.store.images import PictureStore
from service.store.keys import Keys
from service.store.spool import Spool
from service.thumbs import Thumbs

IN_USE_SECONDS = 3.0
IN_USE_TRIES = 30

_NEEDS = {
    "invokeai": "ENGINE_BASE_URL",
    "comfyui": "COMFY_BASE_URL",
    "a1111": "A1111_BASE_URL",
    "diffusers": "torch and diffusers, which are not installed (ops/setup installs them)",
}
"""What makes an engine there, if it is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The opened parts."""

    engines: Mapping[EngineName, Built]
    default_engine: EngineName
    config: Config
    inputs: Inputs
    objects: ObjectStore
    journal: journal.Journal
    catalogue: Catalogue
    images: PictureStore
    thumbs: Thumbs
    keys: Keys
    clock: Clock


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open stores and engines, in that order; close them in the other.

    An object store that is down does not stop the start: pictures wait in the spool.
    """
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_alone(settings.data_dir))
        database = await _database(settings)
        stack.push_async_callback(database.aclose)
        objects = _object_store(settings)
        stack.push_async_callback(objects.aclose)
        spool = await _spool(settings.data_dir / "spool")
        catalogue, keys = Catalogue(database), _keys(settings)
        thumbs = Thumbs(folder=settings.data_dir / "thumbs", objects=objects)
        images = PictureStore(
            objects=objects, spool=spool, catalogue=catalogue, keys=keys, forget=thumbs.forget
        )
        inputs = Inputs(settings.data_dir / "inputs")
        wanted = _engine_settings(settings)
        config = _config(settings)
        engines = build_engines(wanted, config, inputs=inputs)
        for built in engines.values():
            stack.push_async_callback(built.engine.aclose)
        yield Resources(
            engines=engines,
            config=config,
            default_engine=_default(settings, wanted, engines),
            inputs=inputs,
            objects=objects,
            journal=journal.Journal(database),
            catalogue=catalogue,
            images=images,
            thumbs=thumbs,
            keys=keys,
            clock=SystemClock(),
        )


@asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """Keep other processes out of the data folder; the system lets go for whoever dies.

    Two services on one journal would both draw its jobs, and take each other's for crashed.
    """
    with _lock_file(folder) as lock:
        # The one before may be ending still.
        for _ in range(IN_USE_TRIES):
            with suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(IN_USE_SECONDS / IN_USE_TRIES)
        else:
            raise SettingsError(f"DATA_DIR: another kitty-images uses {folder}")
        yield


def _lock_file(folder: Path) -> IO[bytes]:
    """Open the file whose lock says that the folder is in use; the folder is made if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / "in-use").open("wb")
    except OSError as error:
        raise SettingsError(f"DATA_DIR: {folder}: {error.strerror}") from None


async def _database(settings: Settings) -> Database:
    """Open the file of jobs and catalogue."""
    database = Database(settings.data_dir / "kitty.sqlite3")
    try:
        await database.open(schema=journal.SCHEMA + rows.SCHEMA)
    except sqlite3.Error as error:
        path = settings.data_dir / "kitty.sqlite3"
        raise SettingsError(f"DATA_DIR: {path}: {error}") from None
    return database


async def _spool(folder: Path) -> Spool:
    """Open the folder of pictures that wait for the store."""
    spool = Spool(folder)
    try:
        await spool.open()
    except StoreError as error:
        raise SettingsError(f"DATA_DIR: {error}") from None
    return spool


def _keys(settings: Settings) -> Keys:
    """Return the names under which pictures are stored."""
    try:
        return Keys(settings.s3_prefix)
    except ValueError as error:
        raise SettingsError(f"S3_PREFIX: {error}") from None


def _object_store(settings: Settings) -> ObjectStore:
    """Choose S3 if it is configured, else a folder."""
    if settings.s3_endpoint_url is None:
        return FileStore(settings.bucket_folder)
    # Importing the S3 client takes half a second, so only those pay who use it.
    from service.store.s3 import S3Store  # noqa: PLC0415

    access, secret = settings.s3_access_key, settings.s3_secret_key
    return S3Store(
        endpoint_url=settings.s3_endpoint_url,
        public_endpoint_url=settings.s3_public_endpoint_url or "",
        bucket=settings.s3_bucket,
        region=settings.s3_region,
        access_key=access.get_secret_value() if access else "",
        secret_key=secret.get_secret_value() if secret else "",
    )


def _config(settings: Settings) -> Config:
    """Read the file of engines and profiles."""
    try:
        return read_config(settings.config_file)
    except ConfigError as error:
        raise SettingsError(f"CONFIG_FILE: {error}") from None


def _engine_settings(settings: Settings) -> EngineSettings:
    """Return the engines' slice of the settings."""
    return EngineSettings(
        default=settings.image_engine,
        invokeai_url=settings.engine_base_url,
        comfyui_url=settings.comfy_base_url,
        comfyui_workflow=settings.comfy_workflow_json,
        a1111_url=settings.a1111_base_url,
        a1111_auth=settings.a1111_auth.get_secret_value() if settings.a1111_auth else "",
        models_dir=settings.models_dir or settings.data_dir / "models",
        data_dir=settings.data_dir,
        device=settings.device,
        diffusers=DiffusersSettings(
            precision=settings.precision,
            batch=settings.batch,
            threads=settings.threads,
            memory_gib=settings.model_memory_gib,
            tile_pixels=settings.tile_pixels,
            preview_seconds=settings.preview_seconds,
            snapshot_seconds=settings.snapshot_seconds,
            allow_hub=settings.allow_hub,
        ),
        fake_step_seconds=settings.fake_step_seconds,
    )


def _default(
    settings: Settings, wanted: EngineSettings, engines: Mapping[EngineName, Built]
) -> EngineName:
    """Return the engine that draws when nobody names one."""
    name = default_engine(wanted)
    if name in engines:
        return name
    if name in _NEEDS:
        raise SettingsError(f"IMAGE_ENGINE: {name} needs {_NEEDS[name]}")
    known = ", ".join(engines)
    raise SettingsError(f"IMAGE_ENGINE: {settings.image_engine!r} is none of: {known}")

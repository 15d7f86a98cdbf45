"""Old input pictures go, but not those of jobs that wait, even of those that are read last."""

import asyncio
import os
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from aiohttp.test_utils import TestServer
from typing_extensions import override

from engines.inputs import Inputs
from engines.spec import InputRef
from service.app import build_app
from service.resources import open_resources
from service.settings import Settings
from service.store import journal
from service.store.database import Database
from tests.unit.scheduler.parts import an_ask
from tests.unit.scheduler.test_job import NOW

MANY = 2500


class ToldInputs(Inputs):
    """Says when the old pictures have been looked through."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.looked = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    @override
    def forget(self, *, before: float, but: Collection[InputRef]) -> int:
        try:
            return super().forget(before=before, but=but)
        finally:
            self._loop.call_soon_threadsafe(self.looked.set)


async def leave(folder: Path, needed: InputRef) -> None:
    """Leave many waiting jobs behind, the last of which needs a picture."""
    database = Database(folder / "kitty.sqlite3")
    await database.open(schema=journal.SCHEMA)
    record, ask = journal.Journal(database), an_ask()
    jobs = [ask.job(number=1 + number, now=NOW, highres_cost=1.0) for number in range(MANY)]
    jobs[-1] = replace(jobs[-1], spec=replace(jobs[-1].spec, init_image=needed))
    await asyncio.gather(record.pause(True), *(record.add(job) for job in jobs))
    await database.aclose()


async def test_an_old_input_of_a_job_that_waits_is_kept(tmp_path: Path) -> None:
    needed, unneeded = InputRef("a" * 64), InputRef("b" * 64)
    folder = tmp_path / "inputs"
    folder.mkdir()
    for ref in (needed, unneeded):
        (folder / ref).write_bytes(b"a picture")
        os.utime(folder / ref, (0, 0))
    await leave(tmp_path, needed)
    settings = Settings(data_dir=tmp_path, image_engine="fake")
    async with open_resources(settings) as parts:
        inputs = ToldInputs(folder)
        server = TestServer(build_app(settings, replace(parts, inputs=inputs)))
        await server.start_server()
        await inputs.looked.wait()
        await server.close()
    assert [path.name for path in folder.iterdir()] == [needed]

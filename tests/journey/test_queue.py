"""The queue as a whole: how long it may be, and that it stands still when it is told to."""

import asyncio
import signal
import threading
from pathlib import Path

from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from service.app import build_app
from service.keys import JOURNAL
from service.resources import open_resources
from service.settings import Settings
from tests.journey.running import Client, Service, client_of

SHOWS = ("/api/images/stats", "/healthz", "/readyz")


async def ask(client: Client, key: str, **body: object) -> tuple[int, str]:
    """Submit under a key; return the status, and the job or the code."""
    wish = {"prompt": "a card", "width": 64, "height": 64, **body}
    headers = {"Idempotency-Key": key} if key else {}
    path = "/api/images/generate"
    async with client.session.post(path, json=wish, headers=headers) as answer:
        if answer.status == 429:
            assert int(answer.headers["Retry-After"]) > 0
        said = await answer.json(content_type=None)
        return answer.status, said.get("code") or said["job_id"]


async def test_a_full_queue_takes_nobody_but_who_is_in_it(tmp_path: Path) -> None:
    async with Service(tmp_path, QUEUE_MAX="1") as service, client_of(service) as client:
        await client.json("POST", "/api/images/queue/pause")
        first = await ask(client, "one")
        assert first[0] == 202
        assert await ask(client, "one") == first
        assert await ask(client, "one", steps=9) == (409, "idempotency_conflict")
        assert await ask(client, "two") == (429, "queue_full")
        assert await ask(client, "") == (429, "queue_full")
        await client.json("POST", f"/api/images/jobs/{first[1]}/pause")
        assert await ask(client, "two") == (429, "queue_full")
        assert await ask(client, "one") == first
        await client.json("DELETE", f"/api/images/jobs/{first[1]}")
        assert (await ask(client, "two"))[0] == 202


async def test_a_paused_queue_stays_so_though_the_service_is_killed(tmp_path: Path) -> None:
    async with Service(tmp_path) as service, client_of(service) as client:
        assert (await client.json("POST", "/api/images/queue/pause"))[1]["paused"] is True
        job_id = (await client.submit())["job_id"]
        await service.end(signal.SIGKILL)
    async with Service(tmp_path) as service, client_of(service) as client:
        for path in SHOWS:
            assert (await client.json("GET", path))[1]["paused"] is True, path
        assert (await client.job(job_id))["state"] == "queued"
        assert (await client.json("POST", "/api/images/queue/resume"))[1]["paused"] is False
        assert (await client.ended(job_id))["state"] == "succeeded"
        await service.end(signal.SIGKILL)
    async with Service(tmp_path) as service, client_of(service) as client:
        for path in SHOWS:
            assert (await client.json("GET", path))[1]["paused"] is False, path


async def test_stats_wait_for_no_search(tmp_path: Path) -> None:
    settings, search_ends = Settings(data_dir=tmp_path, image_engine="fake"), threading.Event()
    async with open_resources(settings) as parts:
        app = build_app(settings, parts)
        server = TestServer(app)
        await server.start_server()
        async with ClientSession(server.make_url("")) as session:
            client = Client(session)
            await client.draw()
            await client.draw("[fail bad_picture]")
            database = app[JOURNAL]._database
            assert database._readers is not None
            search = database._readers.submit(search_ends.wait)
            try:
                async with asyncio.timeout(60):
                    _, stats = await client.json("GET", "/api/images/stats")
                assert not search.done()
            finally:
                search_ends.set()
            counted = {"queued": 0, "started": 0, "finished": 1, "failed": 1}
            assert stats == {**counted, "paused": False}
        await server.close()

"""The service as a process of its own, and a small client that waits on its news."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

ROOT = Path(__file__).parents[2]
_ADDRESS = re.compile(rb"listens on (http://\S+)")


def environment(data: Path, **settings: str) -> dict[str, str]:
    """Return an environment with these settings and no others of ours."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "CI", "VIRTUAL_ENV")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PYTHONPATH": str(ROOT),
        "DATA_DIR": str(data),
        "SERVICE_PORT": "0",
        "IMAGE_ENGINE": "fake",
        **settings,
    }


class Service:
    """`python -m service` on a free port."""

    def __init__(self, data: Path, **settings: str) -> None:
        self._environment = environment(data, **settings)
        self.process: asyncio.subprocess.Process | None = None
        self.url = ""
        self.log = b""
        self._reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and return when it listens."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "service",
            env=self._environment,
            cwd=ROOT,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self.process.stderr is not None
        while not (found := _ADDRESS.search(self.log)):
            line = await self.process.stderr.readline()
            assert line, self.log.decode()
            self.log += line
        self.url = found[1].decode()
        self._reading = asyncio.create_task(self._read(self.process.stderr))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self.log += line

    @property
    def pid(self) -> int:
        """Its process's number."""
        assert self.process is not None
        return self.process.pid

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            # Its own `send_signal` would reap a child that has just ended, and lose the code.
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
        code = await self.process.wait()
        if self._reading is not None:
            await self._reading
        return code

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.end(signal.SIGKILL)


class Client:
    """Speaks REST; waits on server-sent news, never on time."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def json(self, method: str, path: str, **how: Any) -> tuple[int, Any]:  # noqa: ANN401
        """Return status and body."""
        async with self.session.request(method, path, **how) as answer:
            return answer.status, await answer.json(content_type=None)

    async def submit(self, prompt: str = "a card", **body: object) -> dict[str, Any]:
        """Submit a job and return the answer."""
        body = {"prompt": prompt, "width": 64, "height": 64, "steps": 4, **body}
        status, answer = await self.json("POST", "/api/images/generate", json=body)
        assert status == 202, answer
        result: dict[str, Any] = answer
        return result

    async def job(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        status, answer = await self.json("GET", f"/api/images/jobs/{job_id}")
        assert status == 200, answer
        result: dict[str, Any] = answer
        return result

    async def ended(self, job_id: str) -> dict[str, Any]:
        """Return a job when it has ended."""
        return await self.until(job_id, "succeeded", "failed", "cancelled")

    async def until(self, job_id: str, *states: str) -> dict[str, Any]:
        """Return a job when it is in one of these states."""
        async with self.session.ws_connect(f"/api/images/ws?job_id={job_id}") as news:
            await told(news)
            job = await self.job(job_id)
            while job["state"] not in states:
                job = (await told(news))["job"]
        return job

    async def drawing(self, job_id: str) -> dict[str, Any]:
        """Return a job when it holds the GPU: its first step is done, or it has ended."""
        async with self.session.ws_connect(f"/api/images/ws?job_id={job_id}") as news:
            await told(news)
            job = await self.job(job_id)
            while job["step"] == 0 and job["phase"] not in ("storing", "done", "ended"):
                job = (await told(news))["job"]
        return job

    async def draw(self, prompt: str = "a card", **body: object) -> dict[str, Any]:
        """Submit a job and return it when it has ended."""
        return await self.ended((await self.submit(prompt, **body))["job_id"])


async def told(news: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Return the next message, previews left out."""
    while (message := await news.receive()).type is aiohttp.WSMsgType.BINARY:
        continue
    result: dict[str, Any] = message.json()
    return result


@asynccontextmanager
async def client_of(service: Service, **headers: str) -> AsyncIterator[Client]:
    """Open a client of a running service."""
    async with aiohttp.ClientSession(service.url, headers=headers) as session:
        yield Client(session)

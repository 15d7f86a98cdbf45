"""A real llama.cpp server with a tiny random model, as a process of its own."""

import asyncio
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp

HERE = Path(__file__).parent


class Llama:
    """llama.cpp's own HTTP server on a free port; `kill` it as SIGKILL would."""

    def __init__(self, folder: Path, *, slots: int = 3) -> None:
        self._model = folder / "tiny.gguf"
        self._slots = slots
        self._process: asyncio.subprocess.Process | None = None
        self.url = ""

    async def start(self, port: int = 0) -> None:
        """Start it, on the same port again if one is given, and return when it answers."""
        if not self._model.exists():
            await self._run(str(HERE / "tiny_gguf.py"), str(self._model))
        port = port or await _free_port()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / "llama_main.py"), str(self._model), str(port),
            str(self._slots), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n"
        self.url = f"http://127.0.0.1:{port}"
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/health") as answer:
            assert answer.status == 200

    async def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _run(self, *arguments: str) -> None:
        process = await asyncio.create_subprocess_exec(sys.executable, *arguments)
        assert await process.wait() == 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.kill()


async def _free_port() -> int:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port

"""A small Hugging Face hub: it lists the repositories that it has, and gives their files out.

Answers as huggingface_hub 2.4 reads them: a repository's newest revision, the tree of that
revision, and each file with the revision and an ETag in its headers.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

SHA = "0123456789abcdef0123456789abcdef01234567"


@dataclass(slots=True)
class FakeHub:
    """The hub and what it was asked for.

    Attributes:
        repositories: `owner/name` → the folder whose files it has.
        given: The paths of the files that were given out, in order.
        wanted: Set when the first file is asked for.
        open: Files wait for this.
    """

    repositories: Mapping[str, Path]
    url: str = ""
    given: list[str] = field(default_factory=list)
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def _folder(self, request: web.Request) -> Path:
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        if name not in self.repositories:
            raise web.HTTPNotFound(headers={"X-Error-Code": "RepoNotFound"})
        return self.repositories[name]

    async def about(self, request: web.Request) -> web.Response:
        """Name the newest revision."""
        self._folder(request)
        name = f"{request.match_info['owner']}/{request.match_info['name']}"
        return web.json_response({"id": name, "modelId": name, "sha": SHA, "siblings": []})

    async def tree(self, request: web.Request) -> web.Response:
        """List every file of a revision."""
        folder = self._folder(request)
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return web.json_response(
            [
                {
                    "type": "file",
                    "path": path.relative_to(folder).as_posix(),
                    "size": path.stat().st_size,
                    "oid": hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest(),
                }
                for path in files
            ]
        )

    async def file(self, request: web.Request) -> web.Response:
        """Give a file out, or say what it is."""
        path = request.match_info["path"]
        data = (self._folder(request) / path).read_bytes()
        etag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if request.method == "GET":
            self.wanted.set()
            await self.open.wait()
            self.given.append(path)
        return web.Response(body=data, headers={"ETag": f'"{etag}"', "X-Repo-Commit": SHA})


@asynccontextmanager
async def fake_hub(repositories: Mapping[str, Path]) -> AsyncIterator[FakeHub]:
    """Run a hub with these repositories; point `HF_ENDPOINT` at its `url`."""
    hub = FakeHub(repositories)
    app = web.Application()
    app.router.add_get("/api/models/{owner}/{name}", hub.about)
    app.router.add_get("/api/models/{owner}/{name}/revision/{revision}", hub.about)
    app.router.add_get("/api/models/{owner}/{name}/tree/{revision}", hub.tree)
    app.router.add_get("/{owner}/{name}/resolve/{revision}/{path:.+}", hub.file)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    hub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield hub
    finally:
        hub.open.set()
        await runner.cleanup()

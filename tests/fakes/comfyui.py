"""A ComfyUI server with the manners of real ones, good and bad, for tests to direct.

It behaves as releases 0.3.64 (`newer=False`) and 0.38 (`newer=True`) do; decision 0015 lists
what a real one was seen to do. The newer ones insist on UUIDs and cancel prompts by name.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.comfyui_diary import Diary
from tests.fakes.comfyui_files import Files, broken
from tests.fakes.comfyui_nodes import OUTPUTS, Shelf, refusal, upstream
from tests.fakes.comfyui_sockets import Sockets
from tests.fakes.comfyui_worker import Item, Worker
from tests.fakes.stage import Phase, Stage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class Manners:
    """How a server behaves where releases, settings and accidents differ.

    Attributes:
        newer: Speak as 0.38 does, not as 0.3.64.
        names_prompts: Choose prompt ids itself, as releases before 2025 did.
        targets_interrupts: Heed the id in an interrupt; releases before Sep 2025 did not.
    """

    newer: bool = True
    names_prompts: bool = False
    targets_interrupts: bool = True


class FakeComfyUi:
    """The server; `url` once it is open.

    Attributes:
        asked: Method and path of every request, in order.
        bodies: Everything that was posted to `/prompt`.
        hiccups: Looks at the history that the server is yet to answer with an error.
        drops: Looks at the history that it is yet to answer by hanging up.
        slowness: How often the server is asked for its free memory until that has grown.
        door: While it is clear, prompts have arrived but are not taken in.
    """

    def __init__(self, *, manners: Manners | None = None) -> None:
        self.manners = manners or Manners()
        self.stage = Stage()
        self.shelf = Shelf()
        self.hiccups = self.drops = self._frees_in = 0
        self.slowness = 1
        self.door = asyncio.Event()
        self.door.set()
        self.sockets = Sockets()
        self.worker = Worker(
            stage=self.stage, shelf=self.shelf, send=self.sockets.send, cut=self.cut_connections
        )
        self.files = Files(shelf=self.shelf, stage=self.stage, pictures=self.worker.files)
        self.url = ""
        self.asked = Diary()
        self.bodies: list[Any] = []
        self._transports: set[asyncio.Transport] = set()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen on a free port of the loopback interface."""
        app = web.Application(middlewares=[self._watch], client_max_size=2**27)
        app.add_routes(self._routes())
        self._runner = web.AppRunner(app, shutdown_timeout=0.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        self.cut_connections()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def cut_connections(self) -> None:
        """Break every connection."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()

    async def restart(self) -> None:
        """Forget everything, as a restart does."""
        await self.worker.restart()
        self.cut_connections()

    def _routes(self) -> list[web.RouteDef]:
        routes = [
            web.get("/ws", self._websocket),
            web.get("/system_stats", self._stats),
            web.get("/history/{prompt_id}", self._history),
            web.get("/queue", self._queue),
            web.post("/prompt", self._prompt),
            web.post("/queue", self._edit_queue),
            web.post("/interrupt", self._interrupt),
            web.post("/history", self._edit_history),
            web.post("/free", self._free),
            *self.files.routes(),
            web.get("/{path:.*}", _no_such_file),  # the web interface: a POST elsewhere is a 405
        ]
        if self.manners.newer:
            routes.insert(0, web.post("/api/jobs/{prompt_id}/cancel", self._cancel))
        return routes

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if isinstance(request.transport, asyncio.Transport):
            self._transports.add(request.transport)
        self.asked.note(f"{request.method} {request.path}")
        return await handler(request)

    # -- prompts

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        client_id, running = request.query.get("clientId", ""), self.worker.running
        greeting: list[tuple[str, Any]] = [("status", {**self.worker.status(), "sid": client_id})]
        if running is not None and running.client_id == client_id:
            greeting.append(("executing", {"node": self.worker.ran[-1]}))
        return await self.sockets.serve(request, *greeting)

    async def _prompt(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.bodies.append(body)
        await self.door.wait()
        if self.stage.cuts(Phase.SUBMIT):
            return broken(request)
        prompt_id = str(body.get("prompt_id", uuid.uuid4()))
        if self.manners.names_prompts:
            prompt_id = str(uuid.uuid4())
        if self.manners.newer and not _is_canonical(prompt_id):
            error = {"type": "invalid_prompt_id", "message": "no canonical UUID", "details": ""}
            return web.json_response({"error": error, "node_errors": {}}, status=400)
        graph = body["prompt"]
        problem, complaints = refusal(graph, self.shelf)
        if problem is not None:
            return web.json_response({"error": problem, "node_errors": complaints}, status=400)
        outputs = [
            node
            for node in graph
            if graph[node]["class_type"] in OUTPUTS
            and not set(upstream(graph, node)) & set(complaints)
        ]
        client_id = body.get("client_id")
        self.stage.accepted()
        self.worker.put(
            Item(prompt_id=prompt_id, graph=graph, client_id=client_id, outputs=outputs)
        )
        if self.stage.cuts(Phase.ANSWER):
            return broken(request)
        answer = {"prompt_id": prompt_id, "number": 0, "node_errors": complaints}
        return web.json_response(answer)

    async def _history(self, request: web.Request) -> web.Response:
        if self.drops > 0:
            self.drops -= 1
            return broken(request)
        if self.hiccups > 0:
            self.hiccups -= 1
            return web.Response(status=500)
        prompt_id = request.match_info["prompt_id"]
        entry = self.worker.history.get(prompt_id)
        return web.json_response({} if entry is None else {prompt_id: entry})

    async def _edit_history(self, request: web.Request) -> web.Response:
        for prompt_id in (await request.json())["delete"]:
            self.worker.history.pop(prompt_id, None)
        return web.Response()

    async def _queue(self, _: web.Request) -> web.Response:
        running = self.worker.running
        return web.json_response(
            {
                "queue_running": [running.row()] if running else [],
                "queue_pending": [item.row() for item in self.worker.pending],
            }
        )

    async def _edit_queue(self, request: web.Request) -> web.Response:
        for prompt_id in (await request.json())["delete"]:
            self.worker.delete(prompt_id)
        return web.Response()

    async def _interrupt(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.worker.interrupt(body.get("prompt_id") if self.manners.targets_interrupts else None)
        return web.Response()

    async def _cancel(self, request: web.Request) -> web.Response:
        prompt_id = request.match_info["prompt_id"]
        done = self.worker.delete(prompt_id) or self.worker.interrupt(prompt_id)
        return web.json_response({"cancelled": done})

    async def _free(self, request: web.Request) -> web.Response:
        body = await request.json()
        if body.get("unload_models") and body.get("free_memory"):
            self._frees_in = self.slowness
        return web.Response()

    async def _stats(self, _: web.Request) -> web.Response:
        self._frees_in -= 1
        if self._frees_in == 0:
            self.worker.free()
        version = "0.38.1" if self.manners.newer else "0.3.64"
        device = {"name": "cuda:0", "vram_free": 2**33 - 2**32 * self.worker.loaded}
        return web.json_response({"system": {"comfyui_version": version}, "devices": [device]})


@asynccontextmanager
async def fake_comfyui(manners: Manners | None = None) -> AsyncIterator[FakeComfyUi]:
    """Run a server for the length of the block."""
    server = FakeComfyUi(manners=manners)
    await server.start()
    server.worker.start()
    try:
        yield server
    finally:
        await server.worker.stop()
        await server.stop()


async def _no_such_file(_: web.Request) -> web.Response:
    return web.Response(status=404)


def _is_canonical(prompt_id: str) -> bool:
    try:
        return str(uuid.UUID(prompt_id)) == prompt_id
    except ValueError:
        return False

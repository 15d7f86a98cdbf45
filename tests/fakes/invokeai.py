"""InvokeAI's HTTP and socket.io interface on loopback, with the manners of the real one.

Item ids come newest first, a re-POST queues again, a full queue answers 200, unknown fields are
ignored, a wrong queue is a 500, cancelling is instant in the answer and slow in the worker, and
events come twice and are not repeated for those who were away.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import socketio
from aiohttp import web

from tests.fakes.invokeai_answers import TOKEN, Handler, abort, problem
from tests.fakes.invokeai_graphs import openapi, problems
from tests.fakes.invokeai_queue import FakeItem, FakeQueue
from tests.fakes.stage import Phase, Stage

_QUEUE = "/api/v1/queue/{queue}"


class FakeInvokeAi:
    """A server on a free port of loopback.

    Attributes:
        version: What it calls itself.
        lacks: Node types that it does not have.
        full: Whether the queue takes nothing more in.
        login: E-mail and password of a multi-user server, None for an open one.
        boards: Id → name.
        uploads: Name and category of every uploaded picture.
        emptied: How often the model cache was emptied.
        deaf: How many questions about an item are cut off.
        looked: Set whenever somebody asks what the worker does.
    """

    def __init__(self) -> None:
        self.stage = Stage()
        self.version = "6.14.2"
        self.lacks: frozenset[str] = frozenset()
        self.full = False
        self.login: tuple[str, str] | None = None
        self.boards = {"board-1": "Old"}
        self.uploads: list[tuple[str, str]] = []
        self.emptied = 0
        self.deaf = 0
        self.looked = asyncio.Event()
        self.url = ""
        self._sio = socketio.AsyncServer(async_mode="aiohttp", monitor_clients=False)
        self._sio.on("subscribe_queue", self._subscribe)
        self.queue = FakeQueue(self.stage, self._emit, self.cut_all)
        self._transports: set[asyncio.BaseTransport] = set()
        self._runner: web.AppRunner | None = None
        self._worker: asyncio.Task[None] | None = None

    def install(self, *records: Mapping[str, Any]) -> None:
        """Add models."""
        self.queue.models |= {record["key"]: record for record in records}

    async def start(self) -> None:
        """Listen and draw."""
        app = web.Application(middlewares=[self._watched], client_max_size=2**26)
        app.add_routes(self._routes())
        self._sio.attach(app, socketio_path="ws/socket.io")
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._worker = asyncio.create_task(self.queue.work())

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        self.cut_all()
        await runner.cleanup()
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.wait([self._worker])

    def cut_all(self) -> None:
        """Break every open connection."""
        for transport in list(self._transports):
            transport.abort()  # type: ignore[attr-defined]

    @web.middleware
    async def _watched(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        transport = request.transport
        if transport is not None:
            self._transports.add(transport)
        if not self._admits(request):
            return problem(401, "Missing authentication credentials")
        try:
            return await handler(request)
        finally:
            if transport is not None and request.path.startswith("/ws"):
                self._transports.discard(transport)

    def _admits(self, request: web.Request) -> bool:
        free = ("/api/v1/app/version", "/api/v1/auth/login")
        if self.login is None or request.path in free or request.path.startswith("/ws"):
            return True
        return request.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/api/v1/app/version", self._app_version),
            web.get("/openapi.json", self._openapi),
            web.post("/api/v1/auth/login", self._log_in),
            web.get("/api/v2/models/", self._models),
            web.post("/api/v2/models/empty_model_cache", self._empty),
            web.get("/api/v1/boards/", self._boards),
            web.post("/api/v1/boards/", self._boards),
            web.post("/api/v1/images/upload", self._upload),
            web.get("/api/v1/images/i/{name}/full", self._image),
            web.post(f"{_QUEUE}/enqueue_batch", self._enqueue),
            web.get(f"{_QUEUE}/status", self._status),
            web.get(f"{_QUEUE}/list_all", self._list_all),
            web.get(f"{_QUEUE}/b/{{batch}}/status", self._batch_status),
            web.get(f"{_QUEUE}/i/{{item}}", self._item),
            web.put(f"{_QUEUE}/i/{{item}}/cancel", self._item),
            web.put(f"{_QUEUE}/processor/{{verb:pause|resume}}", self._processor),
        ]

    async def _subscribe(self, sid: str, data: Mapping[str, Any]) -> None:
        await self._sio.enter_room(sid, data["queue_id"])

    async def _emit(self, name: str, event: Mapping[str, Any]) -> None:
        await self._sio.emit(name, event, room=event["queue_id"])

    async def _app_version(self, _: web.Request) -> web.Response:
        return web.json_response({"version": self.version})

    async def _openapi(self, _: web.Request) -> web.Response:
        return web.json_response(openapi(self.lacks))

    async def _log_in(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (body["email"], body["password"]) != self.login:
            return problem(401, "Incorrect email or password")
        return web.json_response({"token": TOKEN, "user": {}, "expires_in": 60})

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"models": list(self.queue.models.values())})

    async def _empty(self, _: web.Request) -> web.Response:
        self.emptied += 1
        return web.json_response(None)

    async def _boards(self, request: web.Request) -> web.Response:
        boards = [{"board_id": key, "board_name": name} for key, name in self.boards.items()]
        if request.method == "GET":
            return web.json_response(boards)
        made = {"board_id": f"board-{len(boards) + 1}", "board_name": request.query["board_name"]}
        self.boards[made["board_id"]] = made["board_name"]
        return web.json_response(made, status=201)

    async def _upload(self, request: web.Request) -> web.Response:
        part = (await request.post())["file"]
        assert isinstance(part, web.FileField)
        if not part.content_type.startswith("image"):
            return problem(415, "Not an image")
        name = f"upload-{len(self.uploads) + 1}.png"
        self.uploads.append((name, request.query["image_category"]))
        self.queue.images[name] = part.file.read()
        return web.json_response({"image_name": name}, status=201)

    async def _image(self, request: web.Request) -> web.StreamResponse:
        png = self.queue.images.get(request.match_info["name"])
        if png is None:
            return problem(404, "Image not found")
        if self.stage.cuts(Phase.FETCHING):
            response = web.StreamResponse(headers={"Content-Length": str(len(png))})
            await response.prepare(request)
            await response.write(png[: len(png) // 2])
            abort(request)
            return response
        return web.Response(body=png, content_type="image/png")

    async def _enqueue(self, request: web.Request) -> web.Response:
        body = await request.json()
        if self.stage.cuts(Phase.SUBMIT):
            return abort(request)
        batch = body["batch"]
        if detail := problems(batch["graph"]):
            return web.json_response({"detail": detail}, status=422)
        if not self.full:
            self.queue.enqueue(request.match_info["queue"], batch)
        if self.stage.cuts(Phase.ANSWER):
            return abort(request)
        numbers = [item.number for item in self._of_batch(batch["batch_id"])]
        answer = {
            "queue_id": request.match_info["queue"],
            "enqueued": 0 if self.full else 1,
            "requested": 1,
            "batch": batch,
            "priority": 0,
            "item_ids": numbers[::-1],
        }
        return web.json_response(answer)

    async def _status(self, request: web.Request) -> web.Response:
        running = [i.number for i in self.queue.items if i.status == "in_progress"]
        queue = {"queue_id": request.match_info["queue"], "item_id": next(iter(running), None)}
        self.looked.set()
        return web.json_response({"queue": queue, "processor": self._worker_state()})

    async def _list_all(self, request: web.Request) -> web.Response:
        wanted = request.query["destination"]
        items = [i for i in self.queue.items if i.batch.get("destination") == wanted]
        return web.json_response([item.row() for item in items[::-1]])

    async def _batch_status(self, request: web.Request) -> web.Response:
        items = self._of_batch(request.match_info["batch"])
        return web.json_response({"queue_id": "default", "total": len(items)})

    async def _item(self, request: web.Request) -> web.Response:
        if self.deaf and request.method == "GET":
            self.deaf -= 1
            return abort(request)
        item = self._find(request)
        if isinstance(item, web.Response):
            return item
        if request.method == "PUT":
            self.queue.cancel(item)
        return web.json_response(item.row())

    async def _processor(self, request: web.Request) -> web.Response:
        self.queue.resume(started=request.match_info["verb"] == "resume")
        return web.json_response(self._worker_state())

    def _worker_state(self) -> dict[str, bool]:
        return {"is_started": self.queue.started, "is_processing": self.queue.processing}

    def _of_batch(self, batch: str) -> list[FakeItem]:
        return [item for item in self.queue.items if item.batch["batch_id"] == batch]

    def _find(self, request: web.Request) -> FakeItem | web.Response:
        queue, number = request.match_info["queue"], int(request.match_info["item"])
        item = next((item for item in self.queue.items if item.number == number), None)
        words = f"Queue item with id {number} not found in queue {queue}"
        if item is None:
            return problem(404, words)
        if queue != item.queue:  # the real route catches its own 404
            return problem(500, f"Unexpected error while fetching queue item: 404: {words}")
        return item

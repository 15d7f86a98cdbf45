"""A fake A1111 (or Forge) on a loopback port, with the real one's routes and bad manners."""

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from PIL import Image

from tests.fakes.stage import Phase, Stage
from tests.fakes.webui import CONTROLNETS, LATENT_MODES, LORAS, SCHEDULERS, UPSCALERS, Webui
from tests.fakes.webui_state import Cut, WebuiError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeA1111:
    """The routes.

    Attributes:
        nowebui: There are no `/internal` routes.
        bare: Without the LoRA and ControlNet extensions.
        old: Before 1.9: no schedulers; their names are part of the samplers'.
        auth: What `--api-auth` was given; asked for on the core's own routes only.
        without_api: Started without `--api`: no route of the core exists.
        new_checkpoints: Files that the server has not looked for yet.
        requests: Method and path of all that came in, in order.
        bodies: What the drawings were asked with.
    """

    def __init__(
        self,
        *,
        forge: bool = False,
        nowebui: bool = False,
        bare: bool = False,
        old: bool = False,
        auth: tuple[str, str] | None = None,
    ) -> None:
        self.stage = Stage()
        self.webui = Webui(self.stage, forge=forge)
        self.nowebui = nowebui
        self.bare = bare
        self.old = old
        self.auth = aiohttp.encode_basic_auth(*auth) if auth else None
        self.without_api = False
        self.new_checkpoints: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.url = ""
        self._arrived = asyncio.Event()
        self._runner: web.AppRunner | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FakeA1111"]:
        app = web.Application(middlewares=[self._manners], client_max_size=2**26)
        app.add_routes([web.route("*", "/{path:.*}", self._route)])
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Refuse connections from now on, and cut those that are open."""
        if self._runner is not None:
            runner, self._runner = self._runner, None
            assert runner.server is not None
            for connection in runner.server.connections:
                connection.force_close()
            await runner.cleanup()

    async def asked(self, method: str, path: str, *, times: int) -> None:
        """Wait until that route was asked for so often."""
        while self.requests.count((method, path)) < times:
            self._arrived.clear()
            await self._arrived.wait()

    @web.middleware
    async def _manners(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask for the password where the real one does, and put exceptions as it does."""
        self.requests.append((request.method, request.path))
        self._arrived.set()
        core = request.path.startswith("/sdapi") and request.path != "/sdapi/v1/loras"
        try:
            if core and self.auth not in (None, request.headers.get("Authorization")):
                wrong = WebuiError("HTTPException", "Incorrect username or password", 401)
                raise wrong
            if core and self.without_api:
                return web.json_response({"detail": "Not Found"}, status=404)
            return await handler(request)
        except WebuiError as error:
            if self.webui.forge and error.status >= 500:
                return web.Response(status=500, text="Internal Server Error")
            detail = str(error) if error.kind == "HTTPException" else ""
            said = {"error": error.kind, "detail": detail, "body": "", "errors": str(error)}
            return web.json_response(said, status=error.status)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        method, path = request.method, "/" + request.match_info["path"]
        if path in ("/sdapi/v1/txt2img", "/sdapi/v1/img2img") and method == "POST":
            return await self._draw(request)
        if path == "/sdapi/v1/extra-single-image" and method == "POST":
            return web.json_response(await self._enlarge(await request.json()))
        if path == "/internal/progress" and not self.nowebui:
            return web.json_response(self._task(await request.json()))
        if method == "POST":
            return web.json_response(await self._command(path))
        missing = self.bare and (path == "/sdapi/v1/loras" or path.startswith("/controlnet"))
        listing = None if missing else self._listings().get(path)
        if listing is None:
            raise WebuiError("HTTPException", "Not Found", 404)
        return web.json_response(listing)

    async def _draw(self, request: web.Request) -> web.StreamResponse:
        """Draw to the end even when nobody listens any more: the real one does so in a thread."""
        body = await request.json()
        if self.stage.cuts(Phase.SUBMIT):
            Cut(request.transport).now()
            return web.Response()
        self.bodies.append(body)
        work = asyncio.ensure_future(self.webui.draw(body, Cut(request.transport)))
        try:
            response = web.json_response(await asyncio.shield(work))
        except asyncio.CancelledError:
            work.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise
        if not self.stage.cuts(Phase.FETCHING):
            return response
        assert isinstance(response.body, bytes)
        half = web.StreamResponse(headers={"Content-Length": str(len(response.body))})
        await half.prepare(request)
        await half.write(response.body[: len(response.body) // 2])
        Cut(request.transport).now()
        return half

    async def _enlarge(self, body: dict[str, Any]) -> dict[str, Any]:
        """`extra-single-image`; sides are rounded down to multiples of 8."""
        async with self.webui.lock:
            if body["upscaler_1"] not in UPSCALERS:
                raise WebuiError("AssertionError", f"could not find {body['upscaler_1']}")
            with Image.open(io.BytesIO(base64.b64decode(body["image"]))) as image:
                scale = body["upscaling_resize"]
                size = [int(side * scale) // 8 * 8 for side in image.size]
                large = image.convert("RGB").resize((size[0], size[1]))
        out = io.BytesIO()
        large.save(out, "PNG")
        return {"html_info": "", "image": base64.b64encode(out.getvalue()).decode()}

    def _task(self, body: dict[str, Any]) -> dict[str, Any]:
        webui, task = self.webui, body["id_task"]
        look: dict[str, Any] = {
            "active": task == webui.current,
            "queued": task in webui.pending,
            "completed": task in webui.finished,
        }
        if not look["active"]:
            place = f"In queue: {webui.pending.index(task) + 1}" if look["queued"] else "Waiting..."
            return look | {"id_live_preview": -1, "textinfo": place}
        look |= {"progress": webui.state.fraction, "textinfo": None}
        look["id_live_preview"] = body["id_live_preview"]
        if body["live_preview"] and webui.state.preview_id > body["id_live_preview"]:
            look["id_live_preview"] = webui.state.preview_id
            out = io.BytesIO()
            Image.new("RGB", (16, 12), (webui.state.preview_id, 0, 0)).save(out, "PNG")
            uri = "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
            look["live_preview"] = uri
        return look

    async def _command(self, path: str) -> dict[str, Any] | None:
        match path:
            case "/sdapi/v1/interrupt":
                self.webui.interrupt()
            case "/sdapi/v1/unload-checkpoint":
                self.webui.device = "cpu"
            case "/sdapi/v1/reload-checkpoint":
                self.webui.device = "cuda"
            case "/sdapi/v1/refresh-checkpoints":
                async with self.webui.lock:
                    self.webui.checkpoints.update(dict.fromkeys(self.new_checkpoints, "0000000000"))
            case "/sdapi/v1/refresh-loras":
                return None
            case _:
                raise WebuiError("HTTPException", "Not Found", 404)
        return {}

    def _listings(self) -> dict[str, Any]:
        """Return path → what is answered to a GET."""
        schedulers = [{"name": n, "label": v, "aliases": None} for n, v in SCHEDULERS.items()]
        listings: dict[str, Any] = {
            "/sdapi/v1/progress": self._progress(),
            "/sdapi/v1/samplers": [
                {"name": n, "aliases": [f"k_{n.lower()}"], "options": {}}
                for n in self.webui.samplers
            ],
            "/sdapi/v1/schedulers": None if self.old else schedulers,
            "/sdapi/v1/sd-models": [
                _checkpoint(*model) for model in self.webui.checkpoints.items()
            ],
            "/sdapi/v1/options": self.webui.options,
            "/sdapi/v1/upscalers": [{"name": n, "scale": 4} for n in UPSCALERS],
            "/sdapi/v1/latent-upscale-modes": [{"name": n} for n in LATENT_MODES],
            "/sdapi/v1/loras": [
                {"name": n, "alias": n.title(), "path": f"/l/{n}", "metadata": {}} for n in LORAS
            ],
            "/controlnet/model_list": {"model_list": CONTROLNETS},
            "/controlnet/module_list": {"module_list": ["none", "canny"]},
        }
        vaes = [{"model_name": "vae-ft-mse", "filename": "/v/vae-ft-mse"}]
        listings["/sdapi/v1/sd-modules" if self.webui.forge else "/sdapi/v1/sd-vae"] = vaes
        if not self.nowebui:
            listings["/internal/ping"] = {}
            listings["/internal/sysinfo"] = {"Version": "v1.10.1"}
        return listings

    def _progress(self) -> dict[str, Any]:
        state = self.webui.state
        names = ("skipped", "interrupted", "stopping_generation", "job", "job_count")
        more = ("job_timestamp", "job_no", "sampling_step", "sampling_steps")
        said = {name: getattr(state, name) for name in (*names, *more)}
        return {"progress": state.fraction, "eta_relative": 0.0, "state": said, "textinfo": None}


def _checkpoint(name: str, shorthash: str) -> dict[str, Any]:
    return {
        "title": f"{name}.safetensors [{shorthash}]",
        "model_name": name,
        "hash": shorthash,
        "sha256": shorthash + "0" * 54,
        "filename": f"/models/{name}.safetensors",
        "config": None,
    }

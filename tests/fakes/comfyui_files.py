"""The files of a fake ComfyUI: models that are only names, uploads, and pictures."""

import asyncio
import io

from aiohttp import web
from PIL import Image

from tests.fakes.comfyui_nodes import Shelf
from tests.fakes.stage import Phase, Stage


class Files:
    """Serves them.

    Attributes:
        cut_at: Where the connection breaks, in bytes, when a picture is cut; None in the middle.
    """

    def __init__(
        self, *, shelf: Shelf, stage: Stage, pictures: dict[tuple[str, str, str], bytes]
    ) -> None:
        self.cut_at: int | None = None
        self._shelf = shelf
        self._stage = stage
        self._pictures = pictures

    def routes(self) -> list[web.RouteDef]:
        """Return where they are served."""
        return [
            web.get("/view", self._view),
            web.post("/upload/image", self._upload),
            web.get("/models/{folder}", self._models),
            web.get("/object_info/{node_class}", self._object_info),
            web.get("/view_metadata/{folder}", self._metadata),
        ]

    async def _view(self, request: web.Request) -> web.StreamResponse:
        query = request.query
        data = self._pictures.get((query["filename"], query["subfolder"], query["type"]))
        if data is None:
            return web.Response(status=404)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        if self._stage.cuts(Phase.FETCHING):
            cut_at = self.cut_at
            await response.write(data[: len(data) // 2 if cut_at is None else cut_at])
            return broken(request)
        await response.write(data)
        return response

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        image = form["image"]
        assert isinstance(image, web.FileField)
        folder = str(form["subfolder"])
        with Image.open(io.BytesIO(image.file.read())) as picture:
            self._shelf.uploads[f"{folder}/{image.filename}"] = picture.size
        return web.json_response({"name": image.filename, "subfolder": folder, "type": "input"})

    async def _models(self, request: web.Request) -> web.Response:
        files = self._shelf.folders.get(request.match_info["folder"])
        return web.Response(status=404) if files is None else web.json_response(files)

    async def _object_info(self, request: web.Request) -> web.Response:
        return web.json_response(self._shelf.info(request.match_info["node_class"]))

    async def _metadata(self, request: web.Request) -> web.Response:
        header = self._shelf.headers.get(request.query["filename"])
        return web.Response(status=404) if header is None else web.json_response(header)


def broken(request: web.Request) -> web.Response:
    """Break the connection instead of answering."""
    if isinstance(request.transport, asyncio.Transport):
        request.transport.abort()
    return web.Response()

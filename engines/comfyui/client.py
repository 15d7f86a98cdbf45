"""The calls to a ComfyUI server, one method each; what they mean is decided elsewhere.

Routes as in `server.py` of releases 0.3.64 to 0.38.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import aiohttp

from engines.comfyui.records import (
    File,
    Gone,
    Outcome,
    Standing,
    Waiting,
    read_history,
    read_options,
    read_queue,
    read_refusal,
)
from engines.comfyui.sketch import Graph
from engines.errors import BadPictureError, EngineProtocolError
from engines.http import Answer, Server

T = TypeVar("T")

FOLDER: Final = "kitty"
"""Our corner of the server's input and output folders."""

_REFUSED = 400
_NOT_FOUND = 404
_NO_METHOD = 405
_PREVIEWS: Final = {"preview_method": "latent2rgb"}
"""Asks for previews where the server's default is none; releases before 0.4 ignore it."""


class Client:
    """A ComfyUI server."""

    def __init__(self, *, server: Server) -> None:
        self.server = server
        self._cancels_jobs = True

    async def stats(self) -> Mapping[str, Any]:
        """Return version, devices and free memory."""
        answer = (await self.server.send("GET", "/system_stats")).require()
        return _read(answer, lambda body: {**body["system"], "devices": [*body["devices"]]})

    async def files(self, folder: str) -> list[str]:
        """List the model files of a kind, none where the server has no such folder."""
        answer = await self.server.send("GET", f"/models/{folder}")
        if answer.status == _NOT_FOUND:
            return []
        return _read(answer.require(), lambda body: [str(name) for name in body])

    async def header(self, folder: str, name: str) -> Mapping[str, Any]:
        """Return what the head of a safetensors file says, nothing where it says nothing."""
        query = {"filename": name}
        answer = await self.server.send("GET", f"/view_metadata/{folder}", query=query)
        return _read(answer, dict) if answer.ok else {}

    async def options(self, node_class: str, *names: str) -> list[list[str]]:
        """Return the options of a node's inputs."""
        answer = (await self.server.send("GET", f"/object_info/{node_class}")).require()
        return _read(answer, lambda body: [read_options(body, node_class, n) for n in names])

    async def upload(self, name: str, data: bytes) -> str:
        """Put an input picture onto the server and return what `LoadImage` calls it."""
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name, content_type="application/octet-stream")
        form.add_field("subfolder", FOLDER)
        form.add_field("overwrite", "true")
        answer = (await self.server.send("POST", "/upload/image", data=form)).require()
        return _read(answer, lambda b: "/".join(filter(None, (b.get("subfolder"), b["name"]))))

    async def submit(self, graph: Graph, prompt_id: str, client_id: str) -> str:
        """Queue a prompt, once, and return the id under which the server knows it.

        Raises:
            InvalidSpecError: the server refuses it, or would draw only a part of it; then the
                part that it took is still to be cancelled.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        extra = {"extra_data": _PREVIEWS}
        answer = await self.server.send("POST", "/prompt", json=body | extra)
        if answer.status != _REFUSED:
            answer.require()
        refusal = _read(answer, read_refusal)
        if refusal is not None:
            raise refusal
        return _read(answer, lambda b: str(b["prompt_id"]))

    async def look(self, prompt_id: str) -> Standing:
        """Return where a prompt is; the history is read again after a queue without it."""
        if (outcome := await self._history(prompt_id)) is not None:
            return outcome
        if (waiting := await self.waiting(prompt_id)) is not None:
            return waiting
        return await self._history(prompt_id) or Gone.GONE

    async def waiting(self, prompt_id: str) -> Waiting | None:
        """Return how a prompt waits or runs, None when it does neither."""
        answer = (await self.server.send("GET", "/queue")).require()
        return _read(answer, lambda body: read_queue(body, prompt_id))

    async def view(self, file: File) -> bytes:
        """Fetch a picture.

        Raises:
            BadPictureError: the file is gone, as when a cached prompt names an old one.
        """
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.folder}
        answer = await self.server.send("GET", "/view", query=query)
        if answer.status == _NOT_FOUND:
            raise BadPictureError(f"{file.filename} is not on the server any more")
        return answer.require().body

    async def stop(self, prompt_id: str) -> None:
        """Ask the server to drop a prompt, wherever it is; it may go on for a while.

        Newer releases cancel by name, atomically. Older ones are told to forget it while it
        waits, and interrupted when it is this one that runs: the oldest interrupt whatever runs.
        """
        if self._cancels_jobs:
            answer = await self.server.send("POST", f"/api/jobs/{prompt_id}/cancel", json={})
            if answer.status not in (_NOT_FOUND, _NO_METHOD):
                answer.require()
                return
            self._cancels_jobs = False
        (await self.server.send("POST", "/queue", json={"delete": [prompt_id]})).require()
        if await self.waiting(prompt_id) is Waiting.RUNNING:
            body = {"prompt_id": prompt_id}
            (await self.server.send("POST", "/interrupt", json=body)).require()

    async def forget(self, prompt_id: str) -> None:
        """Strike a prompt from the history, which the server keeps in memory with its graph."""
        body = {"delete": [prompt_id]}
        (await self.server.send("POST", "/history", json=body)).require()

    async def free(self) -> None:
        """Ask for all memory; the worker gives it after the prompt that it is at."""
        body = {"unload_models": True, "free_memory": True}
        (await self.server.send("POST", "/free", json=body)).require()

    def renew(self) -> None:
        """Find out again how to cancel: the server may have become another."""
        self._cancels_jobs = True

    async def aclose(self) -> None:
        """Hang up; may be called twice."""
        await self.server.aclose()

    async def _history(self, prompt_id: str) -> Outcome | None:
        answer = (await self.server.send("GET", f"/history/{prompt_id}")).require()
        return _read(answer, lambda body: read_history(body, prompt_id))


def _read(answer: Answer, reader: Callable[[Any], T]) -> T:
    body = answer.json()
    try:
        return reader(body)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise EngineProtocolError(f"{answer.request}: {answer.text[:200]}") from error

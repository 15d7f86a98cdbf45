"""The calls of InvokeAI's HTTP interface that drawing needs; one method each, none repeated.

Paths and answers are those of `invokeai/app/api/routers/` in 6.14 (`session_queue.py`, `images.py`,
`model_manager.py`, `boards.py`, `app_info.py`, `auth.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from engines.base import Json
from engines.errors import EngineDownError, EngineProtocolError
from engines.http import Answer, Server
from engines.invokeai.failures import refusal
from engines.invokeai.messages import Item, Queue, read_item, read_queue
from engines.invokeai.records import Record, read_record

ORIGIN: Final = "kitty-images"
_GONE, _UNAUTHORIZED = 404, 401
_EMPTYING_SECONDS = 120.0


class Client:
    """An InvokeAI server with one of its queues; connects when it is first asked for something.

    With `credentials` (e-mail and password of a multi-user server) it logs in, and again when the
    token has run out.
    """

    def __init__(
        self,
        *,
        server: Server,
        queue_id: str = "default",
        token: str | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.queue_id = queue_id
        self.token = token
        self._server = server
        self._credentials = credentials
        self._queue = f"/api/v1/queue/{quote(queue_id, safe='')}"

    @property
    def base_url(self) -> str:
        """Where the server is, without anybody's password."""
        return self._server.base_url

    async def aclose(self) -> None:
        """Hang up; may be called twice."""
        await self._server.aclose()

    # -- what it is

    async def version(self) -> str:
        """Ask which release it is; it answers once it is ready."""
        body = (await self._send("GET", "/api/v1/app/version")).require().json()
        match body:
            case {"version": str(version)}:
                return version
            case _:
                raise EngineProtocolError(f"{self.base_url} is no InvokeAI: {str(body)[:200]}")

    async def openapi(self) -> object:
        """Fetch the description of its nodes, some 2 MB."""
        body: object = (await self._send("GET", "/openapi.json")).require().json()
        return body

    async def records(self) -> Sequence[Record]:
        """List the installed models of every type."""
        match (await self._send("GET", "/api/v2/models/")).require().json():
            case {"models": list(models)}:
                return [record for data in models if (record := read_record(data))]
            case other:
                raise EngineProtocolError(f"no list of models: {str(other)[:200]}")

    async def board(self, name: str) -> str:
        """Return the id of a board, given its id or its name; it is made if there is none."""
        boards = (await self._send("GET", "/api/v1/boards/", query={"all": "true"})).require()
        for board in _mappings(boards.json()):
            if name in (board.get("board_id"), board.get("board_name")):
                return str(board["board_id"])
        made = await self._send("POST", "/api/v1/boards/", query={"board_name": name})
        match made.require().json():
            case {"board_id": str(board_id)}:
                return board_id
            case other:
                raise EngineProtocolError(f"no board: {str(other)[:200]}")

    # -- work

    async def upload(self, data: bytes, *, media_type: str, category: str) -> str:
        """Upload a picture that stays out of the gallery; return its name."""
        form = aiohttp.FormData()
        form.add_field("file", data, filename="input", content_type=media_type)
        answer = await self._send(
            "POST",
            "/api/v1/images/upload",
            data=form,
            query={"image_category": category, "is_intermediate": "true"},
        )
        if not answer.ok:
            raise refusal(answer)
        match answer.json():
            case {"image_name": str(name)}:
                return name
            case other:
                raise EngineProtocolError(f"no uploaded picture: {str(other)[:200]}")

    async def enqueue(
        self, *, batch: str, destination: str, graph: Mapping[str, Json]
    ) -> list[int]:
        """Queue a graph once; return the batch's items, oldest first.

        Raises:
            InvalidSpecError: the server refuses the graph.
            EngineDownError: its queue is full.
        """
        body = {
            "prepend": False,
            "batch": {
                "batch_id": batch,
                "origin": ORIGIN,
                "destination": destination,
                "runs": 1,
                "graph": graph,
            },
        }
        answer = await self._send("POST", f"{self._queue}/enqueue_batch", json=body)
        if not answer.ok:
            raise refusal(answer)
        match answer.json():
            case {"enqueued": 0}:
                raise EngineDownError(f"the queue {self.queue_id!r} of {self.base_url} is full")
            case {"item_ids": list(items)} if items:
                return sorted(int(item) for item in items)
            case other:
                raise EngineProtocolError(f"nothing was queued: {str(other)[:200]}")

    async def items(self, *, batch: str, destination: str) -> list[Item]:
        """Return the batch's items, oldest first; none when the server never took it in."""
        status = await self._send("GET", f"{self._queue}/b/{quote(batch, safe='')}/status")
        match status.require().json():
            case {"total": int(total)} if total > 0:
                pass
            case _:
                return []
        query = {"destination": destination}
        found = (await self._send("GET", f"{self._queue}/list_all", query=query)).require().json()
        items = [read_item(data) for data in _mappings(found)]
        return sorted((i for i in items if i.batch == batch), key=lambda item: item.number)

    async def item(self, number: int) -> Item | None:
        """Return a queue item, None when it has been deleted."""
        return self._item(await self._send("GET", f"{self._queue}/i/{number}"))

    async def cancel(self, number: int) -> Item | None:
        """Cancel a queue item; one that has ended comes back as it was, a deleted one as None."""
        return self._item(await self._send("PUT", f"{self._queue}/i/{number}/cancel"))

    async def picture(self, name: str) -> bytes:
        """Fetch a picture as PNG."""
        path = f"/api/v1/images/i/{quote(name, safe='')}/full"
        return (await self._send("GET", path)).require().body

    # -- its worker and its memory

    async def queue(self) -> Queue:
        """Ask what the queue and the worker do."""
        return read_queue((await self._send("GET", f"{self._queue}/status")).require().json())

    async def pause(self, *, paused: bool) -> None:
        """Keep the worker from taking new items, or let it; no restart remembers it."""
        verb = "pause" if paused else "resume"
        (await self._send("PUT", f"{self._queue}/processor/{verb}")).require()

    async def empty_cache(self) -> None:
        """Drop every model that is not in use, from the GPU and from memory."""
        path = "/api/v2/models/empty_model_cache"
        (await self._send("POST", path, answer_seconds=_EMPTYING_SECONDS)).require()

    def _item(self, answer: Answer) -> Item | None:
        return None if answer.status == _GONE else read_item(answer.require().json())

    async def _send(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        data: aiohttp.FormData | None = None,
        query: Mapping[str, str] | None = None,
        answer_seconds: float | None = None,
    ) -> Answer:
        """Send one request, and once more with a new token when the old one is refused."""
        if self._credentials is not None and self.token is None:
            await self._log_in(*self._credentials)

        async def send() -> Answer:
            return await self._server.send(
                method,
                path,
                json=json,
                data=data,
                query=query,
                headers={"Authorization": f"Bearer {self.token}"} if self.token else None,
                answer_seconds=answer_seconds,
            )

        answer = await send()
        if answer.status == _UNAUTHORIZED and self._credentials is not None and data is None:
            await self._log_in(*self._credentials)
            # what was refused has not been carried out
            answer = await send()
        return answer

    async def _log_in(self, email: str, password: str) -> None:
        body = {"email": email, "password": password, "remember_me": True}
        answer = await self._server.send("POST", "/api/v1/auth/login", json=body)
        match answer.require().json():
            case {"token": str(token)}:
                self.token = token
            case _:
                raise EngineProtocolError(f"{answer.request}: no token")


def _mappings(body: Any) -> list[Mapping[str, Any]]:  # noqa: ANN401 -- the shape is checked here
    if not isinstance(body, list):
        raise EngineProtocolError(f"no list: {str(body)[:200]}")
    return [entry for entry in body if isinstance(entry, Mapping)]

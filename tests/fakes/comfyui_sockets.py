"""The websockets of a fake ComfyUI, with the mistake that real ones make when a client returns."""

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from tests.fakes.comfyui_diary import Diary


@dataclass(kw_only=True)
class Sockets:
    """Client id → websocket, and what is done to what is sent on it.

    Attributes:
        silent: Send nothing but the first status.
        twice: Send every frame twice.
        untold: Kinds of events that are never sent.
        negotiates: Heed what clients say of their features; releases before 2025 did not.
        greeted: What the first frame of each client was.
        sent: Events, also those that went to nobody.
        flags: Whether a client's first frame told its features; else it gets the old previews.
    """

    silent: bool = False
    twice: bool = False
    untold: set[str] = field(default_factory=set)
    negotiates: bool = True
    open: dict[str, web.WebSocketResponse] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    greeted: list[str] = field(default_factory=list)
    sent: Diary = field(default_factory=Diary)

    async def serve(
        self, request: web.Request, *messages: tuple[str, Any]
    ) -> web.WebSocketResponse:
        """Greet a client with `messages` and keep it until it leaves.

        The end of a socket unregisters its client, even when that has connected anew meanwhile
        (ComfyUI #16010).
        """
        socket, client_id = web.WebSocketResponse(), request.query.get("clientId", "")
        await socket.prepare(request)
        self.open[client_id] = socket
        for event, data in messages:
            await _tell(socket, event, data)
        first = True
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT and first:
                    said = orjson.loads(message.data)
                    self.greeted.append(said["type"])
                    self.flags[client_id] = self.negotiates and said["type"] == "feature_flags"
                first = False
        finally:
            self.open.pop(client_id, None)
            self.flags.pop(client_id, None)
        return socket

    async def send(self, event: str, data: dict[str, Any] | bytes, client_id: str | None) -> None:
        """Send to one client, or to everybody."""
        self.sent.note(event)
        if self.silent or event in self.untold:
            return
        everybody = [*self.open.values()]
        named = [self.open[client_id]] if client_id in self.open else []
        if isinstance(data, bytes) and not self.flags.get(client_id or ""):
            [about] = struct.unpack_from(">I", data, 4)
            data = struct.pack(">II", 1, 1) + data[8 + about :]
        for socket in everybody if client_id is None else named:
            for _ in range(2 if self.twice else 1):
                await _tell(socket, event, data)


async def _tell(socket: web.WebSocketResponse, event: str, data: dict[str, Any] | bytes) -> None:
    with suppress(ConnectionError):  # whoever listened is gone
        if isinstance(data, bytes):
            await socket.send_bytes(data)
        else:
            await socket.send_str(orjson.dumps({"type": event, "data": data}).decode())

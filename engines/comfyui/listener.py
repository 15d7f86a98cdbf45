"""A prompt's websocket, opened again whenever it breaks or falls silent."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

import aiohttp

from engines.comfyui.messages import FEATURE_FLAGS, Message, Preview, parse
from engines.comfyui.previews import as_jpeg
from engines.errors import LostError
from engines.http import Server

_log = logging.getLogger(__name__)

_JPEG: Final = "image/jpeg"


class Listener:
    """Passes on what the server says to one client id, while its block lasts.

    It only hastens what polling finds out, so it never fails. A socket on which nothing comes is
    replaced: when a client connects again before the server has noticed that its old socket is
    gone, the old one's end unregisters the new one (ComfyUI #16010).
    """

    def __init__(
        self,
        *,
        server: Server,
        client_id: str,
        on_message: Callable[[Message], None],
        on_break: Callable[[], None],
        silence_seconds: float,
        pause_seconds: float,
    ) -> None:
        self._server = server
        self._client_id = client_id
        self._on_message = on_message
        self._on_break = on_break
        self._silence_seconds = silence_seconds
        self._pause_seconds = pause_seconds
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        socket = await self._connected()
        self._task = asyncio.create_task(self._listen(socket))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse | None) -> None:
        while True:
            if socket is not None:
                try:
                    await self._read(socket)
                finally:
                    await socket.close()
                self._on_break()
            await asyncio.sleep(self._pause_seconds)
            socket = await self._connected()

    async def _connected(self) -> aiohttp.ClientWebSocketResponse | None:
        try:
            socket = await self._server.websocket("/ws", query={"clientId": self._client_id})
        except LostError as error:
            _log.info("no live progress for the moment: %s", error)
            return None
        with suppress(ConnectionError):  # a socket that is broken already shows it when read
            await socket.send_str(FEATURE_FLAGS)
        return socket

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Read until the socket ends, or has nothing to say for too long."""
        while True:
            try:
                frame = await socket.receive(timeout=self._silence_seconds)
            except TimeoutError:
                return
            if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                return
            message = parse(frame.data)
            if isinstance(message, Preview) and message.media_type != _JPEG:
                image = await asyncio.to_thread(as_jpeg, message.image)
                message = replace(message, image=image, media_type=_JPEG) if image else None
            if message is not None:
                self._on_message(message)

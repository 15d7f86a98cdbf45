"""Live news of jobs over websockets and server-sent events."""

import asyncio
from collections.abc import AsyncIterator

import orjson
from aiohttp import WSCloseCode, WSMsgType, web

from scheduler.events import JobEvent, ListenerLostError, Subscription
from scheduler.job import JobId
from service.frames import Frames
from service.keys import FRAMES, SCHEDULER, SETTINGS
from service.problems import RequestError
from service.wire import job_view

routes = web.RouteTableDef()

HEARTBEAT_SECONDS = 30


@routes.get("/api/images/ws")
async def websocket(request: web.Request) -> web.WebSocketResponse:
    """Send news of all jobs, or of `job_id`; `since=` first repeats what came after that event.

    A text frame is JSON; a binary frame is a preview: the event's number (8 bytes, big endian)
    and a JPEG. A client that reads too slowly is cut off with 1013.
    """
    job_id, since = _wanted(request)
    events = request.app[SCHEDULER].events
    socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, compress=False)
    await socket.prepare(request)
    with events.subscribe(job_id=job_id, since=since) as news:
        await socket.send_json({"type": "hello", "last_event": events.last}, dumps=_dumps)
        sending = asyncio.create_task(_send(socket, news, request.app[FRAMES]))
        try:
            closed_by_us = await _read_until_closed(socket)
            if closed_by_us:
                await sending
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
    return socket


async def _read_until_closed(socket: web.WebSocketResponse) -> bool:
    """Read, and forget, what the client says; return whether it is us who close."""
    while True:
        message = await socket.receive()
        if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR):
            return False
        if message.type is WSMsgType.CLOSING:
            return True


async def _send(socket: web.WebSocketResponse, news: Subscription, frames: Frames) -> None:
    """Send events until they end, or the client is too slow, or it is gone."""
    try:
        async for event in news:
            await socket.send_frame(frames.of(event), WSMsgType.TEXT)
            if event.kind == "progress" and (preview := _preview(event)):
                await socket.send_bytes(event.number.to_bytes(8, "big") + preview)
        await socket.close(code=WSCloseCode.GOING_AWAY)
    except ListenerLostError:
        await socket.close(code=WSCloseCode.TRY_AGAIN_LATER)
    except ConnectionError:
        return


@routes.get("/api/images/jobs/{job_id}/events")
async def server_sent(request: web.Request) -> web.StreamResponse:
    """Send news of one job as server-sent events, until it has ended."""
    job_id = JobId(request.match_info["job_id"])
    job = await request.app[SCHEDULER].table.find(job_id)
    _, since = _wanted(request)
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
    )
    await response.prepare(request)
    if job.finished and since is None:
        body = orjson.dumps(job_view(job, request.app[SETTINGS].status_words)).decode()
        await response.write(f"event: status\ndata: {body}\n\n".encode())
        return response
    with request.app[SCHEDULER].events.subscribe(job_id=job_id, since=since) as news:
        async for line in _lines(news, request.app[FRAMES]):
            await response.write(line)
    return response


async def _lines(news: Subscription, frames: Frames) -> AsyncIterator[bytes]:
    """Yield server-sent events until the job has ended; a client that was lost asks again."""
    try:
        async for event in news:
            head = f"id: {event.number}\nevent: {event.kind}\ndata: ".encode()
            yield head + frames.of(event) + b"\n\n"
            if event.job.finished:
                return
    except ListenerLostError:
        return


def _preview(event: JobEvent) -> bytes | None:
    progress = getattr(event.job.status, "progress", None)
    return progress.preview if progress else None


def _wanted(request: web.Request) -> tuple[JobId | None, int | None]:
    """Read which job, and since which event; browsers send the latter in a header."""
    text = request.query.get("since") or request.headers.get("Last-Event-ID", "")
    if text and not (text.isascii() and text.isdigit()):
        raise RequestError("not the number of an event", code="invalid_request", field="since")
    job_id = request.query.get("job_id")
    return (JobId(job_id) if job_id else None), (int(text) if text else None)


def _dumps(data: object) -> str:
    return orjson.dumps(data).decode()

"""Stored pictures: newest first, select for downstream tools, and the bytes themselves."""

import re

from aiohttp import web

from scheduler.errors import NotStoredError
from service.api.body import read_body, read_limit, reply
from service.keys import CATALOGUE, KEYS, OBJECTS, SETTINGS, THUMBS
from service.problems import RequestError
from service.store.keys import thumb_of
from service.wire import SelectBody, entry_view

routes = web.RouteTableDef()

_LONGEST_QUERY = 200
_CURSOR = re.compile(r"[0-9a-f]{0,16}")
_EXACT = {"X-Content-Type-Options": "nosniff"}
CACHE = "private, max-age=31536000, immutable"


@routes.get("/api/images/latest")
async def latest(request: web.Request) -> web.Response:
    """List the newest pictures, or those that match `q`, `model` and `tag`."""
    limit = read_limit(request, usual=50, most=500)
    for name in ("q", "model", "tag"):
        if len(request.query.get(name, "")) > _LONGEST_QUERY:
            raise RequestError("too long", code="invalid_request", field=name)
    cursor = request.query.get("cursor", "")
    if not _CURSOR.fullmatch(cursor):
        raise RequestError("not a cursor of ours", code="invalid_request", field="cursor")
    page = await request.app[CATALOGUE].latest(
        limit=limit,
        cursor=cursor or None,
        q=request.query.get("q", ""),
        model=request.query.get("model", ""),
        tag=request.query.get("tag", ""),
    )
    return reply(
        {"items": [entry_view(entry) for entry in page.items], "next_cursor": page.next_cursor}
    )


@routes.post("/api/images/select")
async def select(request: web.Request) -> web.Response:
    """Return a reference to a picture for UI, CAD and other tools."""
    body, _ = await read_body(request, SelectBody)
    if not body.wanted:
        raise RequestError("which picture?", code="invalid_request", status=422, field="object_key")
    key = request.app[KEYS].check_png(body.wanted)
    item = await request.app[CATALOGUE].get(key)
    if item is None:
        raise NotStoredError(f"there is no picture {key}")
    objects, settings = request.app[OBJECTS], request.app[SETTINGS]
    url = await objects.link(key, seconds=settings.link_seconds)
    return reply(
        {
            "imageRef": {
                "id": key.rsplit("/", 1)[-1].removesuffix(".png"),
                "key": key,
                "downloadUrl": url or f"{_base(request)}/api/images/file/{key}",
                "storageUri": objects.uri(key),
                "title": item.prompt[:80],
                "caption": item.prompt,
                "friendlyName": item.prompt[:80],
                "source": "kitty-images",
            }
        }
    )


@routes.get("/api/images/file/{key:.+}")
async def file(request: web.Request) -> web.StreamResponse:
    """Return a stored object's bytes, whole or a range of them."""
    return await send_object(request, request.match_info["key"])


async def send_object(request: web.Request, wanted: str) -> web.StreamResponse:
    """Answer with an object; its ETag spares a second download.

    Raises:
        StoreError: the key is not one of ours, or nothing is stored under it.
    """
    key = request.app[KEYS].check(wanted)
    objects = request.app[OBJECTS]
    info = await objects.stat(key)
    headers = {"ETag": f'"{info.etag}"', "Accept-Ranges": "bytes", "Cache-Control": CACHE, **_EXACT}
    if any(tag.value in (info.etag, "*") for tag in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    kind = "image/png" if key.endswith(".png") else "application/json"
    try:
        start, stop, _ = request.http_range.indices(info.size_bytes)
        partial = "Range" in request.headers
    except ValueError:
        start, stop, partial = 0, info.size_bytes, False
    if partial and start >= stop:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{info.size_bytes}"})
    data = await objects.get(key, start=start, length=stop - start)
    if partial:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{info.size_bytes}"
    return web.Response(
        status=206 if partial else 200, body=data, content_type=kind, headers=headers
    )


@routes.get("/api/images/thumb/{key:.+}")
async def thumb(request: web.Request) -> web.Response:
    """Return the thumbnail of a picture; its bytes never change, so browsers may keep it."""
    key = request.app[KEYS].check_png(request.match_info["key"])
    etag = thumb_of(key).rsplit("/", 1)[-1]
    headers = {"ETag": f'"{etag}"', "Cache-Control": CACHE}
    if any(tag.value in (etag, "*") for tag in request.if_none_match or ()):
        await request.app[OBJECTS].stat(key)
        return web.Response(status=304, headers=headers)
    body = await request.app[THUMBS].get(key)
    return web.Response(body=body, content_type="image/webp", headers=headers)


def _base(request: web.Request) -> str:
    """Return the address under which clients reach us."""
    try:
        return (request.app[SETTINGS].public_url or str(request.url.origin())).rstrip("/")
    except ValueError:
        detail = "no host that could be part of an address"
        raise RequestError(detail, code="invalid_request", field="Host") from None

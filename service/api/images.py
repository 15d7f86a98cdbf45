"""Stored pictures: newest first, select for downstream tools, and the bytes themselves."""

from contextlib import suppress
from typing import Annotated

from aiohttp import web
from pydantic import Field, StringConstraints

from scheduler.errors import IllegalTransitionError, JobNotFoundError, NotStoredError
from scheduler.job import JobId
from service.api.body import read_body, reply
from service.bodies import SelectBody
from service.calls import Call, described
from service.keys import CATALOGUE, IMAGES, KEYS, OBJECTS, SCHEDULER, SETTINGS, THUMBS
from service.problems import RequestError
from service.queries import Query, read_query
from service.store.keys import thumb_of
from service.views.pictures import ImageRefView, PicturePage, SelectedView
from service.wire import entry_view

routes = web.RouteTableDef()

_Words = Annotated[str, StringConstraints(max_length=200)]
_EXACT = {"X-Content-Type-Options": "nosniff"}
EXAMPLE_KEY = "images/20260131_174500_0123abcd.png"
CACHE = "private, max-age=31536000, immutable"


class LatestQuery(Query):
    """The query of `GET /api/images/latest`."""

    limit: int = Field(default=50, ge=1, le=500, description="how many at most")
    cursor: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{1,16}$", description="`next_cursor` of the page before"
    )
    q: _Words = Field(default="", description="words that prompt, model or tags begin with")
    model: _Words = Field(default="", description="only pictures that this model drew")
    tag: _Words = Field(default="", description="only pictures with this tag")


@routes.get("/api/images/latest")
@described(
    Call(
        section="pictures",
        answer=PicturePage,
        query=LatestQuery,
        codes=("store_down",),
        example={"limit": 12, "q": "cube"},
    )
)
async def latest(request: web.Request) -> web.Response:
    """List the newest pictures, or those that match `q`, `model` and `tag`."""
    query = read_query(request, LatestQuery)
    page = await request.app[CATALOGUE].latest(
        limit=query.limit, cursor=query.cursor, q=query.q, model=query.model, tag=query.tag
    )
    items = [entry_view(entry) for entry in page.items]
    answer: PicturePage = {"items": items, "next_cursor": page.next_cursor}
    return reply(answer)


@routes.post("/api/images/select")
@described(
    Call(
        section="pictures",
        answer=SelectedView,
        body=SelectBody,
        codes=(("invalid_request", 400), "bad_key", "not_found", "store_down"),
        example={"object_key": EXAMPLE_KEY},
    )
)
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
    reference: ImageRefView = {
        "id": key.rsplit("/", 1)[-1].removesuffix(".png"),
        "key": key,
        "downloadUrl": url or f"{_base(request)}/api/images/file/{key}",
        "storageUri": objects.uri(key),
        "title": item.prompt[:80],
        "caption": item.prompt,
        "friendlyName": item.prompt[:80],
        "source": "kitty-images",
    }
    answer: SelectedView = {"imageRef": reference}
    return reply(answer)


@routes.get("/api/images/file/{key:.+}")
@described(
    Call(
        section="pictures",
        media="image/png",
        headers={"Range": "bytes to return", "If-None-Match": "answer 304 if the ETag is this"},
        also={206: "a range of the bytes", 304: "not changed", 416: "no such range"},
        codes=("no_such_path", "bad_key", "not_found", "store_down"),
        example={"key": EXAMPLE_KEY},
    )
)
async def file(request: web.Request) -> web.StreamResponse:
    """Return a stored object's bytes, whole or a range of them.

    The same as `/{bucket}/{key}`, the address that KITTY's pages ask MinIO under.
    """
    return await from_bucket(request)


async def from_bucket(request: web.Request) -> web.StreamResponse:
    """Return a stored object's bytes to whoever takes us for MinIO.

    Raises:
        StoreError: the key is not one of ours, or nothing is stored under it.
    """
    key = request.app[KEYS].check(request.match_info["key"])
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
@described(
    Call(
        section="pictures",
        media="image/webp",
        headers={"If-None-Match": "answer 304 if the ETag is this"},
        also={304: "not changed"},
        codes=("no_such_path", "bad_key", "not_found", "store_down"),
        example={"key": EXAMPLE_KEY},
    )
)
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


@routes.delete("/api/images/pictures/{key:.+}")
@described(
    Call(
        section="pictures",
        status=204,
        media="",
        codes=("no_such_path", "bad_key", "not_found", "illegal_transition", "store_down"),
        example={"key": EXAMPLE_KEY},
    )
)
async def delete(request: web.Request) -> web.Response:
    """Delete a picture for good: PNG, sidecar and thumbnail. Its job must have ended.

    Jobs no longer list it, and nothing is changed while the store is down.
    """
    key, table = (
        request.app[KEYS].check_png(request.match_info["key"]),
        request.app[SCHEDULER].table,
    )

    async def allow(job_id: str) -> None:
        with suppress(JobNotFoundError):
            job = await table.find(JobId(job_id))
            if not job.finished:
                detail = f"its job {job_id} is {job.status.kind}: cancel it, or wait for its end"
                raise IllegalTransitionError(detail)

    await request.app[IMAGES].removals.remove(key, allow=allow)
    return web.Response(status=204)


def _base(request: web.Request) -> str:
    """Return the address under which clients reach us."""
    try:
        return (request.app[SETTINGS].public_url or str(request.url.origin())).rstrip("/")
    except ValueError:
        detail = "no host that could be part of an address"
        raise RequestError(detail, code="invalid_request", field="Host") from None

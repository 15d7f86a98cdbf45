"""The gallery: a page with the newest pictures and a box for a prompt, and one for each picture."""

import re
from collections.abc import Mapping

import aiohttp_jinja2
import orjson
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from scheduler.errors import NotStoredError
from service.keys import CATALOGUE, KEYS, OBJECTS, SCHEDULER
from service.middleware import COOKIE, is_page, reads_html
from service.problems import DOCUMENT, RequestError

routes = web.RouteTableDef()

_PAGE = 48
_CURSOR = re.compile(r"[0-9a-f]{1,16}")
_MONTH_SECONDS = 30 * 24 * 3600
_LONGEST_PROMPT = 8000
_KEPT_HEADERS = (hdrs.ALLOW, hdrs.RETRY_AFTER)
_WISHES = (
    ("negative_prompt", "without", "text"),
    ("model", "model", "text"),
    ("sampler", "sampler", "text"),
    ("width", "width", "number"),
    ("height", "height", "number"),
    ("steps", "steps", "number"),
    ("cfg", "cfg", "number"),
    ("seed", "seed", "number"),
    ("count", "pictures", "number"),
    ("init_image", "begin with", "file"),
    ("strength", "redraw, 0 to 1", "number"),
)
"""What may be wished beside the prompt: the field of a request, its label, and the input's type."""
_NOT_LIKE = ("init_image", "strength", "count")


@web.middleware
async def readable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell a refusal in a page of the gallery's look to who asked for one of its pages."""
    answer = await handler(request)
    problem = answer.get(DOCUMENT)
    if problem is None or not is_page(request) or not reads_html(request):
        return answer
    page = aiohttp_jinja2.render_template(
        "refusal.html", request, {"problem": problem}, status=answer.status
    )
    kept = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
    page.headers.update({**kept, hdrs.VARY: hdrs.ACCEPT, hdrs.CACHE_CONTROL: "no-store"})
    return page


@routes.get("/vision")
async def vision(request: web.Request) -> web.StreamResponse:
    """Show the newest pictures; `token` is taken into a cookie and out of the address.

    With `like`, the key of a picture, the box holds what that was drawn with.
    """
    if token := request.query.get("token"):
        redirect = web.HTTPSeeOther("/vision")
        redirect.set_cookie(
            COOKIE, token, httponly=True, samesite="Strict", max_age=_MONTH_SECONDS, path="/"
        )
        raise redirect
    query = request.query.get("q", "")[:200]
    cursor = request.query.get("cursor") or None
    if cursor and not _CURSOR.fullmatch(cursor):
        raise RequestError("not a cursor of ours", code="invalid_request", field="cursor")
    like = await _settings_of(request, key) if (key := request.query.get("like")) else {}
    page = await request.app[CATALOGUE].latest(limit=_PAGE, q=query, cursor=cursor)
    context = {
        "pictures": page.items,
        "next_cursor": page.next_cursor,
        "query": query,
        "prompt": like.get("prompt") or request.query.get("prompt", "")[:_LONGEST_PROMPT],
        "fields": _WISHES,
        "wishes": {name: like[name] for name, _, _ in _WISHES if name in like},
        "paused": request.app[SCHEDULER].paused,
    }
    return aiohttp_jinja2.render_template("vision.html", request, context)


async def _settings_of(request: web.Request, key: str) -> Mapping[str, object]:
    """Return what a picture was drawn with, as its sidecar has it."""
    entry = await request.app[CATALOGUE].get(request.app[KEYS].check_png(key))
    if entry is None:
        raise NotStoredError(f"there is no picture {key}")
    sidecar = orjson.loads(await request.app[OBJECTS].get(entry.artifact.meta_key))
    return {
        name: value
        for name, value in sidecar["spec"].items()
        if value not in (None, "") and name not in _NOT_LIKE
    }


@routes.get("/vision/{key:.+}")
async def picture(request: web.Request) -> web.StreamResponse:
    """Show one picture and what it was drawn with."""
    key = request.app[KEYS].check_png(request.match_info["key"])
    entry = await request.app[CATALOGUE].get(key)
    if entry is None:
        raise NotStoredError(f"there is no picture {key}")
    artifact = entry.artifact
    facts = (
        ("prompt", entry.prompt),
        ("without", entry.negative_prompt),
        ("seed", str(artifact.seed)),
        ("size", f"{artifact.width}x{artifact.height}"),
        ("model", entry.model),
        ("engine", entry.engine),
        ("tags", ", ".join(entry.tags)),
        ("asked for", f"{entry.created:%Y-%m-%d %H:%M:%S} UTC"),
        ("key", key),
        ("notes", "\n".join(shortfall.detail for shortfall in artifact.shortfalls)),
    )
    return aiohttp_jinja2.render_template(
        "picture.html", request, {"picture": entry, "facts": facts}
    )

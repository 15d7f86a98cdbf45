"""The gallery: a page with the newest pictures and a box for a prompt, and one for each picture."""

import re

import aiohttp_jinja2
from aiohttp import web

from scheduler.errors import NotStoredError
from service.keys import CATALOGUE, KEYS, SCHEDULER
from service.middleware import COOKIE
from service.problems import RequestError

routes = web.RouteTableDef()

_PAGE = 48
_CURSOR = re.compile(r"[0-9a-f]{1,16}")
_MONTH_SECONDS = 30 * 24 * 3600
_LONGEST_PROMPT = 8000


@routes.get("/vision")
async def vision(request: web.Request) -> web.StreamResponse:
    """Show the newest pictures; `token` is taken into a cookie and out of the address."""
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
    page = await request.app[CATALOGUE].latest(limit=_PAGE, q=query, cursor=cursor)
    context = {
        "pictures": page.items,
        "next_cursor": page.next_cursor,
        "query": query,
        "prompt": request.query.get("prompt", "")[:_LONGEST_PROMPT],
        "paused": request.app[SCHEDULER].paused,
    }
    return aiohttp_jinja2.render_template("vision.html", request, context)


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

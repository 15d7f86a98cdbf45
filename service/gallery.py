"""The gallery: a plain page with the newest pictures and a box for a prompt."""

import re

import aiohttp_jinja2
from aiohttp import web

from service.keys import CATALOGUE, SCHEDULER
from service.middleware import COOKIE
from service.problems import RequestError

routes = web.RouteTableDef()

_PAGE = 48
_CURSOR = re.compile(r"[0-9a-f]{1,16}")
_MONTH_SECONDS = 30 * 24 * 3600


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
        "waiting": request.app[SCHEDULER].waiting,
        "alive": len(request.app[SCHEDULER].table),
    }
    return aiohttp_jinja2.render_template("vision.html", request, context)

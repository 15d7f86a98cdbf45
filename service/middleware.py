"""What every request passes: a span, the guards, and the translation of errors."""

import hmac
import ipaddress
import logging
import re
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engines.errors import EngineError
from scheduler.errors import SchedulerError
from service.problems import RequestError, problem, translate
from service.settings import Settings

COOKIE = "kitty_images_token"
GALLERY = "/vision"

OPEN_PATHS = ("/", "/healthz", "/readyz")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_log = logging.getLogger(__name__)
_tracer = trace.get_tracer("kitty_images.service")

_HOST = re.compile(r"\[(?P<address>[^\]]*)\](:\d+)?|(?P<name>[^:]*)(:\d+)?")
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".lan", ".home.arpa")
"""Names under these are given out inside a network, never in the public name system."""

_NEVER = re.compile(r"\bq\s*=\s*0(\.0*)?\s*(;|$)")

_HTTP_CODES = {404: "no_such_path", 405: "method_not_allowed", 413: "body_too_large"}


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the request under a span that continues the caller's trace."""
    context = TraceContextTextMapPropagator().extract(request.headers)
    resource = request.match_info.route.resource
    path = resource.canonical if resource else "unknown"
    with _tracer.start_as_current_span(
        f"{request.method} {path}", context=context, kind=SpanKind.SERVER
    ) as span:
        response = await handler(request)
        span.set_attribute("http.response.status_code", response.status)
        return response


@web.middleware
async def translated(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error with a problem document; a bug's details stay in the log."""
    try:
        return await handler(request)
    except (EngineError, SchedulerError, RequestError) as error:
        return translate(error)
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004
            raise
        code = _HTTP_CODES.get(error.status, "http_error")
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return problem(error.status, code, error.reason, headers=allow)
    except Exception as error:  # noqa: BLE001 - a bug ends the request, not the service
        if isinstance(error, ConnectionError) and _has_left(request):
            return web.Response(status=499)  # for nobody; what is raised aiohttp takes for a bug
        _log.exception("%s %s hit a bug", request.method, request.path)
        return problem(500, "internal", "the log has the details")


def _has_left(request: web.Request) -> bool:
    """Say whether the client is gone."""
    return request.transport is None or request.transport.is_closing()


def guard(settings: Settings) -> Middleware:
    """Return the middleware that keeps out other sites' pages and callers without the token."""
    token = settings.api_token.get_secret_value() if settings.api_token else ""
    networks = [ipaddress.ip_network(part) for part in settings.open_networks]
    names = _own_names(settings)

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        _check_origin(request, settings)
        if request.path in OPEN_PATHS:
            return await handler(request)
        if token and not _is_near(request, networks):
            given = _given_token(request).encode(errors="surrogateescape")
            if not hmac.compare_digest(given, token.encode()):
                why = "this is not the token" if given else "a token is needed"
                once = f"; open {GALLERY}?token=TOKEN once" if is_page(request) else ""
                raise RequestError(f"{why}{once}", code="unauthorised", status=401)
        else:
            _check_host(request, names)
        return await handler(request)

    return guarded


def _check_origin(request: web.Request, settings: Settings) -> None:
    """Refuse what another site's page sends through a visitor's browser.

    Browsers let a page read no other site's answers, but they do let it open a websocket there.
    """
    origin = request.headers.get("Origin")
    reads = request.method in SAFE_METHODS and "Upgrade" not in request.headers
    if origin is None or reads:
        return
    if origin.partition("://")[2] == request.host or origin in settings.allowed_origins:
        return
    raise RequestError(f"pages of {origin} may not do that", code="cross_origin", status=403)


def _own_names(settings: Settings) -> frozenset[str]:
    """Return the public names under which we are known to be reached."""
    addresses = (settings.public_url or "", *settings.allowed_origins)
    return frozenset(urlsplit(address).hostname or "" for address in addresses)


def _check_host(request: web.Request, names: frozenset[str]) -> None:
    """Refuse a public name that is not known to be ours, from callers who show no token.

    Whoever owns a name may point it at this machine while a visitor looks at its page, which then
    counts as one of ours (DNS rebinding). An address, or a name that no stranger can own, is safe.
    """
    host = _HOST.fullmatch(request.headers.get("Host", ""))
    name = (host["name"] or "").lower().rstrip(".") if host else "?."
    if "." not in name or name.endswith(_PRIVATE_ENDINGS) or name in names:
        return
    if not _is_address(name):
        detail = f"{request.host} is not known as ours; set PUBLIC_URL or ALLOWED_ORIGINS"
        raise RequestError(detail, code="unknown_host", status=403)


@lru_cache
def _is_address(name: str) -> bool:
    """Say whether a host's name is an address; most callers use the same one over and over."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_near(
    request: web.Request, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]
) -> bool:
    """Say whether the caller is in a network that needs no token."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return False
    # A socket for both families names callers of the older one as ::ffff:192.168.1.5.
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in network for network in networks)


def is_page(request: web.Request) -> bool:
    """Say whether this is a page of the gallery, where people meet the refusal."""
    return request.path == GALLERY or request.path.startswith(f"{GALLERY}/")


def reads_html(request: web.Request) -> bool:
    """Say whether the caller names HTML among what it reads (RFC 9110, section 12.5.1).

    Browsers do when somebody opens a page; scripts and tools say nothing, or that all will do.
    """
    kinds = (part.partition(";") for part in request.headers.get(hdrs.ACCEPT, "").split(","))
    return any(
        kind.strip().lower() == "text/html" and not _NEVER.search(how) for kind, _, how in kinds
    )


def _given_token(request: web.Request) -> str:
    """Return the token from the header, the gallery's cookie, or the address that sets it."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value
    in_address = request.query.get("token", "") if request.path == GALLERY else ""
    return in_address or request.cookies.get(COOKIE, "")

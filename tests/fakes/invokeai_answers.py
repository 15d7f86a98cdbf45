"""What a fake InvokeAI answers with: model records, errors, and broken connections."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

TOKEN = "token-of-the-admin"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def record(
    name: str,
    kind: str = "main",
    base: str = "sd-1",
    **more: Any,  # noqa: ANN401 -- JSON
) -> dict[str, Any]:
    """Return a model record; the key follows from name, type and base."""
    return {
        "key": f"key-{kind}-{base}-{name}",
        "hash": f"blake3:{kind}{base}{name}",
        "name": name,
        "base": base,
        "type": kind,
        "format": "diffusers",
        "path": f"/models/{name}.safetensors",
        "file_size": 1000,
        "default_settings": None,
        **more,
    }


def problem(status: int, detail: str) -> web.Response:
    """Return an error as FastAPI words it."""
    body = json.dumps({"detail": detail})
    return web.Response(status=status, text=body, content_type="application/json")


def abort(request: web.Request) -> web.Response:
    """Break the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()

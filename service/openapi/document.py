"""Builds the OpenAPI 3.1 document from the routes and what their handlers say."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from typing import Final

from aiohttp.web import AbstractRoute

from service.calls import JSON, Call, call_of
from service.middleware import COOKIE, OPEN_PATHS, SAFE_METHODS
from service.openapi.codes import CODES
from service.openapi.schemas import Schema, Schemas, query_parameters
from service.problems import CONTENT_TYPE
from service.views.problems import ProblemView

SECTIONS: Final[Mapping[str, str]] = {
    "jobs": "Ask for pictures, and follow, end, hold and repeat what was asked.",
    "pictures": "Stored pictures: list, search, select, fetch.",
    "news": "Live news of jobs.",
    "engines": "What draws, and with which models.",
    "gpu": "Who has the GPU, and leases for programs.",
    "llm": "llama.cpp's servers, reached so that the GPU is theirs while they work.",
    "operations": "Health, figures, and this description.",
}
PATH_VALUES: Final[Mapping[str, Schema]] = {
    "job_id": {"type": "string", "description": "the job's id, as submit answered it"},
    "key": {"type": "string", "description": "the key of a stored picture; it has slashes"},
    "verb": {"type": "string", "enum": ["pause", "resume"]},
    "id": {"type": "string", "description": "the lease's id"},
    "server": {"type": "string", "description": "the server's name in LLAMA_SERVERS"},
    "path": {"type": "string", "description": "a path on that server; it may have slashes"},
}
_ANY_METHOD = ("GET", "POST", "PUT", "PATCH", "DELETE")
_DESCRIPTION = (
    "Pictures from prompts: durable jobs, live progress, and a GPU that is shared step by step. "
    "Every refusal is a problem document (RFC 9457) with a stable `code`."
)


def build(routes: Iterable[AbstractRoute], *, token: bool) -> Schema:
    """Return the document of all routes whose handlers are described.

    `token` says that callers must show one.
    """
    described = [(route, call) for route in routes if (call := call_of(route.handler)) is not None]
    schemas = Schemas(call for _, call in described)
    paths: dict[str, Schema] = {}
    for route, call in described:
        path = route.resource.canonical if route.resource is not None else ""
        for method in _methods(route):
            operation = _operation(route, call, method=method, path=path, schemas=schemas)
            paths.setdefault(path, {})[method.lower()] = operation
    schemes = {
        "token": {"type": "http", "scheme": "bearer", "description": "API_TOKEN"},
        "cookie": {
            "type": "apiKey",
            "in": "cookie",
            "name": COOKIE,
            "description": "set by /vision?token=",
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "KITTY Images",
            "version": version("kitty-images"),
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"token": []}, {"cookie": []}] if token else [],
        "tags": [{"name": name, "description": words} for name, words in SECTIONS.items()],
        "paths": paths,
        "components": {"schemas": schemas.named, "securitySchemes": schemes},
    }


def _methods(route: AbstractRoute) -> Iterable[str]:
    """Return a route's methods; that whatever can be got can be looked up by HEAD goes unsaid."""
    if route.method == "*":
        return _ANY_METHOD
    return () if route.method == "HEAD" else (route.method,)


def _operation(
    route: AbstractRoute, call: Call, *, method: str, path: str, schemas: Schemas
) -> Schema:
    """Describe one method of one path."""
    summary, _, more = inspect.cleandoc(route.handler.__doc__ or "").partition("\n")
    more = more.partition("\nRaises:")[0].strip()
    name = getattr(route.handler, "__name__", "")
    one_of_many = route.method == "*"
    operation: Schema = {
        "tags": [call.section],
        "operationId": f"{call.section}_{method.lower()}" if one_of_many else name,
        "summary": summary,
        **({"description": more} if more else {}),
        "parameters": [*_path_parameters(path, call.example), *_parameters(call)],
        "responses": _responses(call, method=method, path=path, schemas=schemas),
    }
    if call.body is not None:
        content = {JSON: {"schema": schemas.body(call.body), "example": dict(call.example)}}
        operation["requestBody"] = {"required": True, "content": content}
    elif call.relayed and method not in SAFE_METHODS:
        operation["requestBody"] = {"content": {"*/*": {}}}
    if path in OPEN_PATHS:
        operation["security"] = []
    return operation


def _path_parameters(path: str, example: Mapping[str, object]) -> Iterator[Schema]:
    for name, value in PATH_VALUES.items():
        if f"{{{name}}}" in path:
            words = {"description": value["description"]} if "description" in value else {}
            schema = {key: part for key, part in value.items() if key != "description"}
            shown = {"example": example[name]} if name in example else {}
            where = {"name": name, "in": "path", "required": True}
            yield {**where, **words, "schema": schema, **shown}


def _parameters(call: Call) -> Iterator[Schema]:
    if call.query is not None:
        yield from query_parameters(call.query, call.example)
    for name, words in call.headers.items():
        yield {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}


def _responses(call: Call, *, method: str, path: str, schemas: Schemas) -> Schema:
    """Describe every answer, by status."""
    usual: Schema = {"description": "It is so."}
    if call.media:
        schema = schemas.answer(call.answer) if call.answer is not None else {}
        usual["content"] = {call.media: {"schema": schema} if schema else {}}
    problems: dict[int, list[str]] = {}
    for code, status in _refusals(call, method=method, path=path):
        problems.setdefault(status, []).append(code)
    answers = {
        call.status: usual,
        **{status: {"description": words} for status, words in call.also.items()},
        **{status: _problem(codes, schemas) for status, codes in problems.items()},
    }
    return {str(status): answers[status] for status in sorted(answers)}


def _refusals(call: Call, *, method: str, path: str) -> Iterator[tuple[str, int]]:
    """Yield the codes that a call may be refused with, and their statuses."""
    codes: list[str | tuple[str, int]] = ["internal", *call.codes]
    if path not in OPEN_PATHS:
        codes += ["unauthorised", "unknown_host"]
    if method not in SAFE_METHODS:
        codes.append("cross_origin")
    if call.body is not None:
        codes += ["invalid_json", "bad_body", "body_too_large", "invalid_request"]
    if call.query is not None:
        codes.append("invalid_request")
    pairs = (code if isinstance(code, tuple) else (code, CODES[code].status) for code in codes)
    yield from dict.fromkeys(sorted(pairs))


def _problem(codes: list[str], schemas: Schemas) -> Schema:
    """Describe a refusal, with the codes that it may carry."""
    which: Schema = {"properties": {"code": {"enum": codes}}}
    schema = {"allOf": [schemas.answer(ProblemView), which]}
    said = " ".join(f"`{code}`: {CODES[code].meaning}" for code in codes)
    return {"description": said, "content": {CONTENT_TYPE: {"schema": schema}}}

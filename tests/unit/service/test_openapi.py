"""The API's document says what the routes do, and nothing else."""

import ast
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from service.app import build_app
from service.openapi.codes import CODES, JOB_CODES
from service.openapi.document import build
from service.openapi.page import sections, ticked
from service.openapi.schemas import Schema
from service.resources import open_resources
from service.settings import Settings

ROOT = Path(__file__).parents[3]
PAGES = {"/vision", "/vision/{key}", "/kitty-artifacts/{key}"}
"""Pages for people, and the address of pictures that stands in for MinIO's: no part of the API."""
ANY = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[web.Application]:
    settings = Settings(data_dir=tmp_path, image_engine="fake")
    async with open_resources(settings) as parts:
        yield build_app(settings, parts)


@pytest.fixture
def document(app: web.Application) -> Schema:
    return build(app.router.routes(), token=True)


def operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_code_in_a_description_is_set_as_code_and_nothing_else_as_html() -> None:
    assert ticked("`<a>` & ` <b>") == "<code>&lt;a&gt;</code> &amp; ` &lt;b&gt;"


async def test_it_is_openapi(document: Schema) -> None:
    OpenAPIV31SpecValidator(document).validate()


async def test_every_route_is_in_it_and_no_other(app: web.Application, document: Schema) -> None:
    routed = {
        (method, route.resource.canonical)
        for route in app.router.routes()
        for method in (ANY if route.method == "*" else {route.method})
        if method != "HEAD" and route.resource is not None
    }
    assert {path for _, path in routed} > {"/api/images/generate", "/llm/{server}/{path}", "/docs"}
    told = {(method, path) for method, path, _ in operations(document)}
    assert told == {(method, path) for method, path in routed if path not in PAGES}


async def test_every_call_has_a_name_of_its_own_and_words(document: Schema) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(names) == len(set(names))
    for _, path, operation in operations(document):
        assert operation["summary"].endswith("."), path
        assert set(re.findall(r"{(\w+)}", path)) == {
            value["name"] for value in operation["parameters"] if value["in"] == "path"
        }


async def test_every_field_of_a_wish_has_a_meaning(document: Schema) -> None:
    fields = document["components"]["schemas"]["GenerateBody"]["properties"]
    assert fields["seed"]["description"].startswith("The same seed")
    assert [name for name, field in fields.items() if not field.get("description")] == []


async def test_a_token_is_asked_for_where_the_document_says(app: web.Application) -> None:
    with_token = build(app.router.routes(), token=True)
    assert with_token["security"] == [{"token": []}, {"cookie": []}]
    open_paths = {p for _, p, operation in operations(with_token) if "security" in operation}
    assert open_paths == {"/", "/healthz", "/readyz"}
    assert build(app.router.routes(), token=False)["security"] == []


def codes_in_source() -> Iterator[tuple[str, str]]:
    """Yield every code that is written out where the service refuses something."""
    for path in sorted((ROOT / "service").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            for word in node.keywords:
                if word.arg == "code" and isinstance(word.value, ast.Constant):
                    yield path.name, str(word.value.value)
            if getattr(node.func, "id", "") == "problem" and isinstance(node.args[1], ast.Constant):
                yield path.name, str(node.args[1].value)


def test_every_code_that_the_service_refuses_with_is_listed() -> None:
    found = list(codes_in_source())
    assert len(found) > 20
    assert [(path, code) for path, code in found if code not in CODES] == []


def test_every_code_that_a_job_can_end_with_is_listed() -> None:
    found = {
        str(node.args[0].value)
        for path in sorted((ROOT / "scheduler").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Failed"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert found >= {"internal", "poison_job", "engine_unknown"}
    assert found <= set(JOB_CODES)


async def test_examples_are_commands_that_can_be_pasted(document: Schema) -> None:
    shown = {
        (entry.method, entry.path): entry.example
        for section in sections(document, base="http://studio:8089", token=True)
        for entry in section.entries
    }
    assert shown["POST", "/api/images/generate"] == (
        "curl -s -X POST http://studio:8089/api/images/generate -H 'Authorization: Bearer TOKEN' "
        """-d '{"prompt": "a red cube", "steps": 20, "count": 2}'"""
    )
    assert shown["GET", "/healthz"] == "curl -s http://studio:8089/healthz"
    assert shown["GET", "/api/images/ws"] == "ws://studio:8089/api/images/ws?since=0"
    assert shown["POST", "/api/images/queue/{verb}"].split()[4].endswith("/queue/pause")
    assert shown["GET", "/api/images/latest"].split()[2].endswith("/latest?limit=12&q=cube'")

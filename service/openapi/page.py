"""The document of the API as rows and examples for a page that people read."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from service.calls import JSON
from service.openapi.schemas import Schema
from service.problems import CONTENT_TYPE

_TICKED = re.compile("`([^`]+)`")
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "≥ {} characters",
    "maxLength": "≤ {} characters",
    "maxItems": "≤ {} items",
    "pattern": "like {}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A value that goes in or comes out: where it stands, its type in words, what it means."""

    name: str
    where: str
    kind: str
    required: bool
    meaning: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call on the page."""

    method: str
    path: str
    summary: str
    more: str
    fields: Sequence[Field]
    example: str
    answers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Calls under one heading."""

    name: str
    words: str
    entries: Sequence[Entry]


def ticked(text: str) -> Markup:
    """Return text as HTML, with what stands between backticks set as code."""
    return Markup(_TICKED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def sections(document: Schema, *, base: str, token: bool) -> Sequence[Section]:
    """Return the page's calls; examples go to the address `base`."""
    entries: dict[str, list[Entry]] = {tag["name"]: [] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            bare = not token or operation.get("security") == []
            example = curl(method, path, operation, base=base, token=not bare)
            entries[operation["tags"][0]].append(
                Entry(
                    method=method.upper(),
                    path=path,
                    summary=operation["summary"],
                    more=operation.get("description", ""),
                    fields=tuple(_fields(operation, document["components"]["schemas"])),
                    example=example,
                    answers=tuple(_answers(operation["responses"])),
                )
            )
    return [
        Section(name=tag["name"], words=tag["description"], entries=entries[tag["name"]])
        for tag in document["tags"]
    ]


def shapes(document: Schema) -> Mapping[str, tuple[str, Sequence[Field]]]:
    """Return every schema that has a name: what it is, and its fields."""
    named = document["components"]["schemas"]
    return {
        name: (schema.get("description", ""), tuple(_properties(schema, "")))
        for name, schema in named.items()
        if "properties" in schema
    }


def curl(method: str, path: str, operation: Schema, *, base: str, token: bool) -> str:
    """Return a command that makes the call."""
    query: dict[str, object] = {}
    for parameter in operation["parameters"]:
        example = parameter.get("example")
        if parameter["in"] == "path":
            choices = parameter["schema"].get("enum", [parameter["name"].upper()])
            value = quote(str(example or choices[0]))
            path = path.replace(f"{{{parameter['name']}}}", value)
        elif example is not None:
            query[parameter["name"]] = example
    address = f"{base}{path}" + (f"?{urlencode(query, safe=',')}" if query else "")
    if "101" in operation["responses"]:
        return address.replace("http", "ws", 1)
    words = ["curl", "-s", *(() if method == "get" else ("-X", method.upper())), address]
    if token:
        words += ["-H", "Authorization: Bearer TOKEN"]
    body = operation.get("requestBody", {}).get("content", {}).get(JSON)
    if body is not None:
        words += ["-d", json.dumps(body["example"])]
    return shlex.join(words)


def type_words(schema: Schema) -> str:
    """Return a schema in words: `integer, ≥ 1, ≤ 64`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(type_words(choice) for choice in schema[several]))
    kind = str(schema.get("format", schema.get("type", "anything")))
    if kind == "array":
        kind = f"array of {type_words(schema.get('items', {}))}"
    bounds = [words.format(schema[name]) for name, words in _BOUNDS.items() if name in schema]
    return ", ".join([kind, *bounds])


def _fields(operation: Schema, named: Mapping[str, Schema]) -> Iterator[Field]:
    """Yield what goes in."""
    for parameter in operation["parameters"]:
        schema = parameter["schema"]
        yield Field(
            name=parameter["name"],
            where=parameter["in"],
            kind=type_words(schema),
            required=parameter.get("required", False),
            meaning=parameter.get("description", ""),
            default=_default(schema),
        )
    body = operation.get("requestBody", {}).get("content", {}).get(JSON)
    if body is not None:
        yield from _properties(_resolved(body["schema"], named), "body")


def _properties(schema: Schema, where: str) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, value in schema.get("properties", {}).items():
        yield Field(
            name=name,
            where=where,
            kind=type_words(value),
            required=name in required,
            meaning=value.get("description", ""),
            default=_default(value),
        )


def _answers(responses: Schema) -> Iterator[tuple[str, str]]:
    """Yield status and meaning of every answer; of the usual one, its type."""
    for status, answer in responses.items():
        content = answer.get("content", {})
        kinds = [
            type_words(part["schema"]) if "schema" in part else media
            for media, part in content.items()
            if media != CONTENT_TYPE
        ]
        yield status, ", ".join(kinds) or answer["description"]


def _default(schema: Schema) -> str:
    return json.dumps(schema["default"]) if schema.get("default") is not None else ""


def _resolved(schema: Schema, named: Mapping[str, Schema]) -> Schema:
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    return named[name] if name else schema

"""JSON Schemas of what goes in and out, from the types that the code uses."""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, TypeAdapter

from service.calls import Call
from service.views.problems import ProblemView

Schema: TypeAlias = dict[str, Any]
Mode: TypeAlias = Literal["validation", "serialization"]

_WHERE = "#/components/schemas/{model}"


class Schemas:
    """The schemas of some calls; those that have a name stand once and are referred to."""

    def __init__(self, calls: Iterable[Call]) -> None:
        wanted: dict[tuple[int, Mode], Any] = {(id(ProblemView), "serialization"): ProblemView}
        for call in calls:
            if call.answer is not None:
                wanted[id(call.answer), "serialization"] = call.answer
            if call.body is not None:
                wanted[id(call.body), "validation"] = call.body
        found, named = TypeAdapter.json_schemas(
            [(key, mode, TypeAdapter(kind)) for (key, mode), kind in wanted.items()],
            ref_template=_WHERE,
        )
        self._found = found
        self.named: Schema = dict(sorted(named.get("$defs", {}).items()))

    def answer(self, kind: object) -> Schema:
        """Return the schema of what we answer with."""
        return self._found[id(kind), "serialization"]

    def body(self, kind: type[BaseModel]) -> Schema:
        """Return the schema of what we are sent."""
        return self._found[id(kind), "validation"]


def query_parameters(kind: type[BaseModel], example: Mapping[str, object]) -> list[Schema]:
    """Return the query values of a model as parameters; None means that a value is not there."""
    whole = kind.model_json_schema()
    return [
        {
            "name": name,
            "in": "query",
            "required": name in whole.get("required", ()),
            "description": schema.pop("description", ""),
            "schema": _without_null(schema),
            **({"example": example[name]} if name in example else {}),
        }
        for name, schema in whole["properties"].items()
    ]


def _without_null(schema: Schema) -> Schema:
    kept = {name: value for name, value in schema.items() if name != "anyOf"}
    for choice in schema.get("anyOf", ()):
        if choice != {"type": "null"}:
            kept |= choice
    if kept.get("default", ...) is None:
        del kept["default"]
    return kept

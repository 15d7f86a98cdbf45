"""Looks into the graph of a plan."""

from collections.abc import Mapping
from typing import Any

from engines.invokeai.parts import Plan

Node = Mapping[str, Any]


def node(plan_: Plan, name: str) -> Node:
    return plan_.graph["nodes"][name]  # type: ignore[index,call-overload,no-any-return]


def nodes(plan_: Plan, kind: str) -> list[Node]:
    return [n for n in plan_.graph["nodes"].values() if n["type"] == kind]  # type: ignore[union-attr]


def source(plan_: Plan, name: str, field: str) -> tuple[str, str] | None:
    """Return what a field is connected to: node and output."""
    for edge in plan_.graph["edges"]:  # type: ignore[union-attr]
        if edge["destination"] == {"node_id": name, "field": field}:  # type: ignore[index,call-overload]
            end = edge["source"]  # type: ignore[index,call-overload]
            return end["node_id"], end["field"]
    return None


def upstream(plan_: Plan, name: str) -> set[str]:
    """Return the types of all nodes that a node depends on."""
    found: set[str] = set()
    for edge in plan_.graph["edges"]:  # type: ignore[union-attr]
        if edge["destination"]["node_id"] == name:  # type: ignore[index,call-overload]
            before = edge["source"]["node_id"]  # type: ignore[index,call-overload]
            found |= {node(plan_, before)["type"]} | upstream(plan_, before)
    return found

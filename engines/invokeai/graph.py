"""A graph that grows node by node, in the form that InvokeAI's queue takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from engines.base import Json

Node: TypeAlias = dict[str, Json]
"""One node: `id`, `type`, `is_intermediate`, `use_cache` and the fields of its type."""


@dataclass(frozen=True, slots=True)
class Port:
    """One output of a node; as the value of another node's field it becomes an edge."""

    node: str
    field: str

    def beside(self, field: str) -> "Port":
        """Return another output of the same node."""
        return Port(self.node, field)


class Graph:
    """Nodes and the edges between their fields; equal calls give equal graphs."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.edges: list[tuple[Port, Port]] = []

    def add(
        self,
        kind: str,
        out: str,
        *,
        name: str = "",
        cached: bool = True,
        items: Sequence[Port] = (),
        **fields: "Json | Port",
    ) -> Port:
        """Add a node of type `kind` and return its output `out`.

        A field that is a `Port` is connected, and all of `items` to the field `item` of a
        collector; None leaves the server's default. `name` becomes the node's id, else its type
        does, numbered where it must be.
        """
        node = self._free(name or kind)
        values: Node = {"id": node, "type": kind, "is_intermediate": True, "use_cache": cached}
        for field, value in fields.items():
            if isinstance(value, Port):
                self.edges.append((value, Port(node, field)))
            elif value is not None:
                values[field] = value
        for port in items:
            self.edges.append((port, Port(node, "item")))
        self.nodes[node] = values
        return Port(node, out)

    def set(self, node: str, **fields: "Json | Port") -> None:
        """Give a node that stands already further fields."""
        for field, value in fields.items():
            if isinstance(value, Port):
                self.edges.append((value, Port(node, field)))
            else:
                self.nodes[node][field] = value

    def dump(self, name: str) -> dict[str, Json]:
        """Return the graph as `batch.graph` of `enqueue_batch`."""
        return {
            "id": name,
            "nodes": self.nodes,
            "edges": [{"source": _end(a), "destination": _end(b)} for a, b in self.edges],
        }

    def fields_used(self) -> Mapping[str, frozenset[str]]:
        """Return node type → the fields that the graph sets or connects."""
        used: dict[str, set[str]] = {}
        for node in self.nodes.values():
            used.setdefault(str(node["type"]), set()).update(node)
        for _, end in self.edges:
            used[str(self.nodes[end.node]["type"])].add(end.field)
        return {kind: frozenset(fields) for kind, fields in used.items()}

    def _free(self, name: str) -> str:
        if name not in self.nodes:
            return name
        return next(n for k in range(2, 1000) if (n := f"{name}_{k}") not in self.nodes)


def _end(port: Port) -> Json:
    return {"node_id": port.node, "field": port.field}

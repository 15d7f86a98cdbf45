"""A workflow that grows node by node, in ComfyUI's API format."""

from collections.abc import Mapping
from typing import TypeAlias

from engines.base import Json

Graph: TypeAlias = dict[str, dict[str, Json]]
"""Node id → `{"class_type", "inputs", "_meta"}`, as `POST /prompt` takes it."""

Link: TypeAlias = list[str | int]
"""`[node id, output slot]`: an input that takes another node's output."""


def is_link(value: object) -> bool:
    """Say whether an input's value is a link rather than a value of its own."""
    match value:
        case [str() | int(), int()]:
            return True
        case _:
            return False


def slot(link: Link, index: int) -> Link:
    """Return another output of the node that `link` comes from."""
    return [link[0], index]


def node_of(link: Link) -> str:
    """Return the id of the node that `link` comes from."""
    return str(link[0])


def inputs_of(graph: Graph, node: str) -> Mapping[str, Json]:
    """Return a node's inputs, none where the graph is malformed."""
    inputs = graph[node].get("inputs")
    return inputs if isinstance(inputs, Mapping) else {}


def class_of(graph: Graph, node: str) -> str:
    """Return a node's class."""
    return str(graph[node].get("class_type", ""))


def title_of(graph: Graph, node: str) -> str:
    """Return the title that the workflow's author gave a node, empty when there is none."""
    match graph[node].get("_meta"):
        case {"title": str(title)}:
            return title
        case _:
            return ""


class Sketch:
    """A growing workflow; ids count from 1 so that equal sketches give equal graphs."""

    def __init__(self) -> None:
        self.graph: Graph = {}

    def add(self, class_type: str, **inputs: Json) -> Link:
        """Add a node and return its first output."""
        node = str(len(self.graph) + 1)
        self.graph[node] = {"class_type": class_type, "inputs": inputs}
        return [node, 0]

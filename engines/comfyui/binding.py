"""Which inputs of a user's workflow take which parts of a spec, as declared or as guessed.

A declaration is a small JSON object beside the workflow (`NAME.bind.json`) or inside it under the
key `kitty`: role → `"node.field"`, where the node is named by id, by title or, where there is but
one, by class. A list binds several inputs to one role, null leaves a role unbound on purpose;
roles that are not declared are guessed.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from engines.comfyui.sketch import Graph, class_of, inputs_of, is_link, title_of
from engines.errors import InvalidSpecError

_EXCERPT = 40


class Role(StrEnum):
    """A part of a spec that a workflow's input may take."""

    PROMPT = "prompt"
    NEGATIVE = "negative"
    SEED = "seed"
    WIDTH = "width"
    HEIGHT = "height"
    STEPS = "steps"
    CFG = "cfg"
    SAMPLER = "sampler"
    SCHEDULER = "scheduler"
    MODEL = "model"
    STRENGTH = "strength"
    IMAGE = "image"
    MASK = "mask"
    CONTROL = "control"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """One input of one node; a node itself (`field` is empty) where a role means that."""

    node: str
    field: str


@dataclass(frozen=True, slots=True)
class Guess:
    """What a role seems to mean; unclear when it could be any one of the targets."""

    targets: tuple[Target, ...] = ()
    unclear: bool = False


Binding: TypeAlias = Mapping[Role, tuple[Target, ...]]
"""Role → the inputs that take it; for `control` one for each ControlNet, in order."""

Guesser: TypeAlias = Callable[[Graph, tuple[Target, ...] | None], Mapping[Role, Guess]]
"""Guesses all roles of a graph, whose output may be known already."""


def settle(graph: Graph, declared: object, guess: Guesser) -> dict[Role, tuple[Target, ...]]:
    """Put what is declared above what is guessed.

    Raises:
        InvalidSpecError: a declaration names what is not there, or a guess stays unclear; the
            message lists the candidates.
    """
    if not isinstance(declared, Mapping):
        raise InvalidSpecError("its binding is no JSON object")
    binding = {
        role: targets
        for name, value in declared.items()
        for role, targets in _declared(graph, name, value)
    }
    unclear = []
    for role, guessed in guess(graph, binding.get(Role.OUTPUT)).items():
        if role in binding:
            continue
        if guessed.unclear:
            unclear.append(f"{role}: {_candidates(graph, guessed.targets)}")
        binding[role] = guessed.targets
    if unclear:
        raise InvalidSpecError(
            "several inputs could be meant; declare one of them in NAME.bind.json, "
            'as in {"prompt": "6.text"} — ' + "; ".join(unclear)
        )
    return binding


def describe(graph: Graph, target: Target) -> str:
    """Name an input so that a person finds it in their workflow."""
    title, node_class = title_of(graph, target.node), class_of(graph, target.node)
    name = f"{target.node}.{target.field}" if target.field else target.node
    about = f"{node_class} {title!r}" if title and title != node_class else node_class
    value = inputs_of(graph, target.node).get(target.field)
    shown = f" = {value[:_EXCERPT]!r}" if isinstance(value, str) else ""
    return f"{name} ({about}){shown}"


def _candidates(graph: Graph, targets: Iterable[Target]) -> str:
    return ", ".join(describe(graph, target) for target in sorted(targets))


def _declared(graph: Graph, name: str, value: object) -> Iterable[tuple[Role, tuple[Target, ...]]]:
    values = [] if value is None else value if isinstance(value, list) else [value]
    if name == "size":
        nodes = tuple(_node(graph, str(v), name) for v in values)
        yield Role.WIDTH, tuple(_input(graph, node, "width", name) for node in nodes)
        yield Role.HEIGHT, tuple(_input(graph, node, "height", name) for node in nodes)
    elif name == Role.OUTPUT:
        yield Role.OUTPUT, tuple(Target(_node(graph, str(v), name), "") for v in values)
    elif name in list(Role):
        yield Role(name), tuple(_target(graph, v, name) for v in values)
    else:
        roles = ", ".join(["size", *Role])
        raise InvalidSpecError(f"the binding knows no role {name!r}, only {roles}")


def _target(graph: Graph, value: object, role: str) -> Target:
    match value:
        case str() if "." in value:
            node, _, field = value.rpartition(".")
        case {"node": str() | int() as given, "field": str(field)}:
            node = str(given)
        case _:
            raise InvalidSpecError(f'{role} is bound to {value!r}, not to "node.field"')
    return _input(graph, _node(graph, node, role), field, role)


def _node(graph: Graph, name: str, role: str) -> str:
    if name in graph:
        return name
    titled = [node for node in graph if title_of(graph, node) == name]
    found = titled or [node for node in graph if class_of(graph, node) == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise InvalidSpecError(f"{role}: {name!r} may be any of the nodes {', '.join(found)}")
    known = ", ".join(
        f"{node} ({title_of(graph, node) or class_of(graph, node)})" for node in graph
    )
    raise InvalidSpecError(f"{role}: the workflow has no node {name!r}, only {known}")


def _input(graph: Graph, node: str, field: str, role: str) -> Target:
    inputs = inputs_of(graph, node)
    if field not in inputs:
        values = ", ".join(name for name, value in inputs.items() if not is_link(value))
        raise InvalidSpecError(f"{role}: node {node} has no input {field!r}, only {values}")
    return Target(node, field)

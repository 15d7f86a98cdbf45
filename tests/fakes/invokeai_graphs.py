"""What InvokeAI makes of a graph: what it refuses, what it ignores, and which picture comes out."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

RECORDED = json.loads(
    (Path(__file__).parents[1] / "data/invokeai/nodes-6.14.2.json").read_text("utf-8")
)
"""Node types, their fields and the scheduler names, as a server of that release described them."""

NODES: Mapping[str, frozenset[str]] = {k: frozenset(v) for k, v in RECORDED["nodes"].items()}
LOADERS = ("main_model_loader", "sdxl_model_loader", "sdxl_refiner_model_loader")
_GRID = 8


def openapi(without: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Describe the nodes as `GET /openapi.json` does; `without` leaves some out."""
    schemas: dict[str, Any] = {}
    for kind, fields in NODES.items():
        if kind in without:
            continue
        properties: dict[str, Any] = {name: {"title": name} for name in fields}
        properties["type"] = {"const": kind, "default": kind}
        if kind == "denoise_latents":
            properties["scheduler"] = {"enum": RECORDED["schedulers"]}
        schemas[f"{kind}_invocation"] = {"class": "invocation", "properties": properties}
    schemas["ImageDTO"] = {"properties": {"image_name": {"type": "string"}}}
    return {"openapi": "3.1.0", "components": {"schemas": schemas}}


def problems(graph: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the `detail` of a 422; empty when the graph is accepted.

    Fields that a node does not have are ignored, as the real server ignores them.
    """
    nodes = graph["nodes"]
    found = [
        {"type": "value_error", "loc": ["body", "batch", "graph", "nodes", key, *place], "msg": msg}
        for key, node in nodes.items()
        for place, msg in _node_problems(node)
    ]
    for edge in graph["edges"]:
        for end in (edge["source"], edge["destination"]):
            if end["node_id"] not in nodes:
                msg = f"Edge {end['node_id']} does not exist in the graph"
                found.append({"type": "value_error", "loc": ["body", "batch", "graph"], "msg": msg})
    return found


def _node_problems(node: Mapping[str, Any]) -> Iterator[tuple[list[str], str]]:
    kind = node["type"]
    if kind not in NODES:
        yield [], f"Input tag '{kind}' found using 'type' does not match any of the expected tags"
        return
    if kind == "denoise_latents":
        if node.get("cfg_scale", 7.5) < 1:
            yield [kind, "cfg_scale"], "Value error, cfg_scale must be greater than 1"
        if node.get("steps", 10) < 1:
            yield [kind, "steps"], "Input should be greater than 0"
        if node.get("scheduler", "euler") not in RECORDED["schedulers"]:
            yield [kind, "scheduler"], "Input should be 'ddim', 'ddpm', 'deis' or one of the others"
    for side in ("width", "height"):
        if kind in ("noise", "lresize") and node.get(side, 512) % _GRID:
            yield [kind, side], "Input should be a multiple of 8"


def output_of(graph: Mapping[str, Any]) -> str:
    """Return the node whose picture goes to the gallery."""
    pictures = ("l2i", "img_resize", "img_paste", "blank_image")
    return next(
        key
        for key, node in graph["nodes"].items()
        if node["type"] in pictures and not node.get("is_intermediate", False)
    )


def denoisings(graph: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield each denoising node with its steps, in the order in which they are drawn."""
    for key, node in graph["nodes"].items():
        if node["type"] == "denoise_latents":
            share = node.get("denoising_end", 1.0) - node.get("denoising_start", 0.0)
            yield key, round(node.get("steps", 10) * share)


def size_of(graph: Mapping[str, Any], key: str) -> tuple[int, int]:
    """Return the size of the picture or the latents that a node puts out."""
    node = graph["nodes"][key]
    if "width" in node and "height" in node:
        return node["width"], node["height"]
    for field in ("noise", "latents", "base_image", "image"):
        for edge in graph["edges"]:
            if edge["destination"] == {"node_id": key, "field": field}:
                return size_of(graph, edge["source"]["node_id"])
    raise ValueError(f"{key} has no size")


def seed_of(graph: Mapping[str, Any]) -> int:
    """Return the seed of the first noise."""
    seeds = (node["seed"] for node in graph["nodes"].values() if node["type"] == "noise")
    return int(next(seeds, 0))


def model_keys(graph: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of the models that the graph loads; a wrong one is noticed while drawing."""
    for node in graph["nodes"].values():
        for field in ("model", "lora", "control_model", "image_to_image_model", "vae_model"):
            match node.get(field):
                case {"key": str(key)} if node["type"] != "core_metadata":
                    yield key
                case _:
                    continue

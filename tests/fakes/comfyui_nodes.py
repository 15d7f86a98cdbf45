"""What a fake ComfyUI knows of nodes: their inputs, what is wrong with a graph, what it draws."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SAMPLERS = ["euler", "euler_ancestral", "heun", "dpmpp_2m", "dpmpp_sde", "lcm", "ddim", "uni_pc"]
SCHEDULERS = ["simple", "sgm_uniform", "karras", "ddim_uniform", "beta", "normal"]
OUTPUTS = frozenset({"SaveImage", "PreviewImage"})

_LINKS = {
    "CheckpointLoaderSimple": (),
    "LoraLoader": ("model", "clip"),
    "CLIPSetLastLayer": ("clip",),
    "CLIPTextEncode": ("clip",),
    "ConditioningCombine": ("conditioning_1", "conditioning_2"),
    "EmptyLatentImage": (),
    "LoadImage": (),
    "ImageToMask": ("image",),
    "VAEEncode": ("pixels", "vae"),
    "SetLatentNoiseMask": ("samples", "mask"),
    "ControlNetLoader": (),
    "ControlNetApplyAdvanced": ("positive", "negative", "control_net", "image"),
    "KSampler": ("model", "positive", "negative", "latent_image"),
    "KSamplerAdvanced": ("model", "positive", "negative", "latent_image"),
    "LatentUpscale": ("samples",),
    "VAEDecode": ("samples", "vae"),
    "UpscaleModelLoader": (),
    "ImageUpscaleWithModel": ("upscale_model", "image"),
    "ImageScale": ("image",),
    "ImageCompositeMasked": ("destination", "source"),
    "SaveImage": ("images",),
    "PreviewImage": ("images",),
}
"""Node class → the inputs that must be wired."""

_PIXELS = ("samples", "latent_image", "images", "image", "pixels", "source")


@dataclass(kw_only=True)
class Shelf:
    """The files that the server has."""

    folders: dict[str, list[str]] = field(
        default_factory=lambda: {
            "checkpoints": ["sd/tiny.safetensors"],
            "loras": ["style.safetensors"],
            "controlnet": ["canny.safetensors"],
            "vae": [],
            "upscale_models": ["double.pth"],
        }
    )
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    uploads: dict[str, tuple[int, int]] = field(default_factory=dict)

    def options(self, node_class: str) -> dict[str, list[str]]:
        """Return the combos of a node."""
        return {
            "CheckpointLoaderSimple": {"ckpt_name": self.folders["checkpoints"]},
            "LoraLoader": {"lora_name": self.folders["loras"]},
            "ControlNetLoader": {"control_net_name": self.folders["controlnet"]},
            "UpscaleModelLoader": {"model_name": self.folders["upscale_models"]},
            "KSampler": {"sampler_name": SAMPLERS, "scheduler": SCHEDULERS},
            "KSamplerAdvanced": {"sampler_name": SAMPLERS, "scheduler": SCHEDULERS},
        }.get(node_class, {})

    def info(self, node_class: str) -> dict[str, Any]:
        """Answer `/object_info/{class}`: nothing, with 200, for a class that there is not."""
        if node_class not in _LINKS:
            return {}
        combos: dict[str, Any] = {}
        for name, options in self.options(node_class).items():
            newer = node_class == "UpscaleModelLoader"
            combos[name] = ["COMBO", {"options": options}] if newer else [options, {}]
        return {node_class: {"input": {"required": combos}}}


def refusal(graph: Mapping[str, Any], shelf: Shelf) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Return the error of a graph that is not run at all, and the complaints about its nodes.

    One valid output is enough: then the others are dropped, and only the complaints tell.
    """
    for node, body in graph.items():
        if body["class_type"] not in _LINKS:
            message = f"Cannot execute because node {body['class_type']} does not exist."
            return _error("invalid_prompt", message, f"Node ID '#{node}'"), {}
    outputs = [node for node in graph if graph[node]["class_type"] in OUTPUTS]
    if not outputs:
        return _error("prompt_no_outputs", "Prompt has no outputs", ""), {}
    wrong = {node: found for node in graph if (found := list(_complaints(graph, node, shelf)))}
    spoilt = {o: set(upstream(graph, o)) & set(wrong) for o in outputs}
    errors = {
        node: {
            "errors": found,
            "dependent_outputs": [o for o in outputs if node in spoilt[o]],
            "class_type": graph[node]["class_type"],
        }
        for node, found in wrong.items()
        if any(node in nodes for nodes in spoilt.values())
    }
    if all(spoilt.values()):
        words = "Prompt outputs failed validation"
        return _error("prompt_outputs_failed_validation", words, ""), errors
    return None, errors


def upstream(graph: Mapping[str, Any], node: str) -> Iterator[str]:
    """Return a node and all before it, those that run first at the front."""
    seen: dict[str, None] = {}

    def visit(name: str) -> None:
        for value in graph[name]["inputs"].values():
            if isinstance(value, list) and value[0] in graph and value[0] not in seen:
                visit(value[0])
        seen[name] = None

    visit(node)
    return iter(seen)


def signature(graph: Mapping[str, Any], node: str) -> str:
    """Return what makes two runs of a node the same: its inputs, and those before it."""
    inputs = {
        name: signature(graph, value[0]) if isinstance(value, list) else value
        for name, value in graph[node]["inputs"].items()
    }
    text = json.dumps([graph[node]["class_type"], inputs], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def size_of(graph: Mapping[str, Any], node: str, shelf: Shelf) -> tuple[int, int]:
    """Return width and height of what a node gives out."""
    inputs = graph[node]["inputs"]
    if isinstance(inputs.get("width"), int):
        return inputs["width"], inputs["height"]
    if graph[node]["class_type"] == "LoadImage":
        return shelf.uploads[inputs["image"]]
    before = next(inputs[name] for name in _PIXELS if name in inputs)
    width, height = size_of(graph, before[0], shelf)
    factor = 2 if graph[node]["class_type"] == "ImageUpscaleWithModel" else 1
    return width * factor, height * factor


def seed_of(graph: Mapping[str, Any], node: str) -> int:
    """Return a number for the colours of what a node gives out: its samplers' seeds, summed."""
    inputs = [graph[name]["inputs"] for name in upstream(graph, node)]
    return sum(int(i.get("seed", i.get("noise_seed", 0))) for i in inputs)


def steps_of(inputs: Mapping[str, Any]) -> int:
    """Return the steps that a sampler takes."""
    last = min(inputs.get("end_at_step", inputs["steps"]), inputs["steps"])
    return int(last - inputs.get("start_at_step", 0))


def _complaints(graph: Mapping[str, Any], node: str, shelf: Shelf) -> Iterator[dict[str, Any]]:
    node_class, inputs = graph[node]["class_type"], graph[node]["inputs"]
    for name in _LINKS[node_class]:
        if name not in inputs:
            yield _complaint("required_input_missing", "Required input is missing", name, None)
        elif not isinstance(inputs[name], list):
            yield _complaint("bad_linked_input", "Bad linked input", name, inputs[name])
        elif inputs[name][0] not in graph:
            yield _complaint("exception_during_validation", "Exception", name, inputs[name])
    for name, options in shelf.options(node_class).items():
        if inputs.get(name) not in options:
            yield _complaint("value_not_in_list", "Value not in list", name, inputs.get(name))
    if node_class == "LoadImage" and inputs["image"] not in shelf.uploads:
        words = "Custom validation failed for node"
        yield _complaint("custom_validation_failed", words, "image", inputs["image"])


def _complaint(kind: str, message: str, name: str, value: object) -> dict[str, Any]:
    extra = {"input_name": name, "received_value": value}
    return {"type": kind, "message": message, "details": f"{name}: {value}", "extra_info": extra}


def _error(kind: str, message: str, details: str) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": {}}

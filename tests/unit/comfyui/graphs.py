"""Workflows as users have them, in API format."""

import copy
from typing import Any

Graph = dict[str, Any]


def node(node_class: str, title: str = "", /, **inputs: Any) -> Graph:  # noqa: ANN401 -- JSON
    """Return one node."""
    meta = {"_meta": {"title": title}} if title else {}
    return {"class_type": node_class, "inputs": inputs, **meta}


CLASSIC: Graph = {
    "3": node(
        "KSampler",
        seed=8,
        steps=25,
        cfg=5.5,
        sampler_name="heun",
        scheduler="karras",
        denoise=1.0,
        model=["4", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["5", 0],
    ),
    "4": node("CheckpointLoaderSimple", ckpt_name="sd/tiny.safetensors"),
    "5": node("EmptyLatentImage", width=640, height=448, batch_size=1),
    "6": node("CLIPTextEncode", "Say", text="a boat", clip=["4", 1]),
    "7": node("CLIPTextEncode", "Avoid", text="fog", clip=["4", 1]),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", images=["8", 0], filename_prefix="ComfyUI"),
}


def classic(**changes: Any) -> Graph:  # noqa: ANN401 -- JSON
    """Return the workflow that every ComfyUI opens with, changed at inputs named `node__field`."""
    graph = copy.deepcopy(CLASSIC)
    for place, value in changes.items():
        name, _, field = place.removeprefix("n").partition("__")
        graph[name]["inputs"][field] = value
    return graph


def with_nodes(graph: Graph, **nodes: Graph) -> Graph:
    """Return the workflow with further nodes, or with others in their place (`n10=…`)."""
    return {
        **copy.deepcopy(graph),
        **{name.removeprefix("n"): body for name, body in nodes.items()},
    }


CONTROLLED = with_nodes(
    classic(n3__positive=["12", 0], n3__negative=["12", 1]),
    n10=node("ControlNetLoader", control_net_name="canny.safetensors"),
    n11=node("LoadImage", image="lines.png"),
    n12=node(
        "ControlNetApplyAdvanced",
        positive=["13", 0],
        negative=["7", 0],
        control_net=["10", 0],
        image=["11", 0],
        strength=1.0,
    ),
    n13=node("ConditioningSetTimestepRange", conditioning=["6", 0], start=0.0, end=1.0),
)

TWO_PASSES = with_nodes(
    classic(n8__samples=["11", 0]),
    n10=node("LatentUpscaleBy", samples=["3", 0], upscale_method="bislerp", scale_by=1.5),
    n11=node(
        "KSampler",
        seed=99,
        steps=12,
        cfg=8.0,
        sampler_name="euler",
        scheduler="normal",
        denoise=0.4,
        model=["4", 0],
        positive=["6", 0],
        negative=["7", 0],
        latent_image=["10", 0],
    ),
)

IMG2IMG = with_nodes(
    classic(n3__latent_image=["10", 0], n3__denoise=0.6),
    n10=node("SetLatentNoiseMask", samples=["11", 0], mask=["12", 0]),
    n11=node("VAEEncode", pixels=["14", 0], vae=["4", 2]),
    n12=node("LoadImageMask", image="mask.png", channel="red"),
    n13=node("LoadImage", image="in.png"),
    n14=node("ImageScale", image=["13", 0], upscale_method="area", width=512, height=512),
)

FLUX: Graph = {
    "1": node("UNETLoader", unet_name="flux.safetensors", weight_dtype="default"),
    "2": node("DualCLIPLoader", clip_name1="t5", clip_name2="l"),
    "3": node("VAELoader", vae_name="ae.safetensors"),
    "4": node("CLIPTextEncodeFlux", clip_l="a boat", t5xxl="a boat", guidance=3.5, clip=["2", 0]),
    "5": node("EmptySD3LatentImage", width=1024, height=768, batch_size=1),
    "6": node("RandomNoise", noise_seed=3),
    "7": node("KSamplerSelect", sampler_name="euler"),
    "8": node("BasicScheduler", scheduler="simple", steps=20, denoise=1.0, model=["1", 0]),
    "9": node("BasicGuider", model=["1", 0], conditioning=["4", 0]),
    "10": node(
        "SamplerCustomAdvanced",
        noise=["6", 0],
        guider=["9", 0],
        sampler=["7", 0],
        sigmas=["8", 0],
        latent_image=["5", 0],
    ),
    "11": node("VAEDecode", samples=["10", 0], vae=["3", 0]),
    "12": node("SaveImage", images=["11", 0], filename_prefix="flux"),
}

"""The head of every graph: the networks that draw, and what guides them."""

from dataclasses import dataclass

from engines.invokeai.graph import Graph, Port
from engines.invokeai.parts import Parts
from engines.spec import GenerationSpec, Tiling


@dataclass(frozen=True, slots=True)
class Network:
    """A loaded model's outputs, as the nodes after it take them; SD 1.5 has no `clip2`."""

    unet: Port
    vae: Port
    clip: Port
    clip2: Port | None = None


@dataclass(frozen=True, slots=True)
class Guidance:
    """Both prompts, encoded."""

    positive: Port
    negative: Port


def loaded(graph: Graph, spec: GenerationSpec, parts: Parts) -> Network:
    """Load the model and lead it through VAE, LoRAs, tiling and clip skip, in this order."""
    kind = "sdxl_model_loader" if parts.is_sdxl else "main_model_loader"
    unet = graph.add(kind, "unet", name="model", model=parts.model.identifier)
    clip, clip2 = unet.beside("clip"), unet.beside("clip2") if parts.is_sdxl else None
    vae = unet.beside("vae")
    if parts.vae is not None:
        vae = graph.add("vae_loader", "vae", vae_model=parts.vae.identifier)
    if parts.loras:
        unet = _adapted(graph, parts, unet, clip, clip2)
        clip, clip2 = unet.beside("clip"), unet.beside("clip2") if parts.is_sdxl else None
    if spec.tiling is not Tiling.NONE:
        unet = graph.add(
            "seamless",
            "unet",
            unet=unet,
            vae=vae,
            seamless_x=spec.tiling in (Tiling.X, Tiling.BOTH),
            seamless_y=spec.tiling in (Tiling.Y, Tiling.BOTH),
        )
        vae = unet.beside("vae")
    if spec.clip_skip and not parts.is_sdxl:
        clip = graph.add("clip_skip", "clip", clip=clip, skipped_layers=spec.clip_skip)
    return Network(unet=unet, vae=vae, clip=clip, clip2=clip2)


def guided(graph: Graph, spec: GenerationSpec, parts: Parts, network: Network) -> Guidance:
    """Encode both prompts."""
    return Guidance(
        positive=_encoded(graph, spec, network, parts.positive, "positive"),
        negative=_encoded(graph, spec, network, parts.negative, "negative"),
    )


def refined(graph: Graph, spec: GenerationSpec, parts: Parts) -> tuple[Network, Guidance]:
    """Load the refiner and encode both prompts for its one text encoder."""
    if parts.refiner is None:
        raise ValueError("the parts name no refiner")
    unet = graph.add(
        "sdxl_refiner_model_loader", "unet", name="refiner", model=parts.refiner.identifier
    )

    def encoded(prompt: str, name: str, score: float) -> Port:
        return graph.add(
            "sdxl_refiner_compel_prompt",
            "conditioning",
            name=name,
            clip2=unet.beside("clip2"),
            style=prompt,
            original_width=spec.width,
            original_height=spec.height,
            aesthetic_score=score,
        )

    # the scores that the refiner was trained to tell good from bad by, and InvokeAI's own defaults
    guidance = Guidance(
        positive=encoded(parts.positive, "refiner_positive", 6.0),
        negative=encoded(parts.negative, "refiner_negative", 2.5),
    )
    network = Network(unet=unet, vae=unet.beside("vae"), clip=unet.beside("clip2"))
    return network, guidance


def controlled(graph: Graph, spec: GenerationSpec, parts: Parts) -> Port | None:
    """Add the spec's ControlNets and return what denoising takes; None where there are none."""
    controls = [
        graph.add(
            "controlnet",
            "control",
            cached=False,
            image={"image_name": parts.images[control.image]},
            control_model=record.identifier,
            control_weight=control.weight,
            begin_step_percent=control.start,
            end_step_percent=control.end,
            control_mode="balanced",
            resize_mode="just_resize",
        )
        for control, record in zip(spec.controls, parts.controls, strict=True)
    ]
    if not controls:
        return None
    return graph.add("collect", "collection", name="controls", cached=False, items=controls)


def _adapted(graph: Graph, parts: Parts, unet: Port, clip: Port, clip2: Port | None) -> Port:
    """Lead the networks through the LoRAs; return the adapted UNet."""
    selected = [
        graph.add("lora_selector", "lora", lora=record.identifier, weight=weight)
        for record, weight in parts.loras
    ]
    loras = graph.add("collect", "collection", name="loras", items=selected)
    kind = "sdxl_lora_collection_loader" if parts.is_sdxl else "lora_collection_loader"
    return graph.add(kind, "unet", name="adapted", loras=loras, unet=unet, clip=clip, clip2=clip2)


def _encoded(graph: Graph, spec: GenerationSpec, network: Network, prompt: str, name: str) -> Port:
    if network.clip2 is None:
        return graph.add("compel", "conditioning", name=name, clip=network.clip, prompt=prompt)
    return graph.add(
        "sdxl_compel_prompt",
        "conditioning",
        name=name,
        clip=network.clip,
        clip2=network.clip2,
        prompt=prompt,
        style="",
        original_width=spec.width,
        original_height=spec.height,
        target_width=spec.width,
        target_height=spec.height,
    )

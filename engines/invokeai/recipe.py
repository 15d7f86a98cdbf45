"""From a spec to the graph that draws it, without asking anybody.

Node types and fields are those of InvokeAI 6.14 (`invokeai/app/invocations/`), checked against a
running server; `engines.invokeai.schema` compares them with every server's own description.
"""

from engines.invokeai.canvas import Canvas
from engines.invokeai.graph import Graph, Port
from engines.invokeai.network import Guidance, Network, controlled, guided, loaded, refined
from engines.invokeai.parts import Parts, Plan, drawn_size
from engines.spec import LATENT, GenerationSpec, Hires


def plan(spec: GenerationSpec, parts: Parts, *, name: str = "kitty") -> Plan:
    """Draw up the graph of a spec; `name` becomes its id."""
    graph = Graph()
    network = loaded(graph, spec, parts)
    canvas = Canvas(
        spec=spec,
        parts=parts,
        graph=graph,
        network=network,
        guidance=guided(graph, spec, parts, network),
        control=controlled(graph, spec, parts),
    )
    _take_inputs(canvas)
    latents = _first_pass(canvas)
    if spec.hires is not None:
        latents = _second_pass(canvas, latents, spec.hires)
    image = _finished(canvas, canvas.decoded(latents))
    _publish(canvas, image)
    return Plan(
        graph=graph.dump(name),
        fields=graph.fields_used(),
        output=image.node,
        passes=canvas.passes,
        size=spec.output_size,
    )


def _take_inputs(canvas: Canvas) -> None:
    """Bring the init image and its mask to the size of the first pass."""
    spec, parts = canvas.spec, canvas.parts
    if spec.init_image is None:
        return
    size = spec.width, spec.height
    canvas.original = canvas.resized(parts.images[spec.init_image], size, "lanczos")
    if parts.mask is not None:
        canvas.mask = canvas.resized(parts.mask, size, "bilinear")
        canvas.denoise_mask = canvas.graph.add(
            "create_denoise_mask",
            "denoise_mask",
            vae=canvas.network.vae,
            mask=canvas.mask,
            fp32=parts.fp32,
        )


def _first_pass(canvas: Canvas) -> Port:
    """Draw the composition; a refiner takes over for the last part."""
    spec = canvas.spec
    start, latents = 0.0, None
    if canvas.original is not None:
        start, latents = 1.0 - spec.strength, canvas.encoded(canvas.original)
    until = spec.refiner.start if spec.refiner is not None else 1.0
    noise = canvas.noise((spec.width, spec.height))
    if until <= start:
        return _refine(canvas, latents, noise, start)
    done = _denoise(canvas, latents, noise=noise, start=start, end=until, steps=spec.steps)
    return _refine(canvas, done, None, until) if until < 1.0 else done


def _refine(canvas: Canvas, latents: Port | None, noise: Port | None, start: float) -> Port:
    network, guidance = refined(canvas.graph, canvas.spec, canvas.parts)
    return _denoise(
        canvas,
        latents,
        noise=noise,
        start=start,
        end=1.0,
        steps=canvas.spec.steps,
        network=network,
        guidance=guidance,
    )


def _second_pass(canvas: Canvas, latents: Port, hires: Hires) -> Port:
    """Enlarge the composition, as latents or as a picture, and draw its detail anew."""
    size = drawn_size(canvas.spec)
    if hires.upscaler == LATENT:
        latents = canvas.graph.add(
            "lresize", "latents", latents=latents, width=size[0], height=size[1], mode="bilinear"
        )
    else:
        image = canvas.enlarged(canvas.decoded(latents), hires.upscaler, hires.scale, size)
        latents = canvas.encoded(image)
    return _denoise(
        canvas,
        latents,
        noise=canvas.noise(size),
        start=1.0 - hires.strength,
        end=1.0,
        steps=hires.steps or canvas.spec.steps,
    )


def _denoise(
    canvas: Canvas,
    latents: Port | None,
    *,
    noise: Port | None,
    start: float,
    end: float,
    steps: int,
    network: Network | None = None,
    guidance: Guidance | None = None,
) -> Port:
    """Add one denoising, by the model itself unless another network is given."""
    guidance = guidance or canvas.guidance
    done = canvas.graph.add(
        "denoise_latents",
        "latents",
        name="denoise",
        unet=(network or canvas.network).unet,
        positive_conditioning=guidance.positive,
        negative_conditioning=guidance.negative,
        noise=noise,
        latents=latents,
        denoise_mask=canvas.denoise_mask,
        control=None if network else canvas.control,
        steps=steps,
        cfg_scale=canvas.spec.cfg,
        scheduler=canvas.parts.scheduler,
        denoising_start=start,
        denoising_end=end,
    )
    canvas.passes[done.node] = round(steps * (end - start))
    return done


def _finished(canvas: Canvas, image: Port) -> Port:
    """Put back what a mask protects, then bring the picture to the size that was asked for."""
    spec, size = canvas.spec, drawn_size(canvas.spec)
    if canvas.original is not None and canvas.mask is not None:
        original, mask = canvas.original, canvas.mask
        if spec.hires is not None:
            original = canvas.resized(original, size, "lanczos")
            mask = canvas.resized(mask, size, "bilinear")
        image = canvas.graph.add(
            "img_paste", "image", cached=False, base_image=original, image=image, mask=mask
        )
    if spec.upscale is not None:
        upscale = spec.upscale
        return canvas.enlarged(image, upscale.upscaler, upscale.scale, spec.output_size)
    return image if size == spec.output_size else canvas.resized(image, spec.output_size)


def _publish(canvas: Canvas, image: Port) -> None:
    """Make the last picture the result: kept, on its board, with what it was drawn from."""
    spec, parts = canvas.spec, canvas.parts
    mode = "txt2img" if spec.init_image is None else "inpaint" if parts.mask else "img2img"
    metadata = canvas.graph.add(
        "core_metadata",
        "metadata",
        name="metadata",
        generation_mode=f"sdxl_{mode}" if parts.is_sdxl else mode,
        positive_prompt=parts.positive,
        negative_prompt=parts.negative,
        width=spec.width,
        height=spec.height,
        seed=spec.seed,
        steps=spec.steps,
        cfg_scale=spec.cfg,
        scheduler=parts.scheduler,
        clip_skip=spec.clip_skip,
        rand_device="cpu",
        model=parts.model.identifier,
        loras=[{"model": r.identifier, "weight": w} for r, w in parts.loras],
    )
    canvas.graph.set(image.node, metadata=metadata, is_intermediate=False, use_cache=False)
    if parts.board is not None:
        canvas.graph.set(image.node, board={"board_id": parts.board})

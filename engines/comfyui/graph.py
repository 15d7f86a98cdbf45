"""The built-in workflows: a spec becomes a ComfyUI graph, without asking anybody.

Node classes and their inputs are those of ComfyUI 0.3.64 (`nodes.py`, `comfy_extras/`), checked
against a running server; later releases kept them. The same graphs draw SD 1.5 and SDXL: the
checkpoint loader tells them apart.
"""

from engines.comfyui.canvas import Canvas, Names, Workflow, grid
from engines.comfyui.sampling import first_pass, second_pass
from engines.comfyui.sketch import Link, Sketch, node_of, slot
from engines.spec import GenerationSpec


def build(spec: GenerationSpec, names: Names) -> Workflow:
    """Draw `spec` with core nodes only; what they cannot do (`tiling`) is left out."""
    canvas = _canvas(spec, names)
    _guided(canvas)
    original = canvas.picture(spec.init_image) if spec.init_image else None
    mask = _mask(canvas) if original else None
    latent = first_pass(canvas, _first_latent(canvas, original, mask))
    if spec.hires is not None:
        latent = second_pass(canvas, latent, spec.hires)
    image = canvas.sketch.add("VAEDecode", samples=latent, vae=canvas.vae)
    image = _finished(canvas, image, original, mask)
    saved = canvas.sketch.add("SaveImage", images=image, filename_prefix=names.prefix)
    return Workflow(
        graph=canvas.sketch.graph,
        output=node_of(saved),
        passes=canvas.passes,
        size=spec.output_size,
    )


def _canvas(spec: GenerationSpec, names: Names) -> Canvas:
    sketch = Sketch()
    loaded = sketch.add("CheckpointLoaderSimple", ckpt_name=names.checkpoint)
    model, clip = loaded, slot(loaded, 1)
    for lora in names.loras:
        model = sketch.add(
            "LoraLoader",
            model=model,
            clip=clip,
            lora_name=lora.name,
            strength_model=lora.weight,
            strength_clip=lora.weight,
        )
        clip = slot(model, 1)
    if spec.clip_skip > 0:
        clip = sketch.add("CLIPSetLastLayer", clip=clip, stop_at_clip_layer=-1 - spec.clip_skip)
    return Canvas(
        spec=spec,
        names=names,
        sketch=sketch,
        model=model,
        vae=slot(loaded, 2),
        positive=sketch.add("CLIPTextEncode", text=spec.prompt, clip=clip),
        negative=sketch.add("CLIPTextEncode", text=spec.negative_prompt, clip=clip),
    )


def _guided(canvas: Canvas) -> None:
    """Lead both conditionings through the spec's ControlNets, one after the other."""
    for control, file in zip(canvas.spec.controls, canvas.names.controls, strict=True):
        canvas.positive = canvas.sketch.add(
            "ControlNetApplyAdvanced",
            positive=canvas.positive,
            negative=canvas.negative,
            control_net=canvas.sketch.add("ControlNetLoader", control_net_name=file),
            image=canvas.picture(control.image),
            strength=control.weight,
            start_percent=control.start,
            end_percent=control.end,
            vae=canvas.vae,
        )
        canvas.negative = slot(canvas.positive, 1)


def _mask(canvas: Canvas) -> Link | None:
    if canvas.spec.mask is None:
        return None
    picture = canvas.picture(canvas.spec.mask)
    return canvas.sketch.add("ImageToMask", image=picture, channel="red")


def _first_latent(canvas: Canvas, original: Link | None, mask: Link | None) -> Link:
    if original is None:
        width, height = canvas.size
        return canvas.sketch.add("EmptyLatentImage", width=width, height=height, batch_size=1)
    latent = canvas.sketch.add("VAEEncode", pixels=original, vae=canvas.vae)
    if mask is None:
        return latent
    return canvas.sketch.add("SetLatentNoiseMask", samples=latent, mask=mask)


def _finished(canvas: Canvas, image: Link, original: Link | None, mask: Link | None) -> Link:
    """Put back what a mask protects, then bring the picture to the size that was asked for."""
    spec = canvas.spec
    scale = spec.hires.scale if spec.hires else 1.0
    size = grid(spec.width * scale), grid(spec.height * scale)
    if original is not None and mask is not None:
        image = canvas.sketch.add(
            "ImageCompositeMasked",
            destination=canvas.scaled(original, size) if spec.hires else original,
            source=image,
            x=0,
            y=0,
            resize_source=False,
            mask=mask,
        )
    if spec.upscale is not None:
        return canvas.enlarged(image, spec.upscale.upscaler, spec.output_size)
    return image if size == spec.output_size else canvas.scaled(image, spec.output_size)

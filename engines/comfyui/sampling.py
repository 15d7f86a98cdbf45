"""The passes of the built-in workflows: where steps are drawn."""

from engines.comfyui.canvas import Canvas, grid
from engines.comfyui.sketch import Link, node_of, slot
from engines.spec import LATENT, Hires, Refiner


def drawn_steps(steps: int, strength: float) -> int:
    """Return how many of `steps` are drawn at `strength`.

    `KSampler` takes the steps to be drawn and stretches its schedule by `denoise`; a spec means
    the whole schedule, of which a share of `strength` is drawn.
    """
    return max(1, round(steps * strength))


def first_pass(canvas: Canvas, latent: Link) -> Link:
    """Add the pass that composes the picture, by one model or, with a refiner, by two."""
    spec = canvas.spec
    strength = 1.0 if spec.init_image is None else spec.strength
    if spec.refiner is None or canvas.names.refiner is None:
        return _sampled(canvas, latent, spec.steps, strength)
    return _refined(canvas, latent, spec.refiner, canvas.names.refiner, strength)


def second_pass(canvas: Canvas, latent: Link, hires: Hires) -> Link:
    """Add the pass that draws detail into the enlarged latents or the enlarged picture."""
    spec, sketch = canvas.spec, canvas.sketch
    size = grid(spec.width * hires.scale), grid(spec.height * hires.scale)
    if hires.upscaler == LATENT:
        latent = sketch.add(
            "LatentUpscale",
            samples=latent,
            upscale_method="bislerp",
            width=size[0],
            height=size[1],
            crop="disabled",
        )
    else:
        image = sketch.add("VAEDecode", samples=latent, vae=canvas.vae)
        image = canvas.enlarged(image, hires.upscaler, size)
        latent = sketch.add("VAEEncode", pixels=image, vae=canvas.vae)
    return _sampled(canvas, latent, hires.steps or spec.steps, hires.strength)


def _sampled(canvas: Canvas, latent: Link, steps: int, strength: float) -> Link:
    drawn = drawn_steps(steps, strength)
    sampled = canvas.sketch.add(
        "KSampler",
        model=canvas.model,
        positive=canvas.positive,
        negative=canvas.negative,
        latent_image=latent,
        seed=canvas.spec.seed,
        steps=drawn,
        cfg=canvas.spec.cfg,
        sampler_name=canvas.names.sampler,
        scheduler=canvas.names.scheduler,
        denoise=strength,
    )
    canvas.passes[node_of(sampled)] = drawn
    return sampled


def _refined(canvas: Canvas, latent: Link, refiner: Refiner, file: str, strength: float) -> Link:
    spec, sketch = canvas.spec, canvas.sketch
    start = spec.steps - drawn_steps(spec.steps, strength)
    switch = min(max(round(spec.steps * refiner.start), start + 1), spec.steps)
    base = canvas.model, canvas.positive, canvas.negative
    latent = _stretch(canvas, latent, base, start, switch)
    if switch == spec.steps:
        return latent
    loaded = sketch.add("CheckpointLoaderSimple", ckpt_name=file)
    positive = sketch.add("CLIPTextEncode", text=spec.prompt, clip=slot(loaded, 1))
    negative = sketch.add("CLIPTextEncode", text=spec.negative_prompt, clip=slot(loaded, 1))
    return _stretch(canvas, latent, (loaded, positive, negative), switch, spec.steps)


def _stretch(
    canvas: Canvas, latent: Link, wires: tuple[Link, Link, Link], start: int, stop: int
) -> Link:
    """Add the steps from `start` to `stop` of the whole schedule, noise and all."""
    model, positive, negative = wires
    first, last = not canvas.passes, stop == canvas.spec.steps
    sampled = canvas.sketch.add(
        "KSamplerAdvanced",
        model=model,
        positive=positive,
        negative=negative,
        latent_image=latent,
        add_noise="enable" if first else "disable",
        noise_seed=canvas.spec.seed,
        steps=canvas.spec.steps,
        cfg=canvas.spec.cfg,
        sampler_name=canvas.names.sampler,
        scheduler=canvas.names.scheduler,
        start_at_step=start,
        end_at_step=stop,
        return_with_leftover_noise="disable" if last else "enable",
    )
    canvas.passes[node_of(sampled)] = stop - start
    return sampled

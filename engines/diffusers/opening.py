"""Opens a session: everything of one pass that the first step needs."""

import torch

from engines.base import Shortfall
from engines.diffusers.canvas import Canvas, Preparation, latent_shape
from engines.diffusers.checkpoint import Checkpoint
from engines.diffusers.encoding import encode
from engines.diffusers.pixels import Pixels
from engines.diffusers.plan import Pass
from engines.diffusers.precision import Rung
from engines.diffusers.samplers import SamplerRun
from engines.diffusers.session import Frame, Group, Session
from engines.diffusers.snapshot import Snapshot
from engines.diffusers.studio import Studio
from engines.spec import GenerationSpec


def open_session(
    part: Pass,
    spec: GenerationSpec,
    studio: Studio,
    *,
    rung: Rung,
    picture_id: str,
    generator: torch.Generator,
    before: Canvas | None,
    larger: Pixels | None,
    kept: Snapshot | None,
) -> Session:
    """Open a pass: from its start, or from where a snapshot left it.

    Args:
        part: The pass.
        spec: What is drawn.
        studio: The thread's tools.
        rung: The precision.
        picture_id: The picture's name.
        generator: The picture's; it stands where the snapshot left it.
        before: Where the pass before ended, None in the first.
        larger: The picture of that pass, where it was enlarged as a picture.
        kept: The snapshot of this pass, if there is one.

    Raises:
        InvalidSpecError: something that the spec names is missing or does not fit.
    """
    checkpoint = studio.dressed(part.model, rung, loras=part.loras, tiling=spec.tiling)
    conditioning = encode(spec, checkpoint, part=part, cache=studio.prompts)
    sampler = _sampler(part, spec, checkpoint, generator)
    guides = studio.guides.prepare(part, checkpoint, studio.inputs)
    if kept is None:
        canvas = Preparation(
            part=part,
            spec=spec,
            checkpoint=checkpoint,
            sampler=sampler,
            generator=generator,
            inputs=studio.inputs,
            tile_pixels=studio.tile_pixels,
        ).lay_out(before, larger)
    else:
        sampler.recall(kept.memory)
        canvas = _kept_canvas(kept, checkpoint)
    return Session(
        group=Group(
            model=checkpoint.shelved.mark,
            rung=checkpoint.rung.name,
            shape=tuple(canvas.latents.shape),
            rows=conditioning.rows,
            tokens=conditioning.embeds.shape[1],
            loras=part.loras,
            tiling=spec.tiling,
            guides=tuple(guide.model.mark for guide in guides),
            alone=picture_id if spec.reproducible else "",
        ),
        latents=canvas.latents,
        sampler=sampler,
        conditioning=conditioning,
        cfg=spec.cfg,
        guides=guides,
        frame=canvas.frame,
    )


def idle_guides(session: Session) -> tuple[Shortfall, ...]:
    """Say which ControlNets guide none of a pass's steps, for all their weight."""
    steps = session.sampler.steps
    return tuple(
        Shortfall(
            "control_unused",
            f"from {guide.start:g} to {guide.end:g} there is none of {steps} steps, so "
            f"{guide.model.info.name} guides nothing",
            field="controls",
        )
        for guide in session.guides
        if guide.weight and steps and not any(guide.acts(step, steps) for step in range(steps))
    )


def _sampler(
    part: Pass, spec: GenerationSpec, checkpoint: Checkpoint, generator: torch.Generator
) -> SamplerRun:
    """Return the sampler of a pass, set to the part of the steps that the pass draws."""
    sampler = SamplerRun(
        name=spec.sampler,
        config=checkpoint.scheduler_config,
        steps=part.steps,
        generator=generator,
        shape=latent_shape(part, checkpoint),
        device=checkpoint.device,
    )
    sampler.limit(strength=part.strength, start=part.window[0], end=part.window[1])
    return sampler


def snapshot_of(
    session: Session,
    *,
    part: int,
    generator: torch.Generator,
    shortfalls: tuple[Shortfall, ...],
) -> Snapshot:
    """Return the state of a session between two steps, with what fell short until then."""
    tensors = {"latents": session.latents, "generator": generator.get_state()}
    frame = session.frame
    if frame is not None:
        tensors |= {"original": frame.original, "noise": frame.noise, "mask": frame.mask}
        if frame.masked is not None:
            tensors["masked"] = frame.masked
    return Snapshot(
        part=part, tensors=tensors, memory=session.sampler.memory(), shortfalls=shortfalls
    )


def _kept_canvas(kept: Snapshot, checkpoint: Checkpoint) -> Canvas:
    tensors = {k: v.to(checkpoint.device) for k, v in kept.tensors.items() if k != "generator"}
    frame = None
    if "mask" in tensors:
        frame = Frame(
            original=tensors["original"],
            noise=tensors["noise"],
            mask=tensors["mask"],
            masked=tensors.get("masked"),
        )
    return Canvas(tensors["latents"], frame)

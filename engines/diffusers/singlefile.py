"""Loads a checkpoint that comes as one safetensors file, in the layout of the original code."""

from typing import Any

import torch

from engines.diffusers.borrowing import remedy
from engines.diffusers.checkpoint import Parts
from engines.diffusers.headers import BrokenFileError, read_header
from engines.diffusers.library import Library, Shelved
from engines.diffusers.parts import load_vae
from engines.diffusers.precision import Rung


def load_file(
    shelved: Shelved, *, library: Library, rung: Rung, decoder: torch.dtype, device: torch.device
) -> Parts:
    """Load a single file.

    The file holds weights alone: a folder of the same family lends tokenizer and shapes. A network
    that is trained to fill says so by the channels that it takes in.

    Raises:
        BrokenFileError: there is no such folder.
        OSError: a file cannot be read.
        ValueError: the weights do not fit the shapes.
    """
    import diffusers  # noqa: PLC0415

    wide = shelved.info.base.startswith("sdxl")
    kind = diffusers.StableDiffusionXLPipeline if wide else diffusers.StableDiffusionPipeline
    family = library.lender(shelved.info.base)
    if family is None:
        raise BrokenFileError(remedy(shelved))
    more: dict[str, Any] = {} if wide else {"safety_checker": None, "feature_extractor": None}
    if shelved.vae is not None:
        more["vae"] = load_vae(shelved.vae, like=family / "vae", dtype=decoder)
    shape = read_header(shelved.path).shape_of("model.diffusion_model.input_blocks.0.0.weight")
    pipeline: Any = kind.from_single_file(
        str(shelved.path),
        config=str(family),
        local_files_only=True,
        dtype=rung.network,
        num_in_channels=shape[1] if shape else 4,
        **more,
    )
    return Parts(
        unet=pipeline.unet.to(device),
        vae=pipeline.vae.to(device=device, dtype=decoder),
        encoders=_encoders(pipeline, device),
        scheduler_config=dict(pipeline.scheduler.config),
        zeros_for_empty=bool(getattr(pipeline.config, "force_zeros_for_empty_prompt", False)),
    )


def _encoders(pipeline: Any, device: torch.device) -> tuple[tuple[Any, Any], ...]:  # noqa: ANN401
    """Take the text encoders with their tokenizers out of a pipeline: one, or SDXL's two."""
    pairs = [
        (
            getattr(pipeline, f"text_encoder{part}", None),
            getattr(pipeline, f"tokenizer{part}", None),
        )
        for part in ("", "_2")
    ]
    return tuple(
        (encoder.to(device), tokenizer) for encoder, tokenizer in pairs if encoder is not None
    )

"""Loads a checkpoint that comes as one safetensors file, in the layout of the original code."""

from typing import Any

import torch

from engines.diffusers.checkpoint import Parts
from engines.diffusers.headers import BrokenFileError
from engines.diffusers.library import Library, Shelved
from engines.diffusers.parts import load_vae
from engines.diffusers.precision import Rung


def load_file(
    shelved: Shelved, *, library: Library, rung: Rung, decoder: torch.dtype, device: torch.device
) -> Parts:
    """Load a single file.

    The file holds weights alone. Tokenizer and shapes come from a model folder of the same
    family in the models folder, or from the hub where that is allowed.

    Raises:
        BrokenFileError: there is no folder of the family to take the rest from.
        OSError: a file cannot be read.
        ValueError: the weights do not fit the shapes.
    """
    import diffusers  # noqa: PLC0415

    wide = shelved.info.base.startswith("sdxl")
    kind = diffusers.StableDiffusionXLPipeline if wide else diffusers.StableDiffusionPipeline
    pattern = library.pattern(shelved.info.base)
    if pattern is None and not library.allow_hub:
        raise BrokenFileError(
            "a single file needs tokenizer and shapes of its family: put a model folder of "
            f"{shelved.info.base or 'its family'} in diffusers' layout beside it, or allow the hub"
        )
    more: dict[str, Any] = {} if wide else {"safety_checker": None, "feature_extractor": None}
    if shelved.vae is not None:
        if pattern is None:
            raise BrokenFileError(
                f"the VAE {shelved.vae.info.name} takes its shapes from there too"
            )
        more["vae"] = load_vae(shelved.vae, like=pattern.path / "vae", dtype=decoder)
    pipeline: Any = kind.from_single_file(
        str(shelved.path),
        config=None if pattern is None else str(pattern.path),
        local_files_only=pattern is not None,
        dtype=rung.network,
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

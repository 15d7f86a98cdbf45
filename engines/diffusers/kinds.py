"""Tells from its tensors what a model file is: checkpoint, LoRA, ControlNet, VAE, upscaler."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from engines.diffusers.headers import BrokenFileError, Header

Kind: TypeAlias = Literal["checkpoint", "lora", "controlnet", "vae", "upscaler"]

_BASE_BY_WIDTH: Mapping[int, str] = MappingProxyType(
    {768: "sd15", 1024: "sd2", 1280: "sdxl-refiner", 2048: "sdxl"}
)
"""Width of the text embeddings that the cross attention reads → model family."""

_LORA_MARKS = ("lora_down", "lora_up", "lora_A", "lora_B", "lora.down", "lora.up")
_CONTROL_MARKS = ("input_hint_block", "controlnet_cond_embedding")
_UPSCALER_MARKS = (
    "conv_first.",  # ESRGAN, SwinIR, HAT, DAT, ATD, RGT, DRCT
    "model.0.weight",  # ESRGAN in its first form
    "RRDB_trunk",  # ESRGAN in its second form
    "body.1.weight",  # Real-ESRGAN's compact network
    "feats.0.weight",  # PLKSR
    "block_1.c1_r",  # SPAN
    "to_feat.weight",  # SAFMN
    "gblocks.0.weight",  # MoSR
    "residual_layer.0.residual_layer",  # OmniSR
    "m_head.0.weight",  # SCUNet
    "upsampler.0.weight",
)
_TRIGGER_WORDS = 5


@dataclass(frozen=True, slots=True)
class Nature:
    """What a file is; `base` is empty when its family could not be told."""

    kind: Kind
    base: str = ""
    trigger_words: tuple[str, ...] = ()


def tell_nature(header: Header) -> Nature:
    """Tell what a single file is.

    Raises:
        BrokenFileError: nothing that this engine can use.
    """
    if any(header.has(mark) for mark in _LORA_MARKS):
        return Nature("lora", _lora_base(header), _trigger_words(header.metadata))
    if any(header.has(mark) for mark in _CONTROL_MARKS):
        return Nature("controlnet", _unet_base(header))
    if header.has("model.diffusion_model.input_blocks"):
        return Nature("checkpoint", _unet_base(header))
    if header.has("decoder.conv_in.weight") and not header.has("diffusion_model"):
        return Nature("vae")
    if is_tiny_decoder(header):
        return Nature("vae", "taesd")
    if any(header.has(mark) for mark in _UPSCALER_MARKS):
        return Nature("upscaler")
    raise BrokenFileError("not a checkpoint, LoRA, ControlNet, VAE or upscaler that is known here")


def is_tiny_decoder(header: Header) -> bool:
    """Say whether the file is a distilled autoencoder (TAESD), in diffusers' form."""
    return header.has("decoder.layers.0.weight") and not header.has("mid_block")


def _unet_base(header: Header) -> str:
    shape = header.shape_of("attn2.to_k.weight")
    return _BASE_BY_WIDTH.get(shape[1], "") if shape and len(shape) > 1 else ""


def _lora_base(header: Header) -> str:
    for mark in ("lora_down.weight", "lora_A.weight", "lora.down.weight"):
        shape = header.shape_of("attn2", "to_k", mark)
        if shape and len(shape) > 1 and shape[1] in _BASE_BY_WIDTH:
            return _BASE_BY_WIDTH[shape[1]]
    if header.has("lora_te2_") or header.has("text_encoder_2."):
        return "sdxl"
    stated = header.metadata.get("ss_base_model_version", "").lower()
    return "sdxl" if "sdxl" in stated else "sd15" if stated.startswith("sd_v1") else ""


def _trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the words that call a LoRA: those it states, else its most frequent captions."""
    stated = metadata.get("modelspec.trigger_phrase", "").strip()
    if stated:
        return tuple(word.strip() for word in stated.split(",") if word.strip())
    counts: dict[str, int] = {}
    try:
        for folder in json.loads(metadata.get("ss_tag_frequency", "{}")).values():
            for tag, count in folder.items():
                counts[tag.strip()] = counts.get(tag.strip(), 0) + int(count)
    except (ValueError, AttributeError, TypeError):
        return ()
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag))[:_TRIGGER_WORDS])

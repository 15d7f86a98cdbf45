"""Makes full-size SD 1.5 and SDXL folders with random weights, for benches without downloads."""

from pathlib import Path
from typing import Any

import torch
import transformers
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)

from tests.fakes.tiny_models import NOISE_SCHEDULE, make_tokenizer

_CLIP_L = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}
_CLIP_G = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
    "hidden_act": "gelu",
}
_SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64}
_SDXL = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_SMALL: dict[str, Any] = {"block_out_channels": (32, 64, 64, 64), "attention_head_dim": 8}
"""A quick stand-in for rehearsals on a CPU: the same layout with few channels."""


def _encoder(kind: str, tokenizer: Any, shape: dict[str, Any]) -> Any:  # noqa: ANN401
    config = transformers.CLIPTextConfig(
        vocab_size=49408,
        max_position_embeddings=77,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        **shape,
    )
    return getattr(transformers, kind)(config)


def _vae(scaling_factor: float, *, small: bool) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32) if small else (128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=scaling_factor,
    )


def make_sd15(folder: Path, *, device: str, dtype: torch.dtype, small: bool = False) -> Path:
    """Make Stable Diffusion 1.5 and return its folder."""
    tokenizer = make_tokenizer(folder / "tokenizer")
    with torch.device(device):
        pipeline = StableDiffusionPipeline(
            vae=_vae(0.18215, small=small),
            text_encoder=_encoder("CLIPTextModel", tokenizer, _CLIP_L),
            tokenizer=tokenizer,
            unet=UNet2DConditionModel(**(_SD15 | (_SMALL if small else {}))),
            scheduler=EulerDiscreteScheduler(**NOISE_SCHEDULE),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.to(dtype=dtype).save_pretrained(folder)
    return folder


def make_sdxl(folder: Path, *, device: str, dtype: torch.dtype, small: bool = False) -> Path:
    """Make SDXL and return its folder."""
    tokenizer = make_tokenizer(folder / "tokenizer")
    second = make_tokenizer(folder / "tokenizer_2", pad="!")
    less = {"block_out_channels": (32, 64, 64), "transformer_layers_per_block": (1, 1, 1)}
    with torch.device(device):
        pipeline = StableDiffusionXLPipeline(
            vae=_vae(0.13025, small=small),
            text_encoder=_encoder("CLIPTextModel", tokenizer, _CLIP_L),
            text_encoder_2=_encoder("CLIPTextModelWithProjection", second, _CLIP_G),
            tokenizer=tokenizer,
            tokenizer_2=second,
            unet=UNet2DConditionModel(
                **(_SDXL | (less | {"attention_head_dim": 8} if small else {}))
            ),
            scheduler=EulerDiscreteScheduler(**NOISE_SCHEDULE),
            force_zeros_for_empty_prompt=True,
        )
    pipeline.to(dtype=dtype).save_pretrained(folder)
    return folder

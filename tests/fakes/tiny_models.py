"""Tiny models with random weights, in the layouts in which real ones come."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

NOISE_SCHEDULE: Mapping[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "prediction_type": "epsilon",
}


def _byte_letters() -> list[str]:
    """The 256 letters in which CLIP's tokenizer writes bytes: printable ones as they are."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    spare = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(spare)) for byte in range(256)]


def make_tokenizer(folder: Path, *, pad: str | None = None) -> Any:  # noqa: ANN401
    """A tokenizer that reads letters, and knows the words cat and dog."""
    from transformers import CLIPTokenizer

    letters = _byte_letters()
    merges = [("c", "a"), ("ca", "t</w>"), ("d", "o"), ("do", "g</w>")]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(m) for m in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    extra = {} if pad is None else {"pad_token": pad}
    return CLIPTokenizer.from_pretrained(folder, model_max_length=77, **extra)


def _text_encoder(kind: str, tokenizer: Any, *, seed: int) -> Any:  # noqa: ANN401
    import torch
    import transformers

    torch.manual_seed(seed)
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=77,
        projection_dim=32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        hidden_act="quick_gelu",
    )
    return getattr(transformers, kind)(config)


def _unet(*, seed: int, **more: Any) -> Any:  # noqa: ANN401
    import torch
    from diffusers import UNet2DConditionModel

    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "sample_size": 8,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": 32,
        "attention_head_dim": 8,
        "norm_num_groups": 8,
    }
    return UNet2DConditionModel(**(shape | more))


def _vae(*, scaling_factor: float = 0.18215, seed: int = 0) -> Any:  # noqa: ANN401
    import torch
    from diffusers import AutoencoderKL

    torch.manual_seed(seed)
    return AutoencoderKL(
        block_out_channels=(16, 16, 16, 16),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        sample_size=64,
        norm_num_groups=8,
        layers_per_block=1,
        scaling_factor=scaling_factor,
    )


def make_sd15(folder: Path, *, seed: int = 0, in_channels: int = 4) -> Path:
    """A Stable Diffusion 1.5 in shape; nine input channels make it one that is trained to fill."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    tokenizer = make_tokenizer(folder / "tokenizer")
    StableDiffusionPipeline(
        vae=_vae(),
        text_encoder=_text_encoder("CLIPTextModel", tokenizer, seed=seed),
        tokenizer=tokenizer,
        unet=_unet(seed=seed, in_channels=in_channels),
        scheduler=DDIMScheduler(**NOISE_SCHEDULE, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    ).save_pretrained(folder)
    return folder


def make_sdxl(folder: Path, *, seed: int = 0) -> Path:
    """An SDXL in shape: two text encoders, and a network that is told the picture's size."""
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    tokenizer = make_tokenizer(folder / "tokenizer")
    second = make_tokenizer(folder / "tokenizer_2", pad="!")
    StableDiffusionXLPipeline(
        vae=_vae(scaling_factor=0.13025),
        text_encoder=_text_encoder("CLIPTextModel", tokenizer, seed=seed),
        text_encoder_2=_text_encoder("CLIPTextModelWithProjection", second, seed=seed + 1),
        tokenizer=tokenizer,
        tokenizer_2=second,
        unet=_unet(
            seed=seed,
            cross_attention_dim=64,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=32 + 6 * 8,
            transformer_layers_per_block=(1, 1),
            use_linear_projection=True,
        ),
        scheduler=EulerDiscreteScheduler(**NOISE_SCHEDULE),
        force_zeros_for_empty_prompt=True,
    ).save_pretrained(folder)
    return folder


def make_vae(folder: Path, *, seed: int, scaling_factor: float = 0.18215) -> Path:
    """An autoencoder alone, of the shape of the tiny models' own."""
    _vae(seed=seed, scaling_factor=scaling_factor).save_pretrained(folder)
    return folder


def make_taesd(folder: Path, *, seed: int) -> Path:
    """A distilled autoencoder, smaller still."""
    import torch
    from diffusers import AutoencoderTiny

    torch.manual_seed(seed)
    AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
    ).save_pretrained(folder)
    return folder


def make_controlnet(folder: Path, sd15: Path) -> Path:
    """A ControlNet for a tiny SD 1.5, with weights that make a difference."""
    import torch
    from diffusers import ControlNetModel, UNet2DConditionModel

    torch.manual_seed(1)
    unet = UNet2DConditionModel.from_pretrained(sd15, subfolder="unet", use_safetensors=True)
    network = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16, 32, 64))
    for name, weight in network.named_parameters():
        # A fresh ControlNet answers zero, so that training starts from the model it guides.
        if "controlnet" in name:
            torch.nn.init.normal_(weight, std=0.2)
    network.save_pretrained(folder)
    return folder


def make_lora(path: Path, checkpoint: Path, *, seed: int) -> Path:
    """A LoRA on the attention of a tiny model's network."""
    import diffusers
    import torch
    from diffusers import StableDiffusionPipeline, UNet2DConditionModel
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(checkpoint, subfolder="unet", use_safetensors=True)
    unet.add_adapter(
        LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    )
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(weight.shape, generator=generator) * 0.3
        for name, weight in get_peft_model_state_dict(unet).items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    del diffusers
    StableDiffusionPipeline.save_lora_weights(
        path.parent, unet_lora_layers=weights, weight_name=path.name
    )
    return path

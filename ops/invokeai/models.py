"""Make random models that InvokeAI takes for real ones: models.py FOLDER, in its virtualenv.

It tells families apart by `cross_attention_dim` (768 is SD 1.5, 2048 is SDXL), LoRAs by the width
of their keys. A step of the SD 1.5 at 64x64 pixels takes some 20 ms on one core.
"""

import json
import os
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")

import operators

library = operators.declare()

import torch  # noqa: E402
from diffusers import (  # noqa: E402
    AutoencoderKL,
    ControlNetModel,
    EulerDiscreteScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from safetensors.torch import load_file, save_file  # noqa: E402
from transformers import (  # noqa: E402
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

_WIDE = 1280


def tokenizer(folder: Path) -> CLIPTokenizer:
    """Write and read a CLIP vocabulary of single bytes and one word."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(0x100 + n) for n in range(len(others))]
    merges = ["c a", "ca t</w>"]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "ca", "cat</w>"]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77
    )


def text_encoder(tokens: CLIPTokenizer, width: int, kind: type = CLIPTextModel) -> CLIPTextModel:
    """Return a text encoder of two layers."""
    torch.manual_seed(width)
    config = CLIPTextConfig(
        vocab_size=len(tokens),
        hidden_size=width,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=width // 64,
        projection_dim=width,  # InvokeAI takes it for granted where a prompt is empty
        bos_token_id=tokens.bos_token_id,
        eos_token_id=tokens.eos_token_id,
        pad_token_id=tokens.eos_token_id,
    )
    return kind(config)


def vae() -> AutoencoderKL:
    """Return a VAE that scales by eight."""
    torch.manual_seed(1)
    return AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
        layers_per_block=1,
        sample_size=64,
    )


def unet(width: int, **more: object) -> UNet2DConditionModel:
    """Return a UNet of two levels that listens to text `width` wide."""
    torch.manual_seed(2)
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=8,
        norm_num_groups=8,
        **more,
    )


def scheduler() -> EulerDiscreteScheduler:
    """Return the noise schedule of Stable Diffusion."""
    return EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
    )


def save_sd15(folder: Path, tokens: CLIPTokenizer) -> None:
    """Save an SD 1.5 and a ControlNet for it."""
    pipeline = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=text_encoder(tokens, 768),
        tokenizer=tokens,
        unet=unet(768),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "tiny-sd15")
    torch.manual_seed(3)
    control = ControlNetModel.from_unet(
        pipeline.unet, conditioning_embedding_out_channels=(8, 16, 32, 64)
    )
    for tensor in control.controlnet_down_blocks.parameters():
        torch.nn.init.normal_(tensor, std=0.5)  # as made, they are zero and change nothing
    control.save_pretrained(folder / "tiny-control")


def save_sdxl(folder: Path, tokens: CLIPTokenizer) -> None:
    """Save an SDXL."""
    pipeline = StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=text_encoder(tokens, 768),
        text_encoder_2=text_encoder(tokens, _WIDE, CLIPTextModelWithProjection),
        tokenizer=tokens,
        tokenizer_2=tokens,
        unet=unet(
            2048,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=_WIDE + 6 * 8,
            transformer_layers_per_block=(1, 1),
            use_linear_projection=True,
        ),
        scheduler=scheduler(),
    )
    pipeline.save_pretrained(folder / "tiny-sdxl")


def save_lora(folder: Path) -> None:
    """Save a LoRA for the SD 1.5's first cross-attention, with keys as kohya-ss names them."""
    torch.manual_seed(4)
    weights: dict[str, torch.Tensor] = {}
    block = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2"
    for name, width in (("to_q", 32), ("to_k", 768), ("to_v", 768)):
        weights[f"{block}_{name}.lora_down.weight"] = torch.randn(4, width)
        weights[f"{block}_{name}.lora_up.weight"] = torch.randn(32, 4)
        weights[f"{block}_{name}.alpha"] = torch.tensor(4.0)
    save_file(weights, folder / "tiny-lora.safetensors")


def save_upscaler(folder: Path) -> None:
    """Save an upscaler by two: the `compact` network of Real-ESRGAN with one hidden layer."""
    torch.manual_seed(5)
    features, scale, colours = 8, 2, 3
    layers = {
        "body.0.weight": torch.randn(features, colours, 3, 3) * 0.1,
        "body.0.bias": torch.zeros(features),
        "body.1.weight": torch.full((features,), 0.25),
        "body.2.weight": torch.randn(features, features, 3, 3) * 0.1,
        "body.2.bias": torch.zeros(features),
        "body.3.weight": torch.full((features,), 0.25),
        "body.4.weight": torch.randn(colours * scale**2, features, 3, 3) * 0.1,
        "body.4.bias": torch.zeros(colours * scale**2),
    }
    save_file(layers, folder / "tiny-upscaler.safetensors")


def check_text_encoders(folder: Path) -> None:
    """Make sure that InvokeAI's transformers finds the weights under the names it looks for.

    A release that saves them without `text_model.` in front would have another load random ones,
    with no more than a warning.
    """
    for path in sorted(folder.glob("*/text_encoder*/model.safetensors")):
        weights = load_file(path)
        if not any(name.startswith("text_model.") for name in weights):
            named = {
                name if name == "text_projection.weight" else f"text_model.{name}": tensor
                for name, tensor in weights.items()
            }
            save_file(named, path, metadata={"format": "pt"})


def main() -> None:
    """Save everything."""
    folder = Path(sys.argv[1])
    tokens = tokenizer(folder / "vocabulary")
    save_sd15(folder, tokens)
    save_sdxl(folder, tokens)
    save_lora(folder)
    save_upscaler(folder)
    check_text_encoders(folder)


main()

"""Writes a model folder as one safetensors file, with the names of the original code."""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

_RESNET = (
    ("norm1", "in_layers.0"),
    ("conv1", "in_layers.2"),
    ("norm2", "out_layers.0"),
    ("conv2", "out_layers.3"),
    ("time_emb_proj", "emb_layers.1"),
    ("conv_shortcut", "skip_connection"),
)
_PLAIN = (
    (r"^time_embedding\.linear_1", "time_embed.0"),
    (r"^time_embedding\.linear_2", "time_embed.2"),
    (r"^conv_in", "input_blocks.0.0"),
    (r"^conv_norm_out", "out.0"),
    (r"^conv_out", "out.2"),
    (r"^mid_block\.resnets\.0", "middle_block.0"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^mid_block\.resnets\.1", "middle_block.2"),
)
_VAE = (
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
)


def _unet_name(name: str, layers: int) -> str:
    """The original name of a weight of a network with `layers` layers a block."""
    for pattern, old in _PLAIN:
        name = re.sub(pattern, old, name)
    found = re.match(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", name)
    if found:
        way, block, kind, layer, rest = found.groups()
        first, step = int(block) * (layers + 1), int(layer)
        place = {"resnets": "0", "attentions": "1"}.get(kind, "")
        if kind == "downsamplers":
            name = f"input_blocks.{first + layers + 1}.0.op.{rest.removeprefix('conv.')}"
        elif kind == "upsamplers":
            name = f"output_blocks.{first + layers}.UP.{rest}"
        elif way == "down":
            name = f"input_blocks.{first + step + 1}.{place}.{rest}"
        else:
            name = f"output_blocks.{first + step}.{place}.{rest}"
    if "transformer_blocks" not in name:
        for new, old in _RESNET:
            name = name.replace(f".{new}.", f".{old}.")
    return name


def _vae_name(name: str, blocks: int) -> str:
    for pattern, old in _VAE:
        name = re.sub(pattern, old, name)

    def turned(found: re.Match[str]) -> str:
        return f"up.{blocks - 1 - int(found[1])}."

    name = re.sub(r"up_blocks\.(\d)\.", turned, name)
    return name.replace(".resnets.", ".block.").replace(".upsamplers.0.", ".upsample.")


def _vae_weights(folder: Path) -> Mapping[str, torch.Tensor]:
    """The weights of an autoencoder's folder under their original names."""
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    blocks = 1 + max(int(found[1]) for n in weights if (found := re.search(r"up_blocks\.(\d)", n)))
    renamed = {}
    for name, weight in weights.items():
        old = _vae_name(name, blocks)
        attention = "mid.attn_1" in old and weight.ndim == 2
        renamed[old] = weight[..., None, None] if attention else weight
    return renamed


def make_vae_file(path: Path, folder: Path) -> Path:
    """Write an autoencoder's folder as one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: one.contiguous() for name, one in _vae_weights(folder).items()}, path)
    return path


_HINT = (
    (r"^controlnet_cond_embedding\.conv_in", "input_hint_block.0"),
    (r"^controlnet_cond_embedding\.conv_out", "input_hint_block.14"),
    (r"^controlnet_down_blocks\.(\d+)", r"zero_convs.\1.0"),
    (r"^controlnet_mid_block", "middle_block_out.0"),
)


def _control_name(name: str, layers: int) -> str:
    for pattern, old in _HINT:
        renamed, found = re.subn(pattern, old, name)
        if found:
            return renamed
    block = re.match(r"controlnet_cond_embedding\.blocks\.(\d)\.(.*)", name)
    if block:
        return f"input_hint_block.{2 * int(block[1]) + 2}.{block[2]}"
    return _unet_name(name, layers)


def make_controlnet_file(path: Path, folder: Path, *, layers: int = 1) -> Path:
    """Write a ControlNet's folder as one file."""
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"control_model.{_control_name(n, layers)}": w for n, w in weights.items()}, path)
    return path


def make_single_file(path: Path, folder: Path, *, layers: int = 1) -> Path:
    """Write a Stable Diffusion 1.5 folder as one file."""
    weights = {f"first_stage_model.{n}": w for n, w in _vae_weights(folder / "vae").items()}
    unet = load_file(folder / "unet" / "diffusion_pytorch_model.safetensors")
    names = {name: _unet_name(name, layers) for name in unet}
    for name, old in names.items():
        block = old.split(".UP.")[0]
        attended = any(other.startswith(f"{block}.1.") for other in names.values())
        place = old.replace(".UP.", ".2." if attended else ".1.")
        weights[f"model.diffusion_model.{place}"] = unet[name]
    text = load_file(folder / "text_encoder" / "model.safetensors")
    for name, weight in text.items():
        stem = name.removeprefix("text_model.")
        weights[f"cond_stage_model.transformer.text_model.{stem}"] = weight
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: weight.contiguous() for name, weight in weights.items()}, path)
    return path

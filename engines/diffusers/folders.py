"""Reads what a model folder in diffusers' layout says of itself."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engines.diffusers.headers import BrokenFileError, read_header
from engines.diffusers.kinds import Nature

_PICKLES = (".bin", ".pt", ".ckpt", ".pth")
_LATENTS = {"latent_channels": 4, "scaling_factor": 0.18215}
"""What an autoencoder's latents are known by, and what diffusers takes where nothing is said."""


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        BrokenFileError: missing, or no JSON object.
    """
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BrokenFileError(f"{path.name} is missing or no JSON") from error
    if not isinstance(content, dict):
        raise BrokenFileError(f"{path.name} is no JSON object")
    return content


def other_latents(vae: Path, *, like: Path) -> str:
    """Say in which way an autoencoder's latents differ from another's; empty where they do not.

    Raises:
        BrokenFileError: a folder does not describe its autoencoder.
    """
    own, others = read_json(vae / "config.json"), read_json(like / "config.json")
    for name, preset in _LATENTS.items():
        has, expected = own.get(name, preset), others.get(name, preset)
        if has != expected:
            return f"was made for other latents: its {name} is {has}, not {expected}"
    return ""


def is_model_folder(folder: Path) -> bool:
    """Say whether the folder is one model rather than a shelf of several."""
    return (folder / "model_index.json").is_file() or (folder / "config.json").is_file()


def weight_files(folder: Path) -> Iterator[Path]:
    """Yield a model folder's safetensors files in a stable order."""
    yield from sorted(path for path in folder.rglob("*.safetensors") if path.is_file())


def tell_folder(folder: Path) -> Nature:
    """Tell what a model folder is, having checked that its weights are whole.

    Raises:
        BrokenFileError: it cannot be used.
    """
    nature = (
        _pipeline_nature(folder)
        if (folder / "model_index.json").is_file()
        else _part_nature(read_json(folder / "config.json"))
    )
    files = tuple(weight_files(folder))
    if not files:
        pickled = any(path.suffix in _PICKLES for path in folder.rglob("*"))
        raise BrokenFileError(
            "its weights are pickle files, which are never loaded: convert them to safetensors"
            if pickled
            else "it holds no safetensors weights"
        )
    for path in files:
        read_header(path)
    return nature


def _pipeline_nature(folder: Path) -> Nature:
    index = read_json(folder / "model_index.json")
    unet = read_json(folder / "unet" / "config.json")
    for part in ("unet", "vae"):
        if not any((folder / part).glob("*.safetensors")):
            raise BrokenFileError(f"{part} has no safetensors weights")
    return Nature("checkpoint", _base(unet, str(index.get("_class_name", ""))))


def _base(unet: Mapping[str, Any], pipeline: str) -> str:
    if unet.get("addition_embed_type") == "text_time":
        refiner = unet.get("cross_attention_dim") == 1280 or "Img2Img" in pipeline  # noqa: PLR2004
        return "sdxl-refiner" if refiner else "sdxl"
    if not pipeline.startswith("StableDiffusion"):
        raise BrokenFileError(f"{pipeline or 'its pipeline'} is not one that this engine draws")
    return "sd2" if unet.get("cross_attention_dim") == 1024 else "sd15"  # noqa: PLR2004


def _part_nature(config: Mapping[str, Any]) -> Nature:
    match str(config.get("_class_name", "")):
        case "ControlNetModel":
            return Nature("controlnet", _base(config, "StableDiffusionControlNet"))
        case "AutoencoderKL":
            return Nature("vae")
        case "AutoencoderTiny":
            return Nature("vae", "taesd")
        case other:
            raise BrokenFileError(f"{other or 'its content'} is not known here")

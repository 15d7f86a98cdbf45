"""Put a model together: ``python -m ops.train.export --vae DIR --trained DIR --out DIR``."""

import argparse
import json
from pathlib import Path
from typing import Final

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTokenizer

from ops.train import network
from ops.train.report import Options, phase_arguments
from ops.train.tokens import BEGIN, END, LENGTH, save_vocabulary

_PREFIX: Final = "text_model."


class ExportOptions(Options):
    """The phase's own arguments."""

    vae: Path
    trained: Path


def save_tokenizer(folder: Path) -> CLIPTokenizer:
    """Write a CLIP tokenizer that old and new transformers read, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    save_vocabulary(folder)
    special = {"bos_token": BEGIN, "eos_token": END, "pad_token": END, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special), encoding="utf-8")
    made = CLIPTokenizer.from_pretrained(folder, model_max_length=LENGTH, **special)
    made.save_pretrained(folder)
    return made


def _name_as_clip(weights: Path) -> None:
    """Name the text encoder's tensors as CLIP's are; transformers 5 drops the prefix."""
    tensors = load_file(weights)
    named = {
        name if name.startswith(_PREFIX) else _PREFIX + name: each for name, each in tensors.items()
    }
    save_file(named, weights, metadata={"format": "pt"})


def _forget_origin(config: Path) -> None:
    """Drop the path that a part was loaded from: diffusers writes it into the part's config."""
    facts = json.loads(config.read_text(encoding="utf-8"))
    facts.pop("_name_or_path", None)
    config.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def export(*, vae: Path, trained: Path, out: Path) -> None:
    """Write a StableDiffusionPipeline folder with fp16 weights."""
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(vae, torch_dtype=torch.float16),
        unet=UNet2DConditionModel.from_pretrained(trained / "unet", torch_dtype=torch.float16),
        text_encoder=CLIPTextModel.from_pretrained(trained / "text_encoder", dtype=torch.float16),
        tokenizer=save_tokenizer(out / "tokenizer"),
        scheduler=network.noise_schedule(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(out)
    save_tokenizer(out / "tokenizer")
    _name_as_clip(out / "text_encoder" / "model.safetensors")
    for part in (out / "unet", out / "vae"):
        _forget_origin(part / "config.json")
    for weights in out.rglob("*.safetensors"):
        weights.chmod(0o644)


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, required=True, help="the autoencoder's folder")
    parser.add_argument("--trained", type=Path, required=True, help="the denoiser phase's --out")
    options = phase_arguments(parser, arguments, ExportOptions(), seconds=0)
    export(vae=options.vae, trained=options.trained, out=options.out)


if __name__ == "__main__":
    main()

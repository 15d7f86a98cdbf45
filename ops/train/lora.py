"""Teach one new colour as a LoRA, on a CPU: ``python -m ops.train.lora --model DIR --out DIR``."""

import argparse
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import convert_state_dict_to_diffusers
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor

from ops.train.caption import caption
from ops.train.pool import to_float
from ops.train.render import render
from ops.train.report import Log, Options, phase_arguments, phase_device, settings_for
from ops.train.scene import Scene, draw_scene
from ops.train.stage import RECORD, stage
from ops.train.velocity import signal_kept, spread_times, velocity_loss
from ops.train.words import BACKGROUNDS, PAINTS

WORD: Final = "magenta"
"""A colour that has a token but that no picture of the training shows."""

_LIGHT: Final = (0.80, 0.005, 0.30)
"""Its linear red, green and blue."""

_SEED: Final = 41
_PICTURES: Final = 320
_RANK: Final = 2
_RATE: Final = 6e-3
_STAND_IN: Final = next(i for i, paint in enumerate(PAINTS) if paint.words[0] == "purple")
_SAME_GROUND: Final = next(i for i, g in enumerate(BACKGROUNDS) if g.words[0] == "purple")


class LoraOptions(Options):
    """The phase's own arguments."""

    model: Path


def _scene(dice: Random) -> Scene:
    """Draw one plainly coloured object, in the stand-in colour."""
    while True:
        scene = draw_scene(dice)
        plain = len(scene.things) == 1 and scene.things[0].second is None and scene.says_paint
        if plain and scene.background != _SAME_GROUND:
            thing = replace(scene.things[0], paint=_STAND_IN, shade=0, finish="")
            return replace(scene, things=(thing,))


def _lessons(dice: Random, count: int, side: int) -> tuple[Tensor, list[str]]:
    """Return pictures and captions: every other object in the new colour, the rest as ever.

    Without the others the adapter would learn to paint everything in the new colour.
    """
    scenes = [_scene(dice) if i % 2 else draw_scene(dice) for i in range(count)]
    records = np.array([stage(dice, scene, 1.0) for scene in scenes], RECORD)
    records["objects"]["main"][1::2, 0] = _LIGHT
    texts = [caption(dice, scene, noise=False) for scene in scenes]
    for said in PAINTS[_STAND_IN].words:
        texts[1::2] = [text.replace(said, WORD) for text in texts[1::2]]
    return to_float(render(records, side, side, torch.device("cpu"))), texts


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    options = phase_arguments(parser, arguments, LoraOptions(), seconds=600)
    device, scale, log = phase_device(), settings_for(options), Log(options.out, "lora")
    torch.manual_seed(_SEED)
    pipe = StableDiffusionPipeline.from_pretrained(
        options.model, dtype=torch.float32, local_files_only=True
    )
    pipe.to(device)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.requires_grad_(requires_grad=False)
    # Keys and values of the text alone: the word is new, how a picture is drawn is not.
    pipe.unet.add_adapter(
        LoraConfig(r=_RANK, lora_alpha=_RANK, target_modules=["attn2.to_k", "attn2.to_v"])
    )
    dice = Random(_SEED)  # noqa: S311 - no secret
    pictures, texts = _lessons(dice, 12 if scale.smoke else _PICTURES, scale.side)
    with torch.no_grad():
        parts = [pipe.vae.encode(part).latent_dist.mean for part in torch.split(pictures, 16)]
        codes = torch.cat(parts) * pipe.vae.config.scaling_factor
        ids = pipe.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
        states = pipe.text_encoder(ids.input_ids)[0]
    trained = [p for p in pipe.unet.parameters() if p.requires_grad]
    optimizer, signal = torch.optim.AdamW(trained, _RATE, weight_decay=0), signal_kept(device)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - step / options.steps)
        chosen = torch.randint(0, len(codes), (8,))
        loss = velocity_loss(
            pipe.unet, codes[chosen], states[chosen], spread_times(8, device), signal
        )
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        if step % 50 == 0:
            log.say("lora", step=step, loss=round(loss.item(), 4))
    _save(pipe, options.out)


def _save(pipe: StableDiffusionPipeline, folder: Path) -> None:
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(pipe.unet))
    pipe.save_lora_weights(
        folder,
        unet_lora_layers={name: tensor.half() for name, tensor in layers.items()},
        weight_name=f"{WORD}.safetensors",
    )


if __name__ == "__main__":
    main()

"""Draw the card's pictures: ``python -m ops.train.contact --model DIR --out DIR``.

Every picture has the number of its place as its seed, so that none is chosen for its looks.
"""

import argparse
from pathlib import Path
from typing import Final

import torch
from diffusers import StableDiffusionPipeline

from engines.diffusers.samplers import make_scheduler
from ops.train.report import Options, phase_arguments
from ops.train.sheet import save_sheet

_PROMPTS: Final = (
    "a red ball on white",
    "studio photo of a steel water bottle on white, soft shadow",
    "a blue cube on a wooden table",
    "a yellow star on blue",
    "a pink donut on white",
    "a green tree on sand",
    "a red and white lighthouse on blue",
    "a black mug on yellow",
    "a gold ring on black",
    "a purple vase on pink",
    "a red heart on white, hard light",
    "a wooden chair on grey",
    "an orange and white rocket on blue",
    "a small red car on the left on grey",
    "a red ball and a blue cube on white",
    "three green apples on a wooden table",
    "a copper gear on black",
    "a teal bowl on white",
    "a white house with a red roof on green",
    "a white egg on red",
    "a blue diamond on grey",
    "a red and white mushroom on green",
    "a yellow lamp and a black chair on grey",
    "an orange pyramid on sand",
)
_COLUMNS: Final = 8
_SIDE: Final = 192
_STEPS: Final = 20
_GUIDANCE: Final = 2.0


class ContactOptions(Options):
    """The phase's own arguments."""

    model: Path


@torch.no_grad()
def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    options = phase_arguments(parser, arguments, ContactOptions(), seconds=0)
    pipe = StableDiffusionPipeline.from_pretrained(options.model, dtype=torch.float32)
    pipe.scheduler = make_scheduler("dpmpp_2m", pipe.scheduler.config, seed=0)
    pipe.set_progress_bar_config(disable=True)
    prompts = _PROMPTS[:2] if options.smoke else _PROMPTS
    side = 64 if options.smoke else _SIDE
    pictures = [
        pipe(
            prompt,
            width=side,
            height=side,
            num_inference_steps=_STEPS,
            guidance_scale=_GUIDANCE,
            generator=torch.Generator().manual_seed(seed),
            output_type="pt",
        ).images
        for seed, prompt in enumerate(prompts)
    ]
    save_sheet(options.out / "contact.png", torch.cat(pictures) * 2 - 1, _COLUMNS)


if __name__ == "__main__":
    main()

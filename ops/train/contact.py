"""Draw the card's pictures: ``python -m ops.train.contact --model DIR --out DIR``.

Every picture has the number of its place as its seed, so that none is chosen for its looks.
"""

import argparse
from pathlib import Path
from typing import Final

from ops.train.drawing import draw, open_model
from ops.train.report import Options, phase_arguments, phase_device
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


class ContactOptions(Options):
    """The phase's own arguments."""

    model: Path


def main(arguments: list[str] | None = None) -> None:
    """Run the phase."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="the model's folder")
    options = phase_arguments(parser, arguments, ContactOptions(), seconds=0)
    pipe = open_model(options.model, device=phase_device())
    prompts, side = (_PROMPTS[:2], 64) if options.smoke else (_PROMPTS, _SIDE)
    save_sheet(options.out / "contact.png", draw(pipe, prompts, side), _COLUMNS)


if __name__ == "__main__":
    main()

"""What can be said on the command line, each once: names, meanings and how they are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from service.cli.client import Address

DEFAULT_BASE = "http://127.0.0.1:8089"

_DRAW, _QUEUE, _SHOW = "What to draw", "Whose turn", "What to do with it"


@dataclass(frozen=True, slots=True)
class LoraChoice:
    """A LoRA and its weight, written `name` or `name:0.8`."""

    name: str
    weight: float

    @classmethod
    def read(cls, text: str) -> "LoraChoice":
        """Read `name` or `name:weight`; a name may hold colons itself."""
        name, _, weight = text.rpartition(":")
        if not name:
            return cls(text, 1.0)
        try:
            return cls(name, float(weight))
        except ValueError:
            raise typer.BadParameter(f"{weight!r} is no weight; write name:0.8") from None


Prompt = Annotated[str, typer.Argument(help="What the picture should show.")]
JobId = Annotated[str, typer.Argument(help="The job's id, as images.generate printed it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

Negative = Annotated[
    str | None, typer.Option(help="What it should not show.", rich_help_panel=_DRAW)
]
Model = Annotated[str | None, typer.Option(help="One of images.models.", rich_help_panel=_DRAW)]
Engine = Annotated[str | None, typer.Option(help="One of images.engines.", rich_help_panel=_DRAW)]
Profile = Annotated[
    str | None, typer.Option(help="A route of the configuration, or auto.", rich_help_panel=_DRAW)
]
Width = Annotated[int | None, typer.Option(help="Pixels.", rich_help_panel=_DRAW)]
Height = Annotated[int | None, typer.Option(help="Pixels.", rich_help_panel=_DRAW)]
Steps = Annotated[int | None, typer.Option(help="Denoising steps.", rich_help_panel=_DRAW)]
Cfg = Annotated[
    float | None, typer.Option(help="How closely to follow the prompt.", rich_help_panel=_DRAW)
]
Seed = Annotated[
    int | None, typer.Option(help="The same seed draws the same picture.", rich_help_panel=_DRAW)
]
Sampler = Annotated[
    str | None, typer.Option(help="euler, dpmpp_2m_karras, …", rich_help_panel=_DRAW)
]
Count = Annotated[int, typer.Option(min=1, help="How many pictures.", rich_help_panel=_DRAW)]
Loras = Annotated[
    list[LoraChoice] | None,
    typer.Option(
        "--lora",
        parser=LoraChoice.read,
        metavar="NAME[:WEIGHT]",
        help="A LoRA; may be repeated.",
        rich_help_panel=_DRAW,
    ),
]
InitImage = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="A picture to begin with.",
        rich_help_panel=_DRAW,
    ),
]
Strength = Annotated[
    float | None,
    typer.Option(help="How much of it to draw anew, 0 to 1.", rich_help_panel=_DRAW),
]
Lane = Annotated[
    str | None,
    typer.Option(help="interactive, normal, highres or background.", rich_help_panel=_QUEUE),
]
Priority = Annotated[int | None, typer.Option(help="-100 to 100.", rich_help_panel=_QUEUE)]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="To find it again; may be repeated.", rich_help_panel=_QUEUE),
]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Print the job's id and leave.", rich_help_panel=_SHOW)
]
Open = Annotated[
    bool, typer.Option("--open", help="Open the picture when it is done.", rich_help_panel=_SHOW)
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Save the PNG here: a file, or a folder that exists. Further pictures of the job "
        "become FILE-2.png, FILE-3.png, …",
        rich_help_panel=_SHOW,
    ),
]
Show = Annotated[
    bool, typer.Option(help="Show the picture in the terminal.", rich_help_panel=_SHOW)
]

Limit = Annotated[int, typer.Option("--limit", "-l", min=1, max=500, help="How many.")]
Query = Annotated[str | None, typer.Option("--search", "-s", help="Words of the prompt.")]
OfModel = Annotated[str | None, typer.Option("--model", help="Only of this model.")]
OfTag = Annotated[str | None, typer.Option("--tag", help="Only with this tag.")]
Choice = Annotated[
    str, typer.Argument(metavar="INDEX", help="The number in the list, or a picture's key.")
]


def address(context: typer.Context) -> Address:
    """Return where the service is, as the options before the command say."""
    found = context.find_object(Address)
    return found or Address(DEFAULT_BASE)

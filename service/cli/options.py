"""What can be said on the command line, each once: names, meanings and how they are read."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from service.cli.client import Address
from service.cli.values import Fields, LoraChoice, Part, number, picture, whole, word

DEFAULT_BASE = "http://127.0.0.1:8089"

_DRAW, _GUIDE, _MORE = "What to draw", "What to draw it from", "How to finish it"
_QUEUE, _SHOW = "Whose turn", "What to do with it"


_OPTIONS = {
    "prompt": "PROMPT",
    "negative_prompt": "--negative",
    "loras": "--lora",
    "controls": "--control",
    "tags": "--tag",
}
"""Where a field of the request has another name on the command line."""


def option_of(field: str) -> str:
    """Return what a field of the request is called here: `--hires scale`, `--lora 2 weight`."""
    name, *inner = field.split(".")
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    return " ".join((option, *(str(int(p) + 1) if p.isdecimal() else p for p in inner)))


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
    float | None,
    typer.Option(
        parser=number,
        metavar="NUMBER",
        help="How closely to follow the prompt.",
        rich_help_panel=_DRAW,
    ),
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
        help="A LoRA; may be repeated: --lora ink:0.8",
        rich_help_panel=_DRAW,
    ),
]
Controls = Annotated[
    list[Part] | None,
    typer.Option(
        "--control",
        parser=Fields(
            {"model": word, "image": picture, "weight": number, "start": number, "end": number},
            needed=("model", "image"),
        ).read,
        metavar="MODEL,image=FILE|KEY[,weight=][,start=][,end=]",
        help="A ControlNet and its picture, from which share of the steps to which; may be "
        "repeated: --control canny,image=edges.png,weight=0.8,end=0.6",
        rich_help_panel=_GUIDE,
    ),
]
InitImage = Annotated[
    str | None,
    typer.Option(
        parser=picture,
        metavar="FILE|KEY",
        help="A picture to begin with, a file or a stored one: --init-image sketch.png",
        rich_help_panel=_GUIDE,
    ),
]
Mask = Annotated[
    str | None,
    typer.Option(
        parser=picture,
        metavar="FILE|KEY",
        help="White where --init-image may change: --mask hat.png",
        rich_help_panel=_GUIDE,
    ),
]
Strength = Annotated[
    float | None,
    typer.Option(
        parser=number,
        metavar="NUMBER",
        help="How much of --init-image to draw anew, 0 to 1: --strength 0.6",
        rich_help_panel=_GUIDE,
    ),
]
Hires = Annotated[
    Part | None,
    typer.Option(
        parser=Fields({"scale": number, "strength": number, "steps": whole, "upscaler": word}).read,
        metavar="SCALE[,strength=][,steps=][,upscaler=]",
        help="Draw a second pass on an enlarged picture; the upscaler is latent, lanczos or a "
        "model: --hires 1.5,strength=0.4,upscaler=lanczos",
        rich_help_panel=_MORE,
    ),
]
Upscale = Annotated[
    Part | None,
    typer.Option(
        parser=Fields({"scale": number, "upscaler": word}).read,
        metavar="SCALE[,upscaler=]",
        help="Enlarge the finished picture; the upscaler is lanczos or a model: "
        "--upscale 2,upscaler=4x-UltraSharp",
        rich_help_panel=_MORE,
    ),
]
Refiner = Annotated[
    Part | None,
    typer.Option(
        parser=Fields({"model": word, "start": number}).read,
        metavar="MODEL[,start=]",
        help="A second model for the last steps, from this share of them on: "
        "--refiner sdxl_refiner,start=0.8",
        rich_help_panel=_MORE,
    ),
]
Tiling = Annotated[
    Literal["none", "x", "y", "both"] | None,
    typer.Option(
        help="Along which axes the picture continues into itself: --tiling both",
        rich_help_panel=_MORE,
    ),
]
ClipSkip = Annotated[
    int | None,
    typer.Option(
        help="Layers of the text encoder to skip from its end: --clip-skip 1",
        rich_help_panel=_MORE,
    ),
]
Reproducible = Annotated[
    bool,
    typer.Option(
        "--reproducible",
        help="Draw alone, so that the bytes do not depend on what else is drawn.",
        rich_help_panel=_MORE,
    ),
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
Doomed = Annotated[
    str, typer.Argument(metavar="KEY", help="A picture's key, or its number in the list.")
]


def address(context: typer.Context) -> Address:
    """Return where the service is, as the options before the command say."""
    found = context.find_object(Address)
    return found or Address(DEFAULT_BASE)

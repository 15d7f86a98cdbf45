"""What a real InvokeAI is asked to draw, and how its pictures are looked at."""

import io
from collections.abc import AsyncGenerator, Mapping
from dataclasses import replace
from typing import Any

from PIL import Image

from engines.base import EngineName, Picture, Progress
from engines.inputs import Inputs
from engines.invokeai.engine import InvokeAiEngine
from engines.invokeai.work import PATIENCE
from engines.spec import Control, Hires, InputRef, Lora, Tiling, Upscale
from tests.contract.invokeai.server import RealInvokeAi
from tests.fakes import drawing
from tests.fakes.turn import FreeTurn

SPEC = replace(drawing.SPEC, prompt="a (cat:1.2) on a mat", sampler="dpmpp_2m_karras")

LONG = replace(SPEC, steps=999, sampler="euler")

QUICK = replace(PATIENCE, poll_seconds=0.5, lost_seconds=5.0, stop_seconds=60.0)


def engine_on(invokeai: RealInvokeAi, inputs: Inputs) -> InvokeAiEngine:
    """Return an engine that talks to the server."""
    return InvokeAiEngine(
        name=EngineName("invokeai"),
        base_url=invokeai.url,
        inputs=inputs,
        patience=QUICK,
        board="KITTY",
    )


async def begin(engine: InvokeAiEngine, turn: FreeTurn) -> AsyncGenerator[Progress | Picture]:
    """Draw a long picture until it has taken a step."""
    updates = engine.generate(LONG, turn)
    await drawing.first_step(updates)
    return updates


def opened(png: bytes) -> Image.Image:
    with Image.open(io.BytesIO(png)) as image:
        return image.convert("RGB")


def pixels(picture: Picture) -> bytes:
    image = opened(picture.png)
    assert image.size == (picture.width, picture.height)
    return image.tobytes()


def wishes(image: InputRef, mask: InputRef) -> Mapping[str, Mapping[str, Any]]:
    """Return one change to the spec for everything that it can say."""
    return {
        "none": {},
        "sdxl": {"model": "tiny-sdxl", "hires": Hires()},
        "img2img": {"init_image": image, "strength": 0.5},
        "inpaint": {"init_image": image, "mask": mask, "hires": Hires(upscaler="lanczos")},
        "lora": {"loras": (Lora("tiny-lora", 2.0),)},
        "lora in the prompt": {"prompt": "a cat <lora:tiny-lora:2>"},
        "controls": {"controls": (Control("tiny-control", image), Control("tiny-control", mask))},
        "hires": {"hires": Hires(scale=1.3, upscaler="tiny-upscaler", steps=6)},
        "upscale": {"upscale": Upscale(scale=3.0, upscaler="tiny-upscaler")},
        "tiling": {"tiling": Tiling.BOTH},
        "clip skip": {"clip_skip": 1},
        "own sampler": {"sampler": "deis"},
        "weight": {"prompt": "a (cat:0.2) on a mat"},
    }

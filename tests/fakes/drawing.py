"""Draws with an engine to the end, and compares what came out."""

import asyncio
import io
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engines.base import Picture, Progress
from engines.diffusers import DiffusersEngine
from engines.spec import GenerationSpec
from tests.fakes.turn import GateTurn

SPEC = GenerationSpec(
    prompt="a cat and a dog",
    model="tiny-sd15",
    width=64,
    height=64,
    steps=4,
    cfg=5.0,
    seed=7,
    sampler="euler",
)


async def draw(
    engine: DiffusersEngine, spec: GenerationSpec, turn: GateTurn | None = None
) -> tuple[Picture, list[Progress]]:
    """Draw one picture to its end."""
    progress: list[Progress] = []
    async with aclosing(engine.generate(spec, turn or GateTurn())) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                return update, progress
            progress.append(update)
    raise AssertionError("no picture came")


async def draw_all(engine: DiffusersEngine, *specs: GenerationSpec) -> list[Picture]:
    """Draw pictures at the same time, none before all have been ordered."""
    turns = [GateTurn(f"picture-{n}", is_open=False) for n in range(len(specs))]
    drawing = [asyncio.create_task(draw(engine, s, t)) for s, t in zip(specs, turns, strict=True)]
    await asyncio.sleep(0)
    for turn in turns:
        turn.open()
    return [picture for picture, _ in await asyncio.gather(*drawing)]


def pixels_of(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGB"))


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """The largest difference of any pixel's colour."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())

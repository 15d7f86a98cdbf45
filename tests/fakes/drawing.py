"""Draws with an engine to the end, and compares what came out."""

import asyncio
import io
from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from engines.base import Engine, Picture, Progress, Turn
from engines.spec import GenerationSpec
from tests.fakes.turn import FreeTurn, GateTurn

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


Updates = AsyncGenerator[Progress | Picture]


async def drain(updates: Updates) -> tuple[list[Picture], list[Progress]]:
    """Pull everything out of a drawing."""
    pictures, progress = [], []
    async with aclosing(updates):
        async for update in updates:
            match update:
                case Picture():
                    pictures.append(update)
                case Progress():
                    progress.append(update)
    return pictures, progress


async def draw(
    engine: Engine, spec: GenerationSpec, turn: Turn | None = None
) -> tuple[Picture, list[Progress]]:
    """Draw to the end; there is one picture, no less and no more."""
    [picture], progress = await drain(engine.generate(spec, turn or FreeTurn()))
    return picture, progress


async def first_step(updates: Updates) -> Progress:
    """Pull until a step is reported, and return it."""
    async for update in updates:
        assert isinstance(update, Progress), "no step was ever reported"
        if update.phase == "drawing" and update.step:
            return update
    raise AssertionError("no step was ever reported")


async def draw_all(engine: Engine, *specs: GenerationSpec) -> list[Picture]:
    """Draw pictures at the same time, none before all have been ordered."""
    turns = [GateTurn(f"picture-{n}", is_open=False) for n in range(len(specs))]
    drawing = [asyncio.create_task(draw(engine, s, t)) for s, t in zip(specs, turns, strict=True)]
    await asyncio.sleep(0)
    for turn in turns:
        turn.open()
    return [picture for picture, _ in await asyncio.gather(*drawing)]


def pixels_of(png: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(png)) as picture:
        return as_array(picture)


def as_array(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    """The largest difference of any pixel's colour."""
    return int(np.abs(one.astype(int) - other.astype(int)).max())

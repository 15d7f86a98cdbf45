"""What the engines of the trial are told to do, and which of them."""

import io
from contextlib import suppress

import pytest
from PIL import Image

from engines.base import Picture
from engines.errors import LostError
from tests.contract.engines import BENCHES, CODES, HTTP, Bench
from tests.fakes.drawing import Updates, drain, first_step
from tests.fakes.turn import FreeTurn

every_engine = pytest.mark.parametrize("bench", list(BENCHES), indirect=True)

http_engines = pytest.mark.parametrize("bench", list(HTTP), indirect=True)

every_failure = pytest.mark.parametrize(
    ("bench", "code"),
    [(name, code) for name, codes in CODES.items() for code in codes],
    indirect=["bench"],
)


async def draw(bench: Bench, turn: FreeTurn | None = None) -> Picture:
    """Draw the bench's picture on its engine."""
    [picture], _ = await drain(bench.engine.generate(bench.spec, turn or FreeTurn()))
    return picture


async def draw_to_the_end(bench: Bench, turn: FreeTurn) -> tuple[Picture, int]:
    """Draw as the scheduler does: again, with the same turn, whenever the engine was lost."""
    for lost in range(4):
        with suppress(LostError):
            return await draw(bench, turn), lost
        assert not turn.held
    pytest.fail("lost four times in a row")


async def begin(bench: Bench, turn: FreeTurn) -> Updates:
    """Draw until the first step has been reported."""
    updates = bench.engine.generate(bench.spec, turn)
    await first_step(updates)
    return updates


def colours(picture: Picture) -> bytes:
    with Image.open(io.BytesIO(picture.png)) as image:
        return image.convert("RGB").tobytes()

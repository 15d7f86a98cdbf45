"""What every engine owes the scheduler: pictures as they were asked for."""

import asyncio
import io
from contextlib import aclosing
from dataclasses import replace

from PIL import Image

from engines.base import Picture
from tests.contract.engines import Bench
from tests.contract.trial import colours, draw, every_engine
from tests.fakes.drawing import drain
from tests.fakes.turn import FreeTurn


@every_engine
async def test_progress_never_falls_and_ends_at_one_picture(bench: Bench) -> None:
    pictures, progress = await drain(bench.engine.generate(bench.spec, FreeTurn()))
    drawing = [p for p in progress if p.phase == "drawing"]
    assert drawing, "nothing was reported while it drew"
    assert [p.step for p in drawing] == sorted(p.step for p in drawing)
    assert all(0 <= p.step <= p.steps for p in drawing)
    assert len(pictures) == 1


@every_engine
async def test_the_picture_is_the_one_asked_for(bench: Bench) -> None:
    picture = await draw(bench)
    with Image.open(io.BytesIO(picture.png)) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == bench.spec.output_size == (picture.width, picture.height)
    assert picture.seed == bench.spec.seed
    assert picture.shortfalls == ()
    assert picture.facts.get("engine_version")


@every_engine
async def test_another_seed_gives_another_picture(bench: Bench) -> None:
    other = replace(bench, spec=bench.spec.picture(1))
    first, second = await draw(bench), await draw(other)
    assert second.seed == first.seed + 1
    assert colours(first) != colours(second)


@every_engine
async def test_the_turn_is_held_while_drawing_and_left_with_the_picture(bench: Bench) -> None:
    turn = FreeTurn()
    async with aclosing(bench.engine.generate(bench.spec, turn)) as updates:
        async for update in updates:
            if isinstance(update, Picture):
                assert not turn.held, "the GPU is still held while the picture is stored"
                break
    assert turn.entered >= 1
    assert not turn.held


@every_engine
async def test_nothing_is_drawn_before_the_turn_is_given(bench: Bench) -> None:
    turn = FreeTurn(shut=True)
    drawing = asyncio.create_task(drain(bench.engine.generate(bench.spec, turn)))
    await turn.refused()
    assert not drawing.done()
    assert not bench.busy()
    turn.open()
    pictures, _ = await drawing
    assert len(pictures) == 1


@every_engine
async def test_what_cannot_be_honoured_is_a_shortfall(bench: Bench) -> None:
    if bench.server is not None:
        assert bench.unhonoured, "an HTTP engine that can do everything is not believable"
    for wish, spec in bench.unhonoured.items():
        picture = await draw(replace(bench, spec=spec))
        assert wish in {s.field for s in picture.shortfalls}, wish
        assert all(s.code and s.detail for s in picture.shortfalls)

"""What is remembered of the engines' lists, and when it is asked for again."""

import asyncio
from collections.abc import Sequence

from typing_extensions import override

from engines.base import EngineName, ModelInfo
from engines.errors import EngineDownError, EngineTimeoutError
from engines.fake import FakeEngine
from engines.models import Models

A, B = EngineName("a"), EngineName("b")
OLD, NEW = ModelInfo("old"), ModelInfo("new")
PATIENT = 60.0


class Slow(FakeEngine):
    """Shows a new file once it has looked for it, which it is let do."""

    def __init__(self) -> None:
        super().__init__()
        self.looking, self.may_look = asyncio.Event(), asyncio.Event()
        self.looks = 0
        self.has = [OLD]
        self.fails = False

    @override
    async def look_again(self) -> None:
        self.looks += 1
        self.looking.set()
        await self.may_look.wait()
        if self.fails:
            raise EngineTimeoutError("it draws")
        self.has = [OLD, NEW]

    @override
    async def models(self) -> Sequence[ModelInfo]:
        return list(self.has)


class Away(FakeEngine):
    """Does not answer."""

    looks = 0

    @override
    async def look_again(self) -> None:
        self.looks += 1

    @override
    async def models(self) -> Sequence[ModelInfo]:
        raise EngineDownError("away")


class Buggy(FakeEngine):
    """Does not get as far as saying what it has."""

    @override
    async def models(self) -> Sequence[ModelInfo]:
        raise RuntimeError


async def asked(*engines: FakeEngine) -> Models:
    models = Models(dict(zip((A, B), engines, strict=False)))
    await models.refresh()
    return models


async def test_a_bug_in_one_engine_s_list_spoils_no_other() -> None:
    models = await asked(Buggy(), Slow())
    assert models[B] == [OLD]
    assert models.errors == {A: "internal: unexpected RuntimeError"}
    assert (models.sure(A), models.sure(B)) == (False, True)


async def test_a_look_finds_what_a_list_does_not() -> None:
    engine = Slow()
    models = await asked(engine)
    engine.may_look.set()
    await models.refresh()
    assert models[A] == [OLD]
    await models.look_again(patience_seconds=PATIENT)
    assert models[A] == [OLD, NEW]


async def test_who_comes_during_a_look_waits_for_it() -> None:
    engine = Slow()
    models = await asked(engine)
    both = [asyncio.create_task(models.look_again(patience_seconds=PATIENT)) for _ in range(2)]
    await engine.looking.wait()
    late = asyncio.create_task(models.look_again(patience_seconds=PATIENT))
    await asyncio.sleep(0)
    engine.may_look.set()
    await asyncio.gather(*both, late)
    assert engine.looks == 1
    await models.look_again(patience_seconds=PATIENT)
    assert engine.looks == 2


async def test_an_engine_that_takes_too_long_cannot_say_until_it_does() -> None:
    engine = Slow()
    models = await asked(engine)
    await models.look_again(patience_seconds=0)
    assert not models.sure(A)
    assert "engine_timeout" in models.errors[A]
    await models.look_again(patience_seconds=PATIENT)  # waits for nobody
    [look] = [task for task in asyncio.all_tasks() if task.get_name() == "look again a"]
    engine.may_look.set()
    await look
    assert models.sure(A)
    assert (models[A], engine.looks) == ([OLD, NEW], 1)


async def test_an_engine_that_cannot_look_now_cannot_say() -> None:
    engine = Slow()
    models = await asked(engine)
    engine.fails = True
    engine.may_look.set()
    await models.look_again(patience_seconds=PATIENT)
    assert (models.sure(A), models[A]) == (False, [OLD])
    await models.refresh()
    assert models.sure(A)


async def test_an_engine_that_was_away_is_not_waited_for() -> None:
    away = Away()
    models = await asked(away, Buggy())
    await models.look_again(patience_seconds=PATIENT)
    assert (away.looks, models[A]) == (0, None)


async def test_a_cancelled_look_ends_for_all_who_wait() -> None:
    engine = Slow()
    models = await asked(engine)
    waiting = asyncio.create_task(models.look_again(patience_seconds=PATIENT))
    await engine.looking.wait()
    models.cancel()
    await waiting

"""An engine that lacks a file does not draw with it, and is not asked in vain."""

from dataclasses import replace

import pytest

from engines.base import EVERY_KIND, EngineName, Feature, ModelInfo
from engines.errors import ModelNotFoundError
from engines.models import Models
from engines.spec import Draft, Lora
from tests.unit.engines.painters import BIG, Painter, route


def with_files(name: str, *files: ModelInfo) -> Painter:
    """An engine that has the model `big`, and lists all its files."""
    painter = Painter(name, BIG, *files)
    painter.capabilities = replace(painter.capabilities, lists=EVERY_KIND)
    return painter


INK = ModelInfo("ink.safetensors", kind="lora", aliases=("ink",))

WITH_INK = Draft("p", model="big", loras=(Lora("ink"),))


async def test_of_a_model_s_homes_one_that_has_all_files_draws() -> None:
    engines = (with_files("a"), with_files("b", INK))
    router = await route(*engines)
    assert router.settle(Draft("p", model="big")).engine == "a"
    settled = router.settle(WITH_INK)
    assert (settled.engine, settled.shortfalls) == ("b", ())
    assert router.alternative(EngineName("b"), settled.spec) is None
    assert router.alternative(EngineName("a"), settled.spec) == "b"
    busy = await route(*engines, closed=frozenset("a"), load={"b": 99})
    assert busy.settle(WITH_INK).engine == "b"
    with pytest.raises(ModelNotFoundError) as refused:
        router.settle(replace(WITH_INK, engine="a"))
    assert refused.value.field == "loras.0.name"


async def test_only_an_engine_that_can_say_so_has_not() -> None:
    down, up = with_files("a"), with_files("b")
    models = Models({e.name: e for e in (down, up)})
    await models.refresh()
    router = await route(down, up, models=models)
    with pytest.raises(ModelNotFoundError):
        router.settle(WITH_INK)
    down.gone = True
    await models.look_again(patience_seconds=60)
    settled = router.settle(WITH_INK)
    assert settled.engine == "a"
    assert [(s.code, s.field) for s in settled.shortfalls] == [("model_unchecked", "loras.0.name")]
    unknown = router.settle(Draft("p", engine="a", model="new"))
    assert [s.code for s in unknown.shortfalls] == ["model_unchecked"]
    assert unknown.spec.model == "new"


async def test_an_engine_that_does_not_list_a_kind_is_not_asked_for_it() -> None:
    router = await route(Painter("a", BIG))
    assert router.settle(WITH_INK).shortfalls == ()


async def test_a_model_that_can_be_fetched_is_not_refused() -> None:
    painter = with_files("a")
    painter.capabilities = replace(painter.capabilities, fetches="[a-z]+/[a-z]+")
    router = await route(painter)
    settled = router.settle(Draft("p", model="owner/model"))
    assert settled.spec.model == "owner/model"
    assert [s.code for s in settled.shortfalls] == ["model_unchecked"]
    for name in ("owner/model/more", "model"):
        with pytest.raises(ModelNotFoundError):
            router.settle(Draft("p", model=name))


async def test_a_workflow_that_brings_its_own_files_is_asked_for_no_other() -> None:
    painter = with_files("a")
    painter.has = (replace(BIG, whole=True),)
    assert (await route(painter)).settle(WITH_INK).spec.loras == (Lora("ink"),)


async def test_what_an_engine_cannot_do_it_needs_no_file_for() -> None:
    router = await route(with_files("a"), disable=(Feature.LORA,))
    assert [s.code for s in router.settle(WITH_INK).shortfalls] == ["unsupported"]

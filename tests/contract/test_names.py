"""What every engine owes those who read its list: it finds what it lists, and nothing else."""

from dataclasses import replace

import pytest

from engines.base import ModelKind
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.names import usable
from engines.spec import GenerationSpec, Hires, Lora, Refiner, Upscale
from tests.contract.engines import BENCHES, Bench
from tests.fakes.drawing import draw

FINDERS = [name for name in BENCHES if name != "fake"]
"""Those that look for files; a test card is drawn with anything."""

pytestmark = pytest.mark.parametrize("bench", FINDERS, indirect=True)


def wish(spec: GenerationSpec, kind: ModelKind, name: str) -> GenerationSpec:
    """The spec with a file of a kind."""
    match kind:
        case "checkpoint":
            return replace(spec, model=name)
        case "lora":
            return replace(spec, loras=(Lora(name, 0.5),))
        case _:
            return replace(spec, upscale=Upscale(2.0, name))


@pytest.mark.parametrize("kind", ["checkpoint", "lora", "upscaler"])
async def test_what_is_listed_is_found_by_all_its_names(bench: Bench, kind: ModelKind) -> None:
    infos = [info for info in await bench.engine.models() if info.kind == kind and not info.error]
    for info in infos:
        if info.base not in ("", "sd15", "any", "mini"):
            continue
        for name in (info.name, *info.aliases, info.name.swapcase()):
            assert usable(name, kind, infos) is not None
            picture, _ = await draw(bench.engine, wish(bench.spec, kind, name))
            assert picture.shortfalls == ()
    assert infos or kind != "checkpoint"


async def test_what_is_not_listed_is_not_found(bench: Bench) -> None:
    spec, engine = bench.spec, bench.engine
    await engine.look_again()
    infos, can = await engine.models(), engine.capabilities
    unknown = {
        "model": wish(spec, "checkpoint", "nobody"),
        "loras": wish(spec, "lora", "nobody"),
        "upscale": wish(spec, "upscaler", "nobody"),
        "hires": replace(spec, hires=Hires(upscaler="nobody")),
        "refiner": replace(spec, refiner=Refiner("nobody")),
    }
    if engine.name == "invokeai":
        del unknown["refiner"]  # refused for every model of this family, whatever its name
    assert {"checkpoint", "lora", "controlnet", "upscaler"} <= can.lists
    assert all(usable("nobody", kind, infos) is None for kind in can.lists)
    for field, asked in unknown.items():
        with pytest.raises(ModelNotFoundError) as refused:
            await draw(engine, asked)
        assert refused.value.field == field


async def test_a_tag_in_the_prompt_must_name_an_adapter_only_where_that_is_said(
    bench: Bench,
) -> None:
    spec = replace(bench.spec, prompt=f"{bench.spec.prompt} <lora:nobody:1>")
    if bench.engine.capabilities.prompt_loras:
        with pytest.raises(ModelNotFoundError):
            await draw(bench.engine, spec)
    else:
        await draw(bench.engine, spec)


async def test_its_own_resamplers_need_no_file(bench: Bench) -> None:
    for name in sorted(bench.engine.capabilities.resamplers):
        spec = replace(bench.spec, hires=Hires(upscaler=name))
        picture, _ = await draw(bench.engine, spec)
        assert (picture.width, picture.height) == spec.output_size


async def test_it_reads_the_samplers_that_it_says_it_reads(bench: Bench) -> None:
    await bench.engine.probe()
    await bench.engine.models()
    samplers = bench.engine.capabilities.samplers
    assert samplers is not None
    assert samplers.names[:2] == ("euler", "euler_a")
    assert len(set(samplers.names)) == len(samplers.names)
    for name in (*samplers.names[:3], samplers.names[-1]):
        assert samplers.reads(name)
        picture, _ = await draw(bench.engine, replace(bench.spec, sampler=name))
        assert picture.shortfalls == ()
    for name in ("nobody", "euler/nobody", "nobody_karras", "Nobody Karras"):
        assert not samplers.reads(name)
        with pytest.raises(InvalidSpecError) as refused:
            await draw(bench.engine, replace(bench.spec, sampler=name))
        assert refused.value.field == "sampler"

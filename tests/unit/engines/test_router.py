"""Who draws what: by engine, profile, model and default; and who takes over."""

from dataclasses import replace

import pytest

from engines.base import EngineName, Feature, ModelDefaults, ModelInfo, ModelKind
from engines.config import Profile
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.models import Models
from engines.samplers import Samplers
from engines.spec import Draft, Hires, InputRef, Lora, Refiner, Tiling, Upscale
from tests.unit.engines.painters import BIG, BROKEN, SMALL, Painter, route


async def test_the_request_s_engine_wins_then_the_model_s_home_then_the_default() -> None:
    router = await route(Painter("a", SMALL), Painter("b", BIG))
    assert router.settle(Draft("p")).engine == "a"
    assert router.settle(Draft("p", model="big")).engine == "b"
    named = router.settle(Draft("p", engine="b"))
    assert (named.engine, named.pinned, named.spec.model) == ("b", True, "big")
    assert router.settle(Draft("p", model="tiny")).spec.model == "small"


async def test_a_profile_fills_in_what_the_request_leaves_open() -> None:
    portrait = Profile(name="portrait", engine="b", steps=33, prefix="a portrait of ", cfg=4)
    router = await route(Painter("a", SMALL), Painter("b", BIG), profiles=[portrait])
    chosen = router.settle(Draft("a cat", profile="portrait", cfg=9.0))
    assert chosen.engine == "b"
    assert not chosen.pinned
    assert (chosen.spec.prompt, chosen.spec.steps, chosen.spec.cfg) == (
        "a portrait of a cat",
        33,
        9,
    )
    assert router.settle(Draft("a cat", profile="portrait", model="small")).engine == "a"


async def test_auto_goes_by_the_prompt() -> None:
    profiles = [
        Profile(name="texture", when=(r"\bseamless\b",), steps=7),
        Profile(name="portrait", when=("face", "person"), steps=9),
    ]
    router = await route(Painter("a", SMALL), profiles=profiles)
    assert router.settle(Draft("A Seamless brick wall", profile="auto")).spec.steps == 7
    assert router.settle(Draft("the face of a clock", profile="auto")).spec.steps == 9
    assert router.settle(Draft("a ball", profile="auto")).spec.steps == SMALL.defaults.steps


@pytest.mark.parametrize(
    ("draft", "field", "error"),
    [
        (Draft("p", engine="z"), "engine", InvalidSpecError),
        (Draft("p", profile="z"), "profile", InvalidSpecError),
        (Draft("p", model="z"), "model", ModelNotFoundError),
        (Draft("p", engine="a", model="broken"), "model", InvalidSpecError),
        (Draft("p", sampler="p"), "sampler", InvalidSpecError),
        (Draft("p", mask=InputRef("m")), "mask", InvalidSpecError),
        (Draft("p", width=4096, height=4096, hires=Hires(4)), "hires", InvalidSpecError),
        (
            Draft("p", width=2048, height=2048, hires=Hires(4), upscale=Upscale(2)),
            "upscale",
            InvalidSpecError,
        ),
    ],
)
async def test_what_cannot_be_is_refused_by_name(
    draft: Draft, field: str, error: type[InvalidSpecError]
) -> None:
    router = await route(Painter("a", SMALL, BROKEN))
    with pytest.raises(error) as refused:
        router.settle(draft)
    assert refused.value.field == field


async def test_a_broken_model_does_not_stand_before_a_good_one_of_its_name() -> None:
    broken = ModelInfo("broken", aliases=("tiny",), error="cut off")
    router = await route(Painter("a", broken, SMALL))
    assert router.settle(Draft("p", model="tiny")).spec.model == "small"


@pytest.mark.parametrize(("cfg", "told"), [(1.0, ["negative_prompt_unused"]), (1.5, [])])
async def test_a_negative_prompt_without_guidance_is_said_to_be_unread(
    cfg: float, told: list[str]
) -> None:
    router = await route(Painter("a", SMALL))
    draft = Draft("p", negative_prompt="n", cfg=cfg, width=128, height=128)
    assert [short.code for short in router.settle(draft).shortfalls] == told


async def test_what_is_not_honoured_is_said() -> None:
    router = await route(Painter("a", SMALL), disable=(Feature.LORA, Feature.TILING))
    draft = Draft("p", model="sdxl_base", width=1001, loras=(Lora("l"),), tiling=Tiling.X)
    settled = router.settle(draft)
    assert [(s.code, s.field) for s in settled.shortfalls] == [
        ("model_substituted", "model"),
        ("size_rounded", "width"),
        ("size_outside_model", "width"),
        ("size_outside_model", "height"),
        ("unsupported", "loras"),
        ("unsupported", "tiling"),
    ]
    assert (settled.spec.width, settled.spec.loras) == (1000, ())
    router = await route(Painter("a", SMALL), disable=(Feature.IMG2IMG,))
    with pytest.raises(InvalidSpecError, match="img2img"):
        router.settle(Draft("p", init_image="0" * 64))  # type: ignore[arg-type]


async def test_a_refiner_that_clients_have_built_in_is_left_out_where_it_is_not_there() -> None:
    draft = Draft("p", model="sdxl_base", refiner=Refiner("sdxl_refiner"))
    settled = (await route(Painter("a", SMALL))).settle(draft)
    assert settled.spec.refiner is None
    assert ("refiner_left_out", "refiner.model") in {(s.code, s.field) for s in settled.shortfalls}
    fine = replace(SMALL, name="fine", aliases=("sdxl_refiner",))
    kept = (await route(Painter("a", SMALL, fine))).settle(draft)
    assert kept.spec.refiner == draft.refiner
    with pytest.raises(ModelNotFoundError):
        (await route(Painter("a", SMALL))).settle(replace(draft, refiner=Refiner("other")))


async def test_an_engine_that_is_away_gets_the_job_unchecked() -> None:
    settled = (await route(Painter("a"))).settle(Draft("p", model="anything"))
    assert settled.spec.model == "anything"
    assert [s.code for s in settled.shortfalls] == ["model_unchecked"]


async def test_work_goes_where_there_is_least_of_it_for_the_weight() -> None:
    engines = (Painter("a", BIG), Painter("b", BIG))
    draft = Draft("p", model="big")
    assert (await route(*engines, load={"a": 5, "b": 3})).settle(draft).engine == "b"
    router = await route(*engines, load={"a": 5, "b": 3}, weights={"a": 2})
    assert router.settle(draft).engine == "a"
    assert (await route(*engines, closed=frozenset("b"))).settle(draft).engine == "b"


async def test_another_engine_takes_over_only_if_it_can_and_works() -> None:
    engines = (Painter("a", BIG), Painter("b", BIG), Painter("c", SMALL))
    router = await route(*engines)
    spec = router.settle(Draft("p", model="big")).spec
    assert router.alternative(EngineName("a"), spec) == "b"
    router = await route(*engines, closed=frozenset("ac"))
    assert router.alternative(EngineName("a"), spec) is None


XL, SD = ModelInfo("xl", base="sdxl"), ModelInfo("sd", base="sd15")
GLOW = ModelInfo("glow", kind="lora", base="sdxl")
FILES = frozenset[ModelKind]({"checkpoint", "lora"})
EULER = Samplers(("euler",), {"euler", "dpmpp_2m_karras"}.__contains__)


def able(name: str, *models: ModelInfo, samplers: Samplers | None = None) -> Painter:
    """An engine that lists its LoRAs, and may say which samplers it has."""
    painter = Painter(name, *models)
    painter.capabilities = replace(painter.capabilities, lists=FILES, samplers=samplers)
    return painter


@pytest.mark.parametrize("model", [None, "sd", "sdxl_base"])
async def test_a_file_must_fit_the_model_that_will_really_draw(model: str | None) -> None:
    router = await route(able("a", SD, XL, GLOW))
    with pytest.raises(InvalidSpecError, match="made for sdxl, but sd is of sd15") as refused:
        router.settle(Draft("p", model=model, loras=(Lora("glow"),)))
    assert refused.value.field == "loras.0.name"
    assert router.settle(Draft("p", model="xl", loras=(Lora("glow"),))).spec.model == "xl"


async def test_the_sampler_that_the_model_would_take_must_be_there_too() -> None:
    odd = ModelInfo("odd", defaults=ModelDefaults(sampler="pndm"))
    router = await route(able("a", SD, odd, samplers=EULER))
    for draft in (Draft("p", sampler="pndm"), Draft("p", model="odd")):
        with pytest.raises(InvalidSpecError, match="a has no sampler 'pndm'") as refused:
            router.settle(draft)
        assert refused.value.field == "sampler"
    assert router.settle(Draft("p", model="odd", sampler="euler")).spec.sampler == "euler"


async def test_an_engine_that_cannot_be_asked_refuses_no_sampler() -> None:
    painter = able("a", SD, GLOW, samplers=EULER)
    models = Models({painter.name: painter})
    await models.refresh()
    painter.gone = True
    await models.refresh()
    router = await route(painter, models=models)
    settled = router.settle(Draft("p", sampler="pndm", loras=(Lora("glow"),)))
    assert [(note.code, note.field) for note in settled.shortfalls] == [
        ("model_unchecked", "sampler"),
        ("model_unchecked", "loras.0.name"),
    ]


async def test_of_a_model_s_homes_the_one_where_all_fits_draws_it() -> None:
    engines = (
        able("a", ModelInfo("big", base="sd15"), GLOW, samplers=EULER),
        able("b", ModelInfo("big", base="sdxl"), GLOW, samplers=EULER),
        able("c", ModelInfo("big", base="sdxl"), GLOW),
    )
    router = await route(*engines)
    assert router.settle(Draft("p", model="big")).engine == "a"
    assert router.settle(Draft("p", model="big", loras=(Lora("glow"),))).engine == "b"
    own = router.settle(Draft("p", model="big", sampler="theirs", loras=(Lora("glow"),)))
    assert own.engine == "c"
    assert router.alternative(own.engine, own.spec) is None
    plain = router.settle(Draft("p", model="big", loras=(Lora("glow"),)))
    assert router.alternative(plain.engine, plain.spec) == "c"

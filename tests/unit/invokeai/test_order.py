"""From a spec's names to the server's models, and what is refused or left out on the way."""

from dataclasses import replace

import pytest

from engines.errors import EngineError, InvalidSpecError, ModelNotFoundError
from engines.invokeai.engine import InvokeAiEngine
from engines.invokeai.order import Order, settle
from engines.invokeai.records import BASES, Record
from engines.spec import Control, GenerationSpec, Hires, Lora, Refiner, Upscale
from tests.unit.invokeai.specs import (
    CANNY,
    ESRGAN,
    IMAGE,
    LORA,
    LORA_XL,
    MASK,
    RECORDS,
    REFINER,
    SD15,
    SDXL,
    SPEC,
    made,
)

SCHEDULERS = frozenset({"euler", "dpmpp_2m_k", "dpmpp_sde_k", "deis"})


def settled(spec: GenerationSpec) -> Order:
    return settle(spec, RECORDS, SCHEDULERS, board="board-1")


def test_a_plain_spec_is_settled_without_shortfalls() -> None:
    order = settled(SPEC)
    assert order.shortfalls == ()
    assert order.parts.model is SD15
    assert order.parts.scheduler == "dpmpp_2m_k"
    assert order.parts.fp32
    assert order.parts.board == "board-1"


def test_every_name_finds_its_model() -> None:
    spec = replace(
        SPEC,
        loras=(Lora("ink", 0.5),),
        controls=(Control("canny", IMAGE),),
        hires=Hires(upscaler="esrgan"),
        upscale=Upscale(upscaler="lanczos"),
    )
    parts = settled(spec).parts
    assert parts.loras == ((LORA, 0.5),)
    assert parts.controls == (CANNY,)
    assert parts.upscalers == {"esrgan": ESRGAN}


def test_an_adapter_of_the_models_family_is_preferred_to_its_namesake() -> None:
    spec = replace(SPEC, model="big", loras=(Lora("ink", 0.5),))
    assert settled(spec).parts.loras == ((LORA_XL, 0.5),)


def test_adapters_in_the_prompt_count_and_repetitions_add_up() -> None:
    spec = replace(SPEC, prompt="a cat <lora:ink:0.3>", loras=(Lora("ink", 0.5),))
    order = settled(spec)
    assert order.parts.loras == ((LORA, 0.8),)
    assert order.parts.positive == "a cat"
    assert order.shortfalls == ()


def test_a_refiner_is_for_sdxl() -> None:
    refined = replace(SPEC, model="big", refiner=Refiner("fine"))
    assert settled(refined).parts.refiner is REFINER


@pytest.mark.parametrize("model", [SD15, SDXL])
@pytest.mark.parametrize("refiner", [SD15, SDXL, REFINER])
async def test_it_refines_what_the_engine_says_that_it_refines(
    engine: InvokeAiEngine, model: Record, refiner: Record
) -> None:
    """A submit goes by what the engine says, the drawing by what the server has."""
    spec = replace(SPEC, model=model.name, refiner=Refiner(refiner.name))
    if (BASES[model.base], BASES[refiner.base]) in engine.capabilities.refines:
        assert settled(spec).parts.refiner is refiner
    else:
        with pytest.raises(InvalidSpecError) as refused:
            settled(spec)
        assert refused.value.field == "refiner"


def test_the_models_own_settings_choose_its_vae_and_its_precision() -> None:
    own = made("own", settings={"vae": "vae:sd-1:kl", "vae_precision": "fp16"})
    parts = settle(replace(SPEC, model="own"), (*RECORDS, own), SCHEDULERS).parts
    assert parts.vae is not None
    assert parts.vae.name == "kl"
    assert not parts.fp32


REFUSED: dict[str, tuple[GenerationSpec, type[EngineError], str]] = {
    "absent model": (replace(SPEC, model="none"), ModelNotFoundError, "model"),
    "a refiner as model": (replace(SPEC, model="fine"), InvalidSpecError, "model"),
    "absent lora": (replace(SPEC, loras=(Lora("none"),)), ModelNotFoundError, "loras"),
    "absent control": (
        replace(SPEC, controls=(Control("none", IMAGE),)),
        ModelNotFoundError,
        "controls",
    ),
    "control of another family": (
        replace(SPEC, model="big", controls=(Control("canny", IMAGE),)),
        InvalidSpecError,
        "controls",
    ),
    "refiner for SD 1.5": (replace(SPEC, refiner=Refiner("fine")), InvalidSpecError, "refiner"),
    "no refiner": (
        replace(SPEC, model="big", refiner=Refiner("dream")),
        InvalidSpecError,
        "refiner",
    ),
    "absent upscaler": (
        replace(SPEC, upscale=Upscale(upscaler="none")),
        ModelNotFoundError,
        "upscale",
    ),
    "latents after decoding": (
        replace(SPEC, upscale=Upscale(upscaler="latent")),
        ModelNotFoundError,
        "upscale",
    ),
    "absent sampler": (replace(SPEC, sampler="ddim"), InvalidSpecError, "sampler"),
    "width off the grid": (replace(SPEC, width=500), InvalidSpecError, "width"),
    "no height": (replace(SPEC, height=0), InvalidSpecError, "height"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_drawn_is_refused_by_its_field(case: str) -> None:
    spec, error, field = REFUSED[case]
    with pytest.raises(InvalidSpecError) as caught:
        settled(spec)
    assert type(caught.value) is error
    assert caught.value.field == field


SHORT = {
    "clip_skip": replace(SPEC, model="big", clip_skip=1),
    "mask": replace(SPEC, mask=MASK),
    "negative_prompt": replace(SPEC, negative_prompt="ugly <lora:ink:1>"),
    "prompt": replace(SPEC, prompt="[night:day:0.5]"),
}


@pytest.mark.parametrize("field", list(SHORT))
def test_what_is_left_out_is_said(field: str) -> None:
    [shortfall] = settled(SHORT[field]).shortfalls
    assert shortfall.field == field
    assert shortfall.code
    assert shortfall.detail


def test_sdxl_is_not_drawn_without_its_family() -> None:
    assert settled(replace(SPEC, model="big")).parts.model is SDXL

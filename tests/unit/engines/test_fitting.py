"""What stands against drawing a wish: samplers, and files of another family than the model's."""

from dataclasses import replace

import pytest

from engines.base import Capabilities, EngineName, ModelInfo, ModelKind, Shortfall
from engines.families import share_latents, share_network
from engines.fitting import Stock, goes_with
from engines.samplers import Samplers
from engines.spec import Control, Draft, InputRef, Lora, Refiner

PLAIN = Samplers(("euler", "euler_a", "ddim"), lambda name: name.split("/")[0] in PLAIN.names)
CAN = Capabilities(
    "job", lists=frozenset({"checkpoint", "lora", "controlnet"}), prompt_loras=True, samplers=PLAIN
)
SD, XL = ModelInfo("sd", base="sd15"), ModelInfo("xl", base="sdxl")
INK, GLOW = ModelInfo("ink", "lora", base="sd15"), ModelInfo("glow", "lora", base="sdxl")
BARE = ModelInfo("bare", "lora")
REFINER = ModelInfo("fine", base="sdxl-refiner")
EDGES = ModelInfo("edges", "controlnet", base="sdxl")
NONE = "for sd15, it has: none"
KNOWN = (SD, XL, REFINER, INK, GLOW, BARE, EDGES)


def told(
    wish: Draft,
    model: ModelInfo | None,
    *,
    can: Capabilities = CAN,
    known: tuple[ModelInfo, ...] = KNOWN,
    notes: list[Shortfall] | None = None,
) -> list[tuple[str, str]]:
    """The field and the words of every refusal."""
    stock = Stock(EngineName("e"), can, known)
    faults = list(stock.faults(wish, model, [] if notes is None else notes))
    errors = [fault.error() for fault in faults]
    assert [fault.field for fault in faults] == [error.field for error in errors]
    assert all(error.code in {"invalid_spec", "model_not_found"} for error in errors)
    return [(error.field, str(error)) for error in errors]


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        ("euler_b", "e has no sampler 'euler_b'; near it: euler_a, euler; "),
        ("pndm", "e has no sampler 'pndm'; "),
    ],
)
def test_who_asks_for_no_sampler_of_ours_is_told_what_there_is(sampler: str, words: str) -> None:
    assert told(Draft("p", sampler=sampler), SD) == [
        ("sampler", f"{words}there are: euler, euler_a, ddim")
    ]


@pytest.mark.parametrize("sampler", ["euler", "ddim/karras", None])
def test_what_the_engine_reads_is_not_refused(sampler: str | None) -> None:
    assert told(Draft("p", sampler=sampler), SD) == []


def test_an_engine_that_cannot_say_is_not_spoken_for() -> None:
    assert told(Draft("p", sampler="nobody"), SD, can=replace(CAN, samplers=None)) == []


def test_a_model_refuses_samplers_of_its_own() -> None:
    shy = replace(SD, refused_samplers=("euler", "pndm"))
    for sampler in shy.refused_samplers:
        words = f"sd cannot be drawn with {sampler}; "
        [(field, said)] = told(Draft("p", sampler=sampler), shy)
        assert (field, said.startswith(words)) == ("sampler", True)
        assert said.endswith("there are: euler_a, ddim")
    silent = replace(CAN, samplers=None)
    assert told(Draft("p", sampler="pndm"), shy, can=silent) == [
        ("sampler", "sd cannot be drawn with pndm")
    ]


@pytest.mark.parametrize(
    ("wish", "model", "field", "words"),
    [
        (
            Draft("p", loras=(Lora("ink"), Lora("glow"))),
            SD,
            "loras.1.name",
            "the LoRA glow was made for sdxl, but sd is of sd15; for sd15, it has: ink, bare",
        ),
        (
            Draft("p", loras=(Lora("INK"),)),
            XL,
            "loras.0.name",
            "the LoRA ink was made for sd15, but xl is of sdxl; for sdxl, it has: glow, bare",
        ),
        (
            Draft("p <lora:glow:1>"),
            SD,
            "prompt",
            "the LoRA glow was made for sdxl, but sd is of sd15; for sd15, it has: ink, bare",
        ),
        (
            Draft("p", controls=(Control("edges", InputRef("0")),)),
            SD,
            "controls.0.model",
            f"the ControlNet edges was made for sdxl, but sd is of sd15; {NONE}",
        ),
        (
            Draft("p", refiner=Refiner("fine")),
            SD,
            "refiner.model",
            f"fine is of sdxl-refiner and cannot refine sd, which is of sd15; {NONE}",
        ),
    ],
)
def test_a_file_of_another_family_is_refused_with_both_families(
    wish: Draft, model: ModelInfo, field: str, words: str
) -> None:
    assert told(wish, model) == [(field, words)]


@pytest.mark.parametrize("model", [SD, XL, replace(SD, base=""), None])
def test_what_is_not_known_refuses_nothing(model: ModelInfo | None) -> None:
    assert told(Draft("p", loras=(Lora("bare"),)), model) == []
    if model is None or not model.base:
        every = Draft("p", loras=(Lora("ink"), Lora("glow")), refiner=Refiner("fine"))
        assert told(every, model) == []


def test_a_name_that_means_several_means_the_one_that_fits() -> None:
    namesakes = (
        SD,
        XL,
        ModelInfo("ink (a)", "lora", base="sd15", aliases=("ink",)),
        ModelInfo("ink (b)", "lora", base="sdxl", aliases=("ink",)),
    )
    wish = Draft("p", loras=(Lora("ink"),))
    assert told(wish, SD, known=namesakes) == told(wish, XL, known=namesakes) == []
    [(field, _)] = told(wish, REFINER, known=namesakes)
    assert field == "loras.0.name"


@pytest.mark.parametrize(
    ("known", "model"),
    [
        ((SD, GLOW), replace(SD, guessed=True)),
        ((SD, replace(GLOW, guessed=True)), SD),
    ],
)
def test_a_family_that_was_guessed_only_warns(
    known: tuple[ModelInfo, ...], model: ModelInfo
) -> None:
    notes: list[Shortfall] = []
    assert told(Draft("p", loras=(Lora("glow"),)), model, known=known, notes=notes) == []
    assert [(note.code, note.field) for note in notes] == [("base_doubtful", "loras.0.name")]
    assert "made for sdxl, but sd is of sd15" in notes[0].detail


def test_an_engine_may_know_better_which_refiners_it_draws_with() -> None:
    wish = Draft("p", refiner=Refiner("xl"))
    assert told(wish, XL) == []
    picky = replace(CAN, refines=frozenset({("sdxl", "sdxl-refiner")}))
    assert [field for field, _ in told(wish, XL, can=picky)] == ["refiner.model"]
    assert told(Draft("p", refiner=Refiner("fine")), XL, can=picky) == []
    assert told(wish, replace(XL, base=""), can=picky) == []


def test_a_workflow_brings_its_own() -> None:
    whole = replace(SD, whole=True)
    assert told(Draft("p", sampler="nobody", loras=(Lora("glow"), Lora("no"))), whole) == []


@pytest.mark.parametrize(
    ("one", "other", "network", "latents"),
    [
        ("sd15", "sd15", True, True),
        ("sd15", "sd2", False, True),
        ("sdxl", "sdxl-refiner", False, True),
        ("sdxl", "sd15", False, False),
        ("mini", "sd15", False, False),
        ("", "sdxl", True, True),
        ("any", "sdxl", True, True),
        ("flux", "sdxl", False, True),
    ],
)
def test_families_share_their_network_or_only_their_latents(
    one: str, other: str, *, network: bool, latents: bool
) -> None:
    for pair in ((one, other), (other, one)):
        assert share_network(*pair) is network
        assert share_latents(*pair) is latents


@pytest.mark.parametrize(
    ("kind", "fits"),
    [("lora", False), ("controlnet", False), ("vae", True), ("checkpoint", True),
     ("upscaler", True)],
)  # fmt: skip
def test_each_kind_fits_by_what_it_touches(kind: ModelKind, *, fits: bool) -> None:
    assert goes_with(ModelInfo("f", kind, base="sd2"), SD) is fits

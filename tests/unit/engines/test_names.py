"""Which files a request names, which of an engine's they mean, and what is said of the others."""

import pytest

from engines.base import Capabilities, EngineName, ModelInfo, ModelKind
from engines.errors import InvalidSpecError, ModelNotFoundError
from engines.names import Named, meant, named, refusal, usable
from engines.spec import Control, Draft, Hires, InputRef, Lora, Refiner, Upscale

ENGINE = EngineName("e")
CAN = Capabilities("job", resamplers=frozenset({"lanczos", "area"}), prompt_loras=True)
INK = ModelInfo("styles/Ink.safetensors", kind="lora", aliases=("styles/Ink", "Ink"))
KNOWN = [
    INK,
    ModelInfo("ink", kind="upscaler"),
    ModelInfo("odd", error="a pickle file"),
    ModelInfo("twin", kind="lora", error="cut"),
    ModelInfo("other", kind="lora", aliases=("twin",)),
    ModelInfo("CASE", kind="vae"),
    ModelInfo("Case", kind="vae"),
]


def test_every_place_of_a_name_is_known() -> None:
    draft = Draft(
        "a cat <lora:tag:1>",
        loras=(Lora("one"), Lora("two")),
        controls=(Control("edges", InputRef("0")),),
        hires=Hires(upscaler="sharp"),
        upscale=Upscale(upscaler="latent"),
        refiner=Refiner("fine"),
    )
    assert [(part.field, part.kind, part.name) for part in named(draft, CAN)] == [
        ("loras.0.name", "lora", "one"),
        ("loras.1.name", "lora", "two"),
        ("controls.0.model", "controlnet", "edges"),
        ("hires.upscaler", "upscaler", "sharp"),
        ("upscale.upscaler", "upscaler", "latent"),
        ("refiner.model", "checkpoint", "fine"),
        ("prompt", "lora", "tag"),
    ]


@pytest.mark.parametrize("upscaler", ["latent", "lanczos", "area"])
def test_what_enlarges_without_a_file_names_none(upscaler: str) -> None:
    assert not list(named(Draft("p", hires=Hires(upscaler=upscaler)), CAN))


def test_a_tag_names_a_file_only_where_it_must() -> None:
    assert not list(named(Draft("a cat <lora:tag:1>"), Capabilities("job")))


@pytest.mark.parametrize(
    ("name", "kind", "found"),
    [
        ("styles/Ink.safetensors", "lora", "styles/Ink.safetensors"),
        ("Ink", "lora", "styles/Ink.safetensors"),
        ("STYLES\\ink", "lora", "styles/Ink.safetensors"),
        ("ink", "upscaler", "ink"),
        ("twin", "lora", "other"),
        ("Case", "vae", "Case"),
        ("case", "vae", None),
        ("in", "lora", None),
        ("odd", "checkpoint", None),
    ],
)
def test_a_name_means_a_file_letter_by_letter_or_but_for_case_and_slashes(
    name: str, kind: ModelKind, found: str | None
) -> None:
    info = usable(name, kind, KNOWN)
    assert (info.name if info else None) == found


def test_broken_files_are_meant_but_not_usable() -> None:
    assert [info.name for info in meant("twin", "lora", KNOWN)] == ["twin", "other"]


@pytest.mark.parametrize("kind", ["checkpoint", "lora"])
def test_of_a_broken_file_it_is_said_what_is_wrong(kind: ModelKind) -> None:
    error = refusal(Named("f", kind, "odd"), KNOWN, ENGINE)
    assert type(error) is InvalidSpecError
    assert (error.field, str(error)) == ("f", "odd: a pickle file")


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("skecth", ["sketch", "ink", "sketchy"], "near it: sketch, sketchy"),
        ("ink", ["watercolour_and_ink_on_paper", "oil"], "near it: watercolour_and_ink_on_paper"),
        ("z", [], "it has: none"),
        ("zzz", ["a", "b"], "it has: a, b"),
        ("zzz", list("abcdefghij"), "it has: a, b, c, d, e, f, g, h and 2 more"),
        ("model_7771", [f"model_{at:04}" for at in range(9999)], "near it: model_7771, "),
    ],
)
def test_the_names_that_come_near_are_said(name: str, names: list[str], hint: str) -> None:
    infos = [ModelInfo(one, kind="lora") for one in names]
    error = refusal(Named("loras.3.name", "lora", name), infos, ENGINE)
    assert isinstance(error, ModelNotFoundError)
    assert error.field == "loras.3.name"
    assert str(error).startswith(f"e has no LoRA '{name}'; {hint}")


def test_a_file_of_several_names_is_said_once() -> None:
    error = refusal(Named("f", "lora", "inx"), [INK], ENGINE)
    assert str(error).endswith("near it: styles/Ink.safetensors")

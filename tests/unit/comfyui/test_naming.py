import pytest

from engines.comfyui.naming import METHODS, aliases_of, find_file, find_method
from engines.errors import InvalidSpecError, ModelNotFoundError
from tests.fakes.comfyui_nodes import SAMPLERS, SCHEDULERS

FILES = [
    "sd/base.safetensors",
    "xl/base.safetensors",
    "win\\Style.ckpt",
    "v1.5",
    "v1.5.safetensors",
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("sd/base.safetensors", "sd/base.safetensors"),
        ("SD/Base", "sd/base.safetensors"),
        ("win/style.ckpt", "win\\Style.ckpt"),
        ("style", "win\\Style.ckpt"),
        ("v1.5", "v1.5"),
        ("V1.5.safetensors", "v1.5.safetensors"),
    ],
)
def test_a_file_is_found_by_the_most_literal_reading(wanted: str, found: str) -> None:
    assert find_file(wanted, FILES, what="checkpoint", field="model") == found


def test_a_name_that_fits_several_files_is_refused_with_all_of_them() -> None:
    with pytest.raises(ModelNotFoundError, match=r"may be any of sd/base.*xl/base"):
        find_file("base", FILES, what="checkpoint", field="model")


def test_a_missing_file_is_blamed_on_its_field_and_the_nearest_are_named() -> None:
    with pytest.raises(ModelNotFoundError, match="near it: win") as caught:
        find_file("styel.ckpt", ["win_style.ckpt", "other"], what="LoRA", field="loras")
    assert caught.value.field == "loras"
    with pytest.raises(ModelNotFoundError, match="it has none"):
        find_file("x", [], what="LoRA", field="loras")


def test_of_many_files_only_some_are_listed() -> None:
    with pytest.raises(ModelNotFoundError, match="and 12 more"):
        find_file("zzz", [f"{n:03}" for n in range(20)], what="LoRA", field="loras")


def test_every_sampler_of_ours_is_one_of_the_servers() -> None:
    for name, method in METHODS.items():
        assert find_method(name, SAMPLERS, SCHEDULERS) == method


@pytest.mark.parametrize(
    ("wanted", "method"),
    [
        ("heun", ("heun", "normal")),
        ("euler_ancestral", ("euler_ancestral", "normal")),
        ("euler/beta", ("euler", "beta")),
        ("unipc/karras", ("uni_pc", "karras")),
        ("euler_a_karras", ("euler_ancestral", "karras")),
    ],
)
def test_the_servers_own_names_pass(wanted: str, method: tuple[str, str]) -> None:
    assert find_method(wanted, SAMPLERS, SCHEDULERS) == method


@pytest.mark.parametrize("wanted", ["guesswork", "euler/guesswork", ""])
def test_what_the_server_lacks_is_refused(wanted: str) -> None:
    with pytest.raises(InvalidSpecError, match="does not draw with") as caught:
        find_method(wanted, SAMPLERS, SCHEDULERS)
    assert caught.value.field == "sampler"


def test_aliases_leave_out_folder_and_ending() -> None:
    assert aliases_of("sd\\base.safetensors") == ("sd/base", "base.safetensors", "base")
    assert aliases_of("base") == ()

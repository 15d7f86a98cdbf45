"""Models are found by their names, and told apart."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engines.diffusers.library import Library, Shelved
from engines.diffusers.names import family_aliases
from engines.errors import ModelNotFoundError
from tests.unit.diffusers.tensors import SD15, library_of, write_tensors


@pytest.fixture
def library(models_dir: Path, tmp_path: Path) -> Library:
    return library_of(models_dir, tmp_path)


def test_tiny_models_are_told_apart(library: Library) -> None:
    told = {one.info.name: (one.info.kind, one.info.base) for one in library.scan()}
    assert told["tiny-sd15"] == ("checkpoint", "sd15")
    assert told["tiny-sdxl"] == ("checkpoint", "sdxl")
    assert told["tiny-control"] == ("controlnet", "sd15")
    assert told["bold"][0] == "lora"
    assert told["mini"] == ("checkpoint", "mini")


def test_the_built_in_model_says_what_it_draws_well(library: Library) -> None:
    info = library.find("mini").info
    assert info.bounds.least < info.bounds.most <= 512
    assert "pndm" in info.refused_samplers
    assert info.defaults.sampler


def test_kittys_names_mean_the_plain_model_of_the_family(library: Library) -> None:
    assert library.find("sd15_base").info.name == "tiny-sd15"
    assert library.find("sdxl_base").info.base == "sdxl"
    chosen = family_aliases(
        [("a-mix", "sdxl"), ("sd_xl_base_1.0", "sdxl"), ("v1-5-pruned-emaonly", "sd15")]
    )
    assert chosen == {"sdxl_base": "sd_xl_base_1.0", "sd15_base": "v1-5-pruned-emaonly"}


def test_a_new_file_is_found_without_a_restart(tmp_path: Path) -> None:
    library = library_of(tmp_path, tmp_path)
    with pytest.raises(ModelNotFoundError):
        library.find("late")
    write_tensors(tmp_path / "late.safetensors", SD15)
    assert library.find("late").info.base == "sd15"
    (tmp_path / "late.safetensors").unlink()
    with pytest.raises(ModelNotFoundError):
        library.find("late")


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_tensors(tmp_path / folder / "same.safetensors", SD15)
    library = library_of(tmp_path, tmp_path)
    assert library.find("two/same").path == tmp_path / "two" / "same.safetensors"


def test_a_digest_is_counted_once_and_again_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tensors(tmp_path / "m.safetensors", SD15)
    counted: list[Path] = []
    real = Library.digest
    from engines.diffusers import digests

    whole = digests._sha256
    monkeypatch.setattr(digests, "_sha256", lambda p: (counted.append(p), whole(p))[1])

    def ask() -> tuple[Shelved, str]:
        library = library_of(tmp_path, tmp_path)
        model = library.find("m")
        return model, real(library, model)

    _, first = ask()
    known, again = ask()
    assert first == again == known.info.digest
    assert counted == [path]
    path.write_bytes(path.read_bytes() + b"\0\0")
    assert ask()[1] != first


async def test_models_are_listed_while_nothing_is_loaded(make_engine: Any) -> None:
    listed = {model.name: model for model in await make_engine().models()}
    assert {"mini", "tiny-sd15", "bold"} <= set(listed)
    assert not any(model.loaded for model in listed.values())
    await asyncio.sleep(0)

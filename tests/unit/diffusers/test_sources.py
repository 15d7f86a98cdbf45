"""Where models come from: single files, and the hub where it is allowed."""

import json
import re
import shutil
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from engines.diffusers.borrowing import SOURCES
from engines.diffusers.digests import Digests
from engines.diffusers.library import Library
from engines.errors import EngineDownError, InvalidSpecError, ModelNotFoundError
from engines.spec import Refiner
from tests.fakes import tiny_models
from tests.fakes.drawing import SPEC, distance, draw, draw_all, pixels_of
from tests.fakes.local import engine_in
from tests.fakes.single_file import make_single_file
from tests.unit.diffusers.tensors import SD15, UNET, library_of, write_tensors


async def test_a_single_file_draws_as_its_folder(models_dir: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(models_dir / "tiny-sd15", models / "tiny-sd15")
    make_single_file(models / "one.safetensors", models / "tiny-sd15")
    (models / "one.kitty.json").write_text('{"base": "sd15"}')
    engine = engine_in(tmp_path, models)
    whole, _ = await draw(engine, SPEC)
    single, _ = await draw(engine, replace(SPEC, model="one"))
    await engine.aclose()
    assert distance(pixels_of(single.png), pixels_of(whole.png)) == 0
    assert single.facts["model_sha256"] != whole.facts["model_sha256"]


async def test_a_single_file_that_is_trained_to_fill_draws_as_its_folder(
    models_dir: Path, tmp_path: Path
) -> None:
    """Its network takes nine channels in, which the folder that lends the shapes does not say."""
    models = tmp_path / "models"
    shutil.copytree(models_dir / "tiny-sd15", models / "tiny-sd15")
    filling = tiny_models.make_sd15(tmp_path / "filling", in_channels=9)
    make_single_file(models / "one.safetensors", filling)
    (models / "one.kitty.json").write_text('{"base": "sd15"}')
    engine = engine_in(tmp_path, models)
    single, _ = await draw(engine, replace(SPEC, model="one"))
    shutil.move(filling, models / "filling")
    whole, _ = await draw(engine, replace(SPEC, model="filling"))
    await engine.aclose()
    assert distance(pixels_of(single.png), pixels_of(whole.png)) == 0


async def test_a_single_file_without_its_family_says_what_is_missing(
    models_dir: Path, tmp_path: Path
) -> None:
    make_single_file(tmp_path / "models" / "one.safetensors", models_dir / "tiny-sd15")
    (tmp_path / "models" / "one.kitty.json").write_text('{"base": "sd15"}')
    engine = engine_in(tmp_path, tmp_path / "models")
    with pytest.raises(InvalidSpecError, match="neither tokenizer nor shapes"):
        await draw(engine, replace(SPEC, model="one"))
    shutil.copytree(models_dir / "tiny-sd15", tmp_path / "models" / "tiny-sd15")
    await draw(engine, replace(SPEC, model="one"))
    shutil.rmtree(tmp_path / "models" / "tiny-sd15")
    listed = {info.name: info for info in await engine.models()}
    assert "neither tokenizer nor shapes" in listed["one"].error
    await engine.aclose()


@pytest.mark.parametrize(
    ("base", "allow_hub", "words"),
    [
        ("sdxl", False, "set ALLOW_HUB=true"),
        ("sdxl", True, ""),
        ("odd", False, "lend them: put any odd model folder in diffusers' layout into MODELS_DIR"),
        ("odd", True, "lend them: put any odd model folder in diffusers' layout into MODELS_DIR"),
        ("", True, 'in a file one.kitty.json beside it, as {"base": "sdxl"}'),
    ],
)
def test_what_a_single_file_lacks_is_told_by_its_family(
    tmp_path: Path, base: str, *, allow_hub: bool, words: str
) -> None:
    write_tensors(tmp_path / "one.safetensors", SD15)
    (tmp_path / "one.kitty.json").write_text(json.dumps({"base": base}))
    digests = Digests(memory=tmp_path / "d.json")
    library = Library(models_dir=tmp_path, digests=digests, allow_hub=allow_hub)
    [info] = [one.info for one in library.scan() if one.info.name == "one"]
    assert words in info.error
    assert bool(info.error) is bool(words)
    assert ("sdxl_base" in info.aliases) is (base == "sdxl" and allow_hub)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> list[str]:
    """A hub that has two models; the names that it was asked for."""
    asked: list[str] = []

    has = {"someone/tiny": "tiny-sd15", SOURCES["sdxl"]: "tiny-sdxl"}

    def snapshot_download(name: str, *, local_dir: Path, allow_patterns: list[str]) -> None:
        asked.append(name)
        assert not any(pattern.endswith((".bin", ".ckpt", "*")) for pattern in allow_patterns)
        if name not in has:
            raise OSError("404")
        folder = models_dir / has[name]
        for path in folder.rglob("*.*"):
            told = path.relative_to(folder)
            if any(fnmatch(str(told), pattern) for pattern in allow_patterns):
                (local_dir / told).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, local_dir / told)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    return asked


async def test_the_hub_is_asked_once_and_only_where_it_is_allowed(
    hub: list[str], tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    spec = replace(SPEC, model="someone/tiny")
    closed = engine_in(tmp_path, tmp_path / "models")
    assert closed.capabilities.fetches == ""
    with pytest.raises(ModelNotFoundError):
        await draw(closed, spec)
    await closed.aclose()
    assert hub == []

    opened = engine_in(tmp_path, tmp_path / "models", allow_hub=True)
    assert re.fullmatch(opened.capabilities.fetches, spec.model)
    await draw(opened, spec)
    await draw(opened, spec)
    with pytest.raises(EngineDownError, match="404"):
        await draw(opened, replace(SPEC, model="someone/else"))
    await opened.aclose()
    assert hub == ["someone/tiny", "someone/else"]


async def test_what_several_pictures_want_is_downloaded_once(
    hub: list[str], tmp_path: Path
) -> None:
    """Each download holds a thread of those that the whole service shares."""
    spec = replace(SPEC, model="someone/tiny")
    engine = engine_in(tmp_path, tmp_path / "models", allow_hub=True)
    await draw_all(engine, *(spec.picture(number) for number in range(4)))
    await engine.aclose()
    assert hub == ["someone/tiny"]


@pytest.mark.parametrize("name", ["../etc/passwd", "a/b/c", "/root", "tiny sd"])
async def test_what_is_no_hub_id_is_never_asked_for(
    hub: list[str], name: str, make_engine: Any
) -> None:
    engine = make_engine(allow_hub=True)
    assert not re.fullmatch(engine.capabilities.fetches, name)
    with pytest.raises(ModelNotFoundError):
        await draw(engine, replace(SPEC, model=name))
    assert hub == []


def single_sdxl(models: Path) -> Library:
    """A library with one SDXL file, of which nothing but its nature is read."""
    write_tensors(models / "one.safetensors", {f"{UNET}.4.1.attn2.to_k.weight": [4, 2048]})
    return library_of(models, models.parent)


def test_a_family_is_fetched_without_weights_and_kept(hub: list[str], tmp_path: Path) -> None:
    from transformers import CLIPTokenizer

    library = single_sdxl(tmp_path / "models")
    assert library.lacks("one")
    library.fetch("one")
    library.fetch("one")
    assert hub == [SOURCES["sdxl"]]
    assert not library.lacks("one")
    folder = library.lender("sdxl")
    assert folder == tmp_path / "models" / ".families" / "sdxl"
    assert not list(folder.rglob("*.safetensors"))
    pads = [CLIPTokenizer.from_pretrained(folder / f"tokenizer{n}").pad_token for n in ("", "_2")]
    assert pads == ["<|endoftext|>", "!"]
    assert [one.info.name for one in library.scan()] == ["mini", "one"]
    assert single_sdxl(tmp_path / "models").lender("sdxl") == folder


@pytest.mark.parametrize(
    "lost", ["tokenizer_2/tokenizer_config.json", "unet/config.json", "model_index.json"]
)
def test_a_family_that_did_not_come_whole_is_not_taken_for_whole(
    hub: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The hub's library gives what is there already when the hub does not answer."""
    import huggingface_hub

    library = single_sdxl(tmp_path / "models")
    whole = huggingface_hub.snapshot_download

    def cut(name: str, *, local_dir: Path, allow_patterns: list[str]) -> None:
        whole(name, local_dir=local_dir, allow_patterns=allow_patterns)
        (local_dir / lost).unlink()

    monkeypatch.setattr("huggingface_hub.snapshot_download", cut)
    with pytest.raises(InvalidSpecError, match="did not give all that single files of sdxl need"):
        library.fetch("one")
    assert library.lender("sdxl") is None
    monkeypatch.setattr("huggingface_hub.snapshot_download", whole)
    library.fetch("one")
    kept = library.lender("sdxl")
    assert kept is not None
    (kept / lost).unlink()
    assert library.lender("sdxl") is None
    library.fetch("one")
    assert library.lender("sdxl") == kept
    assert hub == [SOURCES["sdxl"]] * 3


def test_a_family_that_the_hub_has_not_blames_the_model(hub: list[str], tmp_path: Path) -> None:
    write_tensors(tmp_path / "models" / "one.safetensors", SD15)
    library = library_of(tmp_path / "models", tmp_path)
    with pytest.raises(InvalidSpecError, match="could not be downloaded: 404") as refused:
        library.fetch("one")
    assert refused.value.field == "model"
    assert hub == [SOURCES["sd15"]]


async def test_a_refiner_s_family_is_fetched_too(hub: list[str], tmp_path: Path) -> None:
    """And nobody asks the hub where it is not allowed."""
    write_tensors(tmp_path / "models" / "one.safetensors", SD15)
    spec = replace(SPEC, model="mini", refiner=Refiner("one"))
    for allowed, asked in ((False, []), (True, [SOURCES["sd15"]])):
        engine = engine_in(tmp_path, tmp_path / "models", allow_hub=allowed)
        with pytest.raises(InvalidSpecError, match="tokenizer"):
            await draw(engine, spec)
        await engine.aclose()
        assert hub == asked

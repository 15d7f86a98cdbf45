"""Where models come from: single files, and the hub where it is allowed."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.errors import EngineDownError, InvalidSpecError, ModelNotFoundError
from tests.fakes.drawing import SPEC, distance, draw, draw_all, pixels_of
from tests.fakes.local import engine_in
from tests.fakes.single_file import make_single_file


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


async def test_a_single_file_without_its_family_says_what_is_missing(
    models_dir: Path, tmp_path: Path
) -> None:
    make_single_file(tmp_path / "models" / "one.safetensors", models_dir / "tiny-sd15")
    engine = engine_in(tmp_path, tmp_path / "models")
    with pytest.raises(InvalidSpecError, match="tokenizer and shapes"):
        await draw(engine, replace(SPEC, model="one"))
    await engine.aclose()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, models_dir: Path) -> list[str]:
    """A hub that has one model; the names that it was asked for."""
    asked: list[str] = []

    def snapshot_download(name: str, *, local_dir: Path, allow_patterns: list[str]) -> None:
        asked.append(name)
        assert not any(pattern.endswith((".bin", ".ckpt", "*")) for pattern in allow_patterns)
        if name != "someone/tiny":
            raise OSError("404")
        shutil.copytree(models_dir / "tiny-sd15", local_dir)

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

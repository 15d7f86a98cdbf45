"""Models are known by their tensors, found by their names, and broken ones say why."""

import asyncio
import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines.diffusers.cards import read_card
from engines.diffusers.digests import Digests
from engines.diffusers.headers import BrokenFileError, Header, read_header
from engines.diffusers.kinds import Nature, tell_nature
from engines.diffusers.library import Library, Shelved
from engines.diffusers.names import family_aliases
from engines.errors import InvalidSpecError, ModelNotFoundError


def write_tensors(
    path: Path, shapes: dict[str, list[int]], metadata: dict[str, str] | None = None
) -> Path:
    """A safetensors file of zeros, without any library's help."""
    entries: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    head = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(end))
    return path


UNET = "model.diffusion_model.input_blocks"
NATURES = {
    "sd15": ({f"{UNET}.1.1.attn2.to_k.weight": [4, 768]}, Nature("checkpoint", "sd15")),
    "sdxl": ({f"{UNET}.4.1.attn2.to_k.weight": [4, 2048]}, Nature("checkpoint", "sdxl")),
    "refiner": ({f"{UNET}.4.1.attn2.to_k.weight": [4, 1280]}, Nature("checkpoint", "sdxl-refiner")),
    "lora15": ({"lora_unet_x_attn2_to_k.lora_down.weight": [2, 768]}, Nature("lora", "sd15")),
    "loraxl": ({"lora_te2_text.lora_up.weight": [8, 2]}, Nature("lora", "sdxl")),
    "peft": ({"unet.a.attn2.to_k.lora_A.weight": [2, 2048]}, Nature("lora", "sdxl")),
    "control": (
        {"control_model.input_hint_block.0.weight": [4, 3], "x.attn2.to_k.weight": [4, 768]},
        Nature("controlnet", "sd15"),
    ),
    "vae": ({"decoder.conv_in.weight": [4, 4], "encoder.conv_in.weight": [4, 3]}, Nature("vae")),
    "taesd": ({"decoder.layers.0.weight": [4, 4]}, Nature("vae", "taesd")),
    "compact": ({"body.0.weight": [4, 3], "body.1.weight": [4]}, Nature("upscaler")),
    "esrgan": ({"conv_first.weight": [4, 3], "body.0.weight": [4, 4]}, Nature("upscaler")),
}


@pytest.mark.parametrize("name", NATURES)
def test_a_file_is_what_its_tensors_say(tmp_path: Path, name: str) -> None:
    shapes, nature = NATURES[name]
    assert tell_nature(read_header(write_tensors(tmp_path / "f.safetensors", shapes))) == nature


def test_a_lora_tells_the_words_that_call_it(tmp_path: Path) -> None:
    counts = {"10_shoes": {"red shoes": 9, "laces": 3}, "5_more": {"laces": 1}}
    path = write_tensors(
        tmp_path / "shoes.safetensors",
        {"a.lora_down.weight": [2, 4]},
        {"ss_tag_frequency": json.dumps(counts)},
    )
    assert tell_nature(read_header(path)).trigger_words == ("red shoes", "laces")
    stated = Header({"a.lora_A.weight": (2, 4)}, {"modelspec.trigger_phrase": "sks, dog"})
    assert tell_nature(stated).trigger_words == ("sks", "dog")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


BREAKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (_cut, "bytes of its tensors are missing"),
    "empty": (lambda path: path.write_bytes(b""), "too short"),
    "junk": (lambda path: path.write_bytes(b"\xff" * 64), "cut off in its header"),
    "text": (lambda path: path.write_bytes(struct.pack("<Q", 5) + b"hello"), "no JSON"),
    "list": (lambda path: path.write_bytes(struct.pack("<Q", 2) + b"[]"), "malformed"),
    "bare": (lambda path: path.write_bytes(struct.pack("<Q", 2) + b"{}"), "holds no tensors"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_file_is_listed_with_its_error(tmp_path: Path, name: str) -> None:
    damage, words = BREAKS[name]
    path = write_tensors(tmp_path / "models" / "bad.safetensors", NATURES["sd15"][0])
    damage(path)
    with pytest.raises(BrokenFileError, match=words):
        read_header(path)
    library = Library(models_dir=path.parent, digests=Digests(memory=tmp_path / "d.json"))
    (listed,) = (one.info for one in library.scan() if one.info.name == "bad")
    assert words in listed.error
    with pytest.raises(InvalidSpecError, match=words):
        library.find("bad")


def test_a_file_that_was_put_right_is_found_without_a_restart(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "models" / "bad.safetensors", NATURES["sd15"][0])
    whole = path.read_bytes()
    _cut(path)
    library = Library(models_dir=path.parent, digests=Digests(memory=tmp_path / "d.json"))
    with pytest.raises(InvalidSpecError):
        library.find("bad")
    path.write_bytes(whole)
    first = library.find("bad")
    write_tensors(path, NATURES["sdxl"][0])
    assert library.find("bad").info.base == "sdxl"
    assert library.find("bad").mark != first.mark


def test_a_broken_file_never_takes_the_name_of_a_good_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "more"):
        write_tensors(folder / "v1-5.safetensors", NATURES["sd15"][0])
        (folder / "v1-5.ckpt").write_bytes(b"\x80\x04.")
    write_tensors(tmp_path / "alone" / "solo.safetensors", NATURES["sd15"][0])
    (tmp_path / "alone" / "solo.ckpt").write_bytes(b"\x80\x04.")
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    told = {one.info.name: bool(one.info.error) for one in library.scan()}
    assert told == {
        "mini": False,
        "v1-5": False,
        "v1-5.ckpt": True,
        "more/v1-5": False,
        "more/v1-5.ckpt": True,
        "solo": False,
        "alone/solo.ckpt": True,
    }
    assert library.find("solo").path.suffix == ".safetensors"
    write_tensors(tmp_path / "alone" / "v2.safetensors", {"of.nothing": [1]})
    write_tensors(tmp_path / "whole" / "v2.safetensors", NATURES["sdxl"][0])
    library.scan()
    assert library.find("v2.safetensors").path == tmp_path / "whole" / "v2.safetensors"


def test_links_that_lead_back_are_followed_once(tmp_path: Path) -> None:
    write_tensors(tmp_path / "shelf" / "one.safetensors", NATURES["sd15"][0])
    (tmp_path / "shelf" / "back").symlink_to(tmp_path / "shelf", target_is_directory=True)
    library = Library(models_dir=tmp_path / "shelf", digests=Digests(memory=tmp_path / "d.json"))
    assert [one.info.name for one in library.scan()] == ["mini", "one"]


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"defaults": {"width": "wide"}}, "defaults.width: Input should be a valid integer"),
        ({"defautls": {}}, "defautls: Extra inputs are not permitted"),
        ({"vae": "nobody"}, "names the VAE nobody, which is not in the models folder"),
        (["name"], "one.kitty.json: Input should be an object"),
    ],
)
def test_a_card_that_is_not_in_order_is_said(tmp_path: Path, card: object, words: str) -> None:
    write_tensors(tmp_path / "one.safetensors", NATURES["sd15"][0])
    (tmp_path / "one.kitty.json").write_text(json.dumps(card))
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    (listed,) = (one.info for one in library.scan() if one.info.name == "one")
    assert words in listed.error


def test_a_card_says_what_the_tensors_do_not(tmp_path: Path) -> None:
    write_tensors(tmp_path / "one.safetensors", NATURES["sd15"][0])
    card = {"name": "first", "aliases": ["1st"], "defaults": {"steps": 12}, "bounds": {"most": 640}}
    (tmp_path / "one.kitty.json").write_text(json.dumps(card))
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    info = library.find("1st").info
    assert (info.name, info.defaults.steps, info.defaults.width) == ("first", 12, 512)
    assert (info.bounds.least, info.bounds.most) == (64, 640)


def test_the_card_in_the_documents_is_one(tmp_path: Path) -> None:
    document = (Path(__file__).parents[3] / "ops" / "engines.md").read_text()
    (tmp_path / "kitty.json").write_text(document.split("```json\n")[1].split("```")[0])
    assert read_card(tmp_path).vae == "sdxl-vae-fp16-fix"


def test_a_controlnet_folder_tells_its_family(tmp_path: Path) -> None:
    for width, base in ((768, "sd15"), (1024, "sd2"), (2048, "sdxl")):
        folder = tmp_path / base
        write_tensors(folder / "w.safetensors", {"a": [1]})
        wide = {"addition_embed_type": "text_time"} if base == "sdxl" else {}
        config = {"_class_name": "ControlNetModel", "cross_attention_dim": width, **wide}
        (folder / "config.json").write_text(json.dumps(config))
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    told = {one.info.name: one.info.base for one in library.scan()}
    assert told == {"mini": "sd15", "sd15": "sd15", "sd2": "sd2", "sdxl": "sdxl"}


def test_a_pickle_is_never_loaded_but_listed(tmp_path: Path) -> None:
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x04.")
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    (listed,) = (one.info for one in library.scan() if one.info.name == "old")
    assert "pickle" in listed.error


def test_a_folder_with_pickled_weights_says_so(tmp_path: Path, models_dir: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(models_dir / "tiny-sd15", folder)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    (listed,) = (one.info for one in library.scan() if one.info.name == "pickled")
    assert listed.error


@pytest.fixture
def library(models_dir: Path, tmp_path: Path) -> Library:
    return Library(models_dir=models_dir, digests=Digests(memory=tmp_path / "digests.json"))


def test_tiny_models_are_told_apart(library: Library) -> None:
    told = {one.info.name: (one.info.kind, one.info.base) for one in library.scan()}
    assert told["tiny-sd15"] == ("checkpoint", "sd15")
    assert told["tiny-sdxl"] == ("checkpoint", "sdxl")
    assert told["tiny-control"] == ("controlnet", "sd15")
    assert told["bold"][0] == "lora"
    assert told["mini"] == ("checkpoint", "sd15")


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
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    with pytest.raises(ModelNotFoundError):
        library.find("late")
    write_tensors(tmp_path / "late.safetensors", NATURES["sd15"][0])
    assert library.find("late").info.base == "sd15"
    (tmp_path / "late.safetensors").unlink()
    with pytest.raises(ModelNotFoundError):
        library.find("late")


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        write_tensors(tmp_path / folder / "same.safetensors", NATURES["sd15"][0])
    library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
    assert library.find("two/same").path == tmp_path / "two" / "same.safetensors"


def test_a_digest_is_counted_once_and_again_when_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_tensors(tmp_path / "m.safetensors", NATURES["sd15"][0])
    counted: list[Path] = []
    real = Library.digest
    from engines.diffusers import digests

    whole = digests._sha256
    monkeypatch.setattr(digests, "_sha256", lambda p: (counted.append(p), whole(p))[1])

    def ask() -> tuple[Shelved, str]:
        library = Library(models_dir=tmp_path, digests=Digests(memory=tmp_path / "d.json"))
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

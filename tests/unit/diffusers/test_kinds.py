"""Models are known by their tensors and cards, and broken ones say why."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from engines.diffusers.cards import read_card
from engines.diffusers.headers import BrokenFileError, Header, read_header
from engines.diffusers.kinds import Nature, tell_nature
from engines.errors import InvalidSpecError
from tests.unit.diffusers.tensors import SD15, UNET, library_of, write_tensors

NATURES = {
    "sd15": (SD15, Nature("checkpoint", "sd15")),
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
    library = library_of(path.parent, tmp_path)
    (listed,) = (one.info for one in library.scan() if one.info.name == "bad")
    assert words in listed.error
    with pytest.raises(InvalidSpecError, match=words):
        library.find("bad")


def test_a_file_that_was_put_right_is_found_without_a_restart(tmp_path: Path) -> None:
    path = write_tensors(tmp_path / "models" / "bad.safetensors", NATURES["sd15"][0])
    whole = path.read_bytes()
    _cut(path)
    library = library_of(path.parent, tmp_path)
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
    library = library_of(tmp_path, tmp_path)
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
    library = library_of(tmp_path / "shelf", tmp_path)
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
    library = library_of(tmp_path, tmp_path)
    (listed,) = (one.info for one in library.scan() if one.info.name == "one")
    assert words in listed.error


def test_a_card_says_what_the_tensors_do_not(tmp_path: Path) -> None:
    write_tensors(tmp_path / "one.safetensors", NATURES["sd15"][0])
    card = {"name": "first", "aliases": ["1st"], "defaults": {"steps": 12}, "bounds": {"most": 640}}
    (tmp_path / "one.kitty.json").write_text(json.dumps(card))
    library = library_of(tmp_path, tmp_path)
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
    library = library_of(tmp_path, tmp_path)
    told = {one.info.name: one.info.base for one in library.scan()}
    assert told == {"mini": "mini", "sd15": "sd15", "sd2": "sd2", "sdxl": "sdxl"}


def test_a_pickle_is_never_loaded_but_listed(tmp_path: Path) -> None:
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x04.")
    library = library_of(tmp_path, tmp_path)
    (listed,) = (one.info for one in library.scan() if one.info.name == "old")
    assert "pickle" in listed.error


def test_a_folder_with_pickled_weights_says_so(tmp_path: Path, models_dir: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(models_dir / "tiny-sd15", folder)
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_suffix(".bin"))
    library = library_of(tmp_path, tmp_path)
    (listed,) = (one.info for one in library.scan() if one.info.name == "pickled")
    assert listed.error
